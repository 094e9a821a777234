"""Runs one effect, and decides how it is settled."""

import asyncio
import inspect
import logging
from collections.abc import Awaitable, Callable
from typing import cast

from workers.decision import Decision
from workers.errors import GiveUp, RetryLater, WorkersError
from workers.handlers.threads import HandlerThreads, ThreadOverdue
from workers.inbox.claims import ClaimedItem, UndecodableItem
from workers.inbox.settlements import Done, Failed, Retry, Settlement, Skipped, Unconfirmed, Undecodable
from workers.routing.route import Route
from workers.routing.router import Router
from workers.telemetry.error_text import error_text

logger = logging.getLogger("hitl.workers")

#: After so many workers died while they held an effect, the effect is taken for the cause, and fails.
MAX_CRASHES = 3
#: Seconds (ten years): the longest delay that a handler gets.
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
    on_overdue: Callable[[], None],
) -> Settlement:
    """Call the handler and return how its effect is settled. Raises nothing but CancelledError.

    `on_overdue` is called when a `def` handler goes on after its timeout. Its effect is settled when its thread ends,
    so that no other attempt overlaps it.
    """
    if item.crashes >= MAX_CRASHES:
        return Failed(error=f"{item.crashes} workers died while this handler ran")
    try:
        if not router.wants(route, decision):
            return _unwanted(router, route, decision, item)
        await _call(route, decision, item, threads, on_overdue)
    except RetryLater as signal:
        return _later(route, item, signal)
    except GiveUp as signal:
        logger.warning("handler.gave_up handler=%s event=%s reason=%s", route.name, item.lease.event_key, signal)
        return Failed(error=f"GiveUp: {signal}")
    except asyncio.CancelledError as error:
        if (task := asyncio.current_task()) and task.cancelling():
            raise  # the drain stops; otherwise the handler raised it
        return _failed(route, item, error)
    except Exception as error:  # noqa: BLE001 - an effect is tried again whatever its handler raises
        return _failed(route, item, error)
    return Done()


def undecodable(item: UndecodableItem) -> Undecodable:
    """Return how an item is settled whose record this version cannot decode: no handler began."""
    delay = UNDECODABLE_DELAY * 2.0**item.errors
    return Undecodable(
        error=f"the record cannot be decoded by this version of hitl-receiver: {item.reason}",
        retry_after=delay if item.errors + 1 < UNDECODABLE_TRIES else None,
    )


def _unwanted(router: Router, route: Route, decision: Decision, item: ClaimedItem) -> Settlement:
    """Settle an effect whose route does not want it (any more): conditions and evidence may have changed."""
    for wait in router.waits(decision):
        if wait.route is route:
            return Unconfirmed(needs=wait.needs)
    if decision.trust == "confirmed" and route.demands_confirmation:
        logger.info(
            "handler.unwanted handler=%s event=%s: the confirmed decision does not meet its conditions",
            route.name,
            item.lease.event_key,
        )
    return Skipped()


async def _call(
    route: Route, decision: Decision, item: ClaimedItem, threads: HandlerThreads, on_overdue: Callable[[], None]
) -> None:
    seconds = route.policy.timeout

    def report_overdue() -> None:
        logger.warning(
            "handler.overdue handler=%s event=%s timeout=%g: the effect is settled when its thread ends",
            route.name,
            item.lease.event_key,
            seconds,
        )
        on_overdue()

    if route.is_async:
        waiting = cast("Callable[[Decision], Awaitable[object]]", route.handler)(decision)
    else:
        try:
            result = await threads.call(route.handler, decision, seconds, report_overdue)
        except ThreadOverdue:
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
        raise  # raised by the handler itself


def _later(route: Route, item: ClaimedItem, signal: RetryLater) -> Settlement:
    if not signal.counts:
        logger.info("handler.postponed handler=%s event=%s reason=%s", route.name, item.lease.event_key, signal)
        return Retry(after=_bounded(signal.delay))
    reason, errors = f"RetryLater: {signal}", item.errors + 1
    if errors >= route.policy.attempts:
        logger.error(
            "handler.failed handler=%s event=%s attempts=%d reason=%s", route.name, item.lease.event_key, errors, signal
        )
        return Failed(error=reason)
    # Not sooner than our own backoff: a target that always asks for one second must not use up a day's attempts.
    delay = max(signal.delay, route.policy.delay(errors))
    return Retry(after=_bounded(delay), error=reason)


def _failed(route: Route, item: ClaimedItem, error: BaseException) -> Settlement:
    errors = item.errors + 1
    if errors >= route.policy.attempts:
        logger.error(
            "handler.failed handler=%s event=%s attempts=%d", route.name, item.lease.event_key, errors, exc_info=error
        )
        return Failed(error=error_text(error))
    delay = route.policy.delay(errors)
    logger.warning(
        "handler.raised handler=%s event=%s attempt=%d retry_in=%.1f",
        route.name,
        item.lease.event_key,
        errors,
        delay,
        exc_info=error,
    )
    return Retry(after=_bounded(delay), error=error_text(error))


def _bounded(seconds: float) -> float:
    return min(max(0.0, seconds), LONGEST_DELAY)
