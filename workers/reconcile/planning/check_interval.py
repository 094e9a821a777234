"""How often an open request is checked, and the guaranteed check interval that follows. Pure.

A request is checked again after a share of the time for which it has been open, so that delays stay in proportion;
all intervals are stretched until the calls suffice.
"""

from collections.abc import Sequence

import msgspec

from workers.inbox.values import OpenRequest, WebhookHealth
from workers.reconcile.planning.page_cover import cover

HOUR = 3600.0
#: Seconds to wait for a webhook after `timeout_at` before a check.
GRACE = 90.0
#: A request is checked again after this share of its age: one that is an hour old, after a quarter of an hour.
SHARE_OF_AGE = 0.25
#: About this share of them has ended by then.
ENDED_SHARE = 0.2
#: Seconds: no request is checked less often, if the calls suffice.
LONGEST_BASE_INTERVAL = 3 * HOUR
#: Seconds after which half of all people have answered (a guess).
MEDIAN_ANSWER_SECONDS = 600.0
#: Bounds of the shortest interval, in seconds, whatever share of webhooks is lost.
SHORTEST, LONGEST = 120.0, 1800.0
#: Lost decisions that one check should find: with fewer, most pages would show nothing new.
WORTH_FINDING = 3.0
#: Calls per hour while webhooks are healthy; from this loss on, all calls of the budget.
HEALTHY_CALLS_PER_HOUR, ALARMING_LOSS = 2.0, 0.2
#: Batching saves about this share of the calls that the intervals imply.
SAVED_BY_BATCHING = 0.25


class CheckIntervals(msgspec.Struct, frozen=True, kw_only=True):
    """The intervals at which requests are checked."""

    #: Seconds until a request that was just asked or checked is checked.
    shortest: float = LONGEST
    #: Factor by which the budget stretches every interval; 1.0 for none.
    slowness: float = 1.0
    #: Seconds: no request goes unchecked for longer, if the calls suffice.
    bound: float = 24 * HOUR
    #: Calls per hour for routine checks.
    calls_per_hour: float = HEALTHY_CALLS_PER_HOUR

    def due_at(self, request: OpenRequest) -> float:
        """When the request is due for a check: by age, after its timeout, or at once after a refused delivery."""
        created_at, last = request.created_at, request.last_checked
        if last is None:
            last = created_at
        if request.refused:
            return last
        routine = last + min(self.bound, self.interval(last - created_at))
        if request.timeout_at is None:
            return routine
        overdue = request.timeout_at + GRACE
        if last >= overdue:
            # Past its timeout and still open at the last check: HITL.sh is late itself, so check again soon.
            overdue = last + self.shortest
        return min(routine, overdue)

    def late_at(self, request: OpenRequest) -> float:
        """When the request is checked even if no others are due: after twice its interval, within the bound."""
        last = request.created_at if request.last_checked is None else request.last_checked
        return last + min(self.bound, 2 * self.interval(last - request.created_at))

    def interval(self, age: float) -> float:
        """The interval in seconds for a request that was `age` seconds old when it was last seen."""
        return self.slowness * _base_interval(self.shortest, age)


def is_urgent(request: OpenRequest, now: float) -> bool:
    """Whether the request may borrow calls reserved for asking: it has very likely ended, and no webhook came."""
    return request.refused or (request.timeout_at is not None and request.timeout_at + GRACE <= now)


def ended_probability(request: OpenRequest, webhook_health: WebhookHealth, now: float) -> float:
    """The rough probability that the request has ended and its webhook was lost.

    Half of the requests that are open at some age are still open at twice that age. If most webhooks arrive, a missing
    webhook means that the request is probably open.
    """
    if is_urgent(request, now):
        return 1.0
    before = 0.0 if request.last_checked is None else request.last_checked - request.created_at
    checked_age = before + MEDIAN_ANSWER_SECONDS
    ended = 1.0 - checked_age / max(checked_age, now - request.created_at + MEDIAN_ANSWER_SECONDS)
    return ended * webhook_health.loss / (1.0 - ended * (1.0 - webhook_health.loss))


def intervals(
    requests: Sequence[OpenRequest],
    webhook_health: WebhookHealth,
    *,
    now: float,
    calls_per_hour: float,
    page_size: int = 100,
    overlap: int = 5,
    bound: float = 24 * HOUR,
) -> CheckIntervals:
    """The intervals for these open requests, with this many calls per hour for reconcile runs."""
    alarm = min(1.0, webhook_health.loss / ALARMING_LOSS)
    allowed = max(0.1, min(calls_per_hour, HEALTHY_CALLS_PER_HOUR + alarm * (calls_per_hour - HEALTHY_CALLS_PER_HOUR)))
    lost_per_second = webhook_health.loss * webhook_health.ended_per_hour / HOUR
    shortest = min(LONGEST, max(SHORTEST, WORTH_FINDING / max(lost_per_second, 1e-9)))
    needed = _calls_per_hour(requests, shortest, now, max(1, page_size - overlap)) / (1.0 + SAVED_BY_BATCHING * alarm)
    return CheckIntervals(shortest=shortest, slowness=max(1.0, needed / allowed), bound=bound, calls_per_hour=allowed)


def _calls_per_hour(requests: Sequence[OpenRequest], shortest: float, now: float, span: int) -> float:
    """Calls per hour that the base intervals need: single pages for young requests, the open listing and confirmations
    for old ones. The boundary between young and old is chosen for the least cost.
    """
    created = {request.id: request.created_at for request in requests}
    windows = cover(((request.newer, request.id) for request in requests), span)
    ages = [now - max(created[name] for name in window.ids) for window in reversed(windows)]
    rates = [HOUR / _base_interval(shortest, age) for age in ages]
    open_pages = -(-len(requests) // span)
    young, old, least = 0.0, sum(rates), sum(rates)
    for rate in rates:
        least = min(least, young + open_pages * rate + ENDED_SHARE * old)
        young, old = young + rate, old - rate
    return least


def _base_interval(shortest: float, age: float) -> float:
    # Called for each open request in each plan: comparisons are three times as fast as min and max.
    share = SHARE_OF_AGE * age
    if share <= shortest:
        return shortest
    return share if share < LONGEST_BASE_INTERVAL else max(shortest, LONGEST_BASE_INTERVAL)


class GuaranteedInterval(msgspec.Struct, frozen=True, kw_only=True):
    """The check interval that is guaranteed for every open request."""

    seconds: float
    #: Set if it is longer than the configured bound.
    warning: str | None = None


def guaranteed_interval(
    open_count: int, intervals: CheckIntervals, *, page_size: int = 100, overlap: int = 5, oldest_age: float = 0.0
) -> GuaranteedInterval:
    """The check interval that can be guaranteed for this many open requests.

    A request may wait for others for twice its interval. A round then reads the open listing; while it lasts, each
    absent row may need one more call, so twice its pages.
    """
    pages = -(-open_count // max(1, page_size - overlap))
    round_seconds = 2 * pages * HOUR / intervals.calls_per_hour
    seconds = min(intervals.bound, 2 * intervals.interval(oldest_age)) + round_seconds
    if seconds <= intervals.bound + min(HOUR, intervals.bound):
        return GuaranteedInterval(seconds=seconds)
    return GuaranteedInterval(
        seconds=seconds,
        warning=(
            f"{open_count} open requests need {pages} pages a round, and {intervals.calls_per_hour:.0f} calls an hour "
            f"check each only every {seconds / HOUR:.2g} h, not every {intervals.bound / HOUR:.2g} h: "
            "give reconcile runs a larger share of the budget, or accept a longer bound"
        ),
    )
