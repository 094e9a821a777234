"""One effect: one handler's work on one event, and what its end means for the record."""

import asyncio
import inspect
import logging
import random
import traceback
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import cast

from workers.decision import Decision
from workers.errors import GiveUp, RetryLater
from workers.inbox.records import Item, Line
from workers.route import Route

logger = logging.getLogger("hitl.workers")

#: Of a traceback, the last so many characters are kept: its end names the fault.
LONGEST_TRACEBACK = 4_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """How often and how far apart a failing handler is tried."""

    attempts: int = 5
    #: Seconds; the ceiling of the first delay, doubled by every further one.
    first_delay: float = 2.0
    longest_delay: float = 300.0
    #: So many deaths of a worker with the same effect in hand, and the effect is taken for the cause.
    crashes: int = 10

    def delay(self, errors: int) -> float:
        """Seconds until the next attempt after `errors` failed ones: exponential, with full jitter."""
        return random.uniform(0, min(self.longest_delay, self.first_delay * 2 ** (errors - 1)))  # noqa: S311


async def run(route: Route, decision: Decision, item: Item, policy: Policy, threads: Executor) -> Line:
    """Call the handler; answers the line that settles its effect. Never raises, but for cancellation."""
    if item.crashes >= policy.crashes:
        return _line("failed", item, wrong=f"a worker died {item.crashes} times while this handler ran")
    try:
        if not route.matches(decision):  # an effect may be older than today's conditions
            return _line("skipped", item)
        await _call(route, decision, threads)
    except RetryLater as signal:
        return _line("retry", item, word=_milliseconds(signal.delay))
    except GiveUp as signal:
        logger.warning("handler.gave_up handler=%s event=%s reason=%s", route.name, item.event_key, signal)
        return _line("failed", item, wrong=f"GiveUp: {signal}")
    except Exception as error:  # noqa: BLE001 - whatever a handler raises, its effect is tried again
        return _failed(route, item, policy, error)
    return _line("done", item)


async def _call(route: Route, decision: Decision, threads: Executor) -> None:
    if route.is_async:
        await cast("Callable[[Decision], Awaitable[object]]", route.handler)(decision)
    else:
        result = await asyncio.get_running_loop().run_in_executor(threads, route.handler, decision)
        if inspect.isawaitable(result):  # a plain wrapper around an async function
            await result


def _failed(route: Route, item: Item, policy: Policy, error: Exception) -> Line:
    errors = item.errors + 1
    wrong = "".join(traceback.format_exception(error))[-LONGEST_TRACEBACK:]
    if errors >= policy.attempts:
        logger.error(
            "handler.failed handler=%s event=%s attempts=%d",
            route.name,
            item.event_key,
            errors,
            exc_info=error,
        )
        return _line("failed", item, wrong=wrong)
    delay = policy.delay(errors)
    logger.warning(
        "handler.raised handler=%s event=%s attempt=%d retry_in=%.1f",
        route.name, item.event_key, errors, delay, exc_info=error,
    )  # fmt: skip
    return _line("retry", item, word=_milliseconds(delay), wrong=wrong)


def _milliseconds(seconds: float) -> str:
    return str(max(0, int(seconds * 1000)))


def _line(verb: str, item: Item, *, word: str = "", wrong: str = "") -> Line:
    return Line(verb, item.handler, item.event_key, item.token, word, wrong)  # type: ignore[arg-type]
