"""One effect: one handler's work on one event, and what its end means for the record."""

import asyncio
import inspect
import logging
import traceback
from collections.abc import Awaitable, Callable
from typing import cast

from workers.decision import Decision
from workers.errors import GiveUp, RetryLater, WorkersError
from workers.handlers.threads import HandlerThreads, Outlived
from workers.inbox.settlements import Done, Failed, Retry, Settlement, Skipped, Unconfirmed, Undecodable
from workers.inbox.values import ClaimedItem, UndecodableItem
from workers.routing.route import Route
from workers.routing.router import Router

logger = logging.getLogger("hitl.workers")

#: So many deaths of a worker with the same effect in hand, and the effect is taken for the cause.
CRASHES = 3
#: Of a traceback, the last so many characters are kept: its end names the fault.
LONGEST_TRACEBACK = 2_000
#: Seconds: ten years, whatever a handler asks for.
LONGEST_DELAY = 10 * 365 * 86_400.0


#: Seconds until a record that cannot be decoded is tried again, doubled each time: some ten minutes in all, in which a
#: rolling deploy replaces the workers of the older version.
UNDECODABLE_DELAY = 5.0
UNDECODABLE_TRIES = 8


class HandlerTimedOut(WorkersError):
    """An attempt took longer than its route allows."""


async def run(
    router: Router,
    route: Route,
    decision: Decision,
    item: ClaimedItem,
    threads: HandlerThreads,
    on_stuck: Callable[[], None],
) -> Settlement:
    """Call the handler and return how its effect is settled. Never raises, but for cancellation.

    `on_stuck` is called when a `def` handler did not end in its time. What becomes of its effect is known when its
    thread ends, so that no other attempt overlaps it.
    """
    if item.crashes >= CRASHES:
        return Failed(error=f"{item.crashes} workers died while this handler ran")
    try:
        if not router.wants(route, decision):
            return _unwanted(router, route, decision, item)
        await _call(route, decision, item, threads, on_stuck)
    except RetryLater as signal:
        return _later(route, item, signal)
    except GiveUp as signal:
        logger.warning("handler.gave_up handler=%s event=%s reason=%s", route.name, item.lease.event_key, signal)
        return Failed(error=f"GiveUp: {signal}")
    except asyncio.CancelledError as error:
        if (task := asyncio.current_task()) and task.cancelling():
            raise  # told to stop; else the handler's own
        return _failed(route, item, error)
    except Exception as error:  # noqa: BLE001 - whatever a handler raises, its effect is tried again
        return _failed(route, item, error)
    return Done()


def undecodable(item: UndecodableItem) -> Undecodable:
    """What becomes of an item whose record this version cannot decode: no handler began."""
    delay = UNDECODABLE_DELAY * 2.0**item.errors
    return Undecodable(
        error=f"the record cannot be decoded by this version of hitl-receiver: {item.reason}",
        retry_after=delay if item.errors + 1 < UNDECODABLE_TRIES else None,
    )


def _unwanted(router: Router, route: Route, decision: Decision, item: ClaimedItem) -> Settlement:
    """An effect may be older than today's conditions, or than what HITL.sh's API says of its event."""
    for wait in router.waits(decision):
        if wait.route is route:
            return Unconfirmed(needs=wait.needs)
    if decision.trust == "confirmed" and route.demands_confirmation:
        logger.info(
            "handler.unwanted handler=%s event=%s: confirmed, but what HITL.sh's API says does not fit its conditions",
            route.name,
            item.lease.event_key,
        )
    return Skipped()


async def _call(
    route: Route, decision: Decision, item: ClaimedItem, threads: HandlerThreads, on_stuck: Callable[[], None]
) -> None:
    seconds = route.policy.timeout

    def report_overdue() -> None:
        logger.warning(
            "handler.overdue handler=%s event=%s timeout=%g: its thread goes on, and its effect waits for it",
            route.name,
            item.lease.event_key,
            seconds,
        )
        on_stuck()

    if route.is_async:
        waiting = cast("Callable[[Decision], Awaitable[object]]", route.handler)(decision)
    else:
        try:
            result = await threads.call(route.handler, decision, seconds, report_overdue)
        except Outlived:
            raise HandlerTimedOut(f"the handler did not end within {seconds:g} s") from None
        if not inspect.isawaitable(result):
            return
        waiting = result  # a plain wrapper around an async function
    deadline = asyncio.timeout(seconds)
    try:
        async with deadline:
            await waiting
    except TimeoutError:
        if deadline.expired():
            raise HandlerTimedOut(f"the handler did not end within {seconds:g} s") from None
        raise  # the handler's own


def _later(route: Route, item: ClaimedItem, signal: RetryLater) -> Settlement:
    if not signal.counts:
        return Retry(after=_bounded(signal.delay))
    error_text, errors = f"RetryLater: {signal}", item.errors + 1
    if errors >= route.policy.attempts:
        logger.error(
            "handler.failed handler=%s event=%s attempts=%d reason=%s", route.name, item.lease.event_key, errors, signal
        )
        return Failed(error=error_text)
    # Not sooner than by our own pace: a target that always asks for a second must not use up a day's attempts.
    delay = max(signal.delay, route.policy.delay(errors))
    return Retry(after=_bounded(delay), error=error_text)


def _failed(route: Route, item: ClaimedItem, error: BaseException) -> Settlement:
    errors = item.errors + 1
    error_text = "".join(traceback.format_exception(error))[-LONGEST_TRACEBACK:]
    if errors >= route.policy.attempts:
        logger.error(
            "handler.failed handler=%s event=%s attempts=%d", route.name, item.lease.event_key, errors, exc_info=error
        )
        return Failed(error=error_text)
    delay = route.policy.delay(errors)
    logger.warning(
        "handler.raised handler=%s event=%s attempt=%d retry_in=%.1f",
        route.name,
        item.lease.event_key,
        errors,
        delay,
        exc_info=error,
    )
    return Retry(after=_bounded(delay), error=error_text)


def _bounded(seconds: float) -> float:
    return min(max(0.0, seconds), LONGEST_DELAY)
