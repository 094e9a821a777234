"""How often an open request is worth a call, and the check interval that follows.

A request is checked again after a share of the time for which it has been open, so that delays stay in proportion;
all intervals are stretched until the calls suffice.
"""

from collections.abc import Sequence

import msgspec

from workers.inbox.values import OpenRequest, WebhookHealth
from workers.reconcile.planning.page_cover import cover

HOUR = 3600.0
#: Seconds that a webhook gets after `timeout_at`, before a call is worth more than waiting.
GRACE = 90.0
#: A request that has been open for an hour is checked again after a quarter of one.
SHARE_OF_AGE = 0.25
#: Of those checked again after that, about this share has ended.
ENDED_SHARE = 0.2
#: However long it has been open, it is checked again after this, where the calls suffice.
OLD = 3 * HOUR
#: Half of all people have answered after so many seconds, as a guess.
QUICK = 600.0
#: No interval is shorter, however much is lost, nor is the shortest one longer, however little.
SHORTEST, LONGEST = 120.0, 1800.0
#: Wait until about so many lost decisions can be found at once: fewer, and most pages bring nothing.
WORTH_FINDING = 3.0
#: Calls an hour while the webhooks are healthy; all that the budget gives from this loss on.
CALM, ALARMING_LOSS = 2.0, 0.2
#: Requests that wait until more are due need fewer calls than their intervals say, by about this share.
SAVED_BY_BATCHING = 0.25


class CheckIntervals(msgspec.Struct, frozen=True, kw_only=True):
    """The intervals that a situation allows."""

    #: Seconds until a request just asked, or just checked, is worth a call.
    shortest: float = LONGEST
    #: By how much the budget stretches every interval; 1.0 when it does not.
    slowness: float = 1.0
    #: No request goes unchecked for longer, in seconds, if the calls suffice at all.
    bound: float = 24 * HOUR
    #: Calls an hour that routine checks may take.
    calls_per_hour: float = CALM

    def due_at(self, request: OpenRequest) -> float:
        """When it is next worth a call: by age, past its timeout, or at once after a delivery we refused."""
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
        """When it no longer waits for others to become due: twice its interval, and never past the bound."""
        last = request.created_at if request.last_checked is None else request.last_checked
        return last + min(self.bound, 2 * self.interval(last - request.created_at))

    def interval(self, age: float) -> float:
        """In seconds, for a request that had been open for so long when it was last seen."""
        return self.slowness * _wanted(self.shortest, age)


def urgent(request: OpenRequest, now: float) -> bool:
    """Whether it may borrow calls reserved for asking: it has very likely ended, and no webhook came."""
    return request.refused or (request.timeout_at is not None and request.timeout_at + GRACE <= now)


def chance(request: OpenRequest, webhook_health: WebhookHealth, now: float) -> float:
    """How likely it is that the request has ended and no webhook came, roughly.

    The longer people have not answered, the longer they will not: of what was open at an age, half is still open
    at twice that age. Where most webhooks arrive, their absence speaks for a request being open.
    """
    if urgent(request, now):
        return 1.0
    before = 0.0 if request.last_checked is None else request.last_checked - request.created_at
    ended = 1.0 - (before + QUICK) / max(before + QUICK, now - request.created_at + QUICK)
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
    """The intervals for these open requests, with so many calls an hour for reconcile runs."""
    alarm = min(1.0, webhook_health.loss / ALARMING_LOSS)
    allowed = max(0.1, min(calls_per_hour, CALM + alarm * (calls_per_hour - CALM)))
    lost_per_second = webhook_health.loss * webhook_health.ended_per_hour / HOUR
    shortest = min(LONGEST, max(SHORTEST, WORTH_FINDING / max(lost_per_second, 1e-9)))
    wanted = _calls_per_hour(requests, shortest, now, max(1, page_size - overlap)) / (1.0 + SAVED_BY_BATCHING * alarm)
    return CheckIntervals(shortest=shortest, slowness=max(1.0, wanted / allowed), bound=bound, calls_per_hour=allowed)


def _calls_per_hour(requests: Sequence[OpenRequest], shortest: float, now: float, span: int) -> float:
    """What the wanted intervals cost: a page each for the young, the open listing and confirmations for the old.

    Where the young end is chosen so that it costs least.
    """
    born = {request.id: request.created_at for request in requests}
    windows = cover(((request.newer, request.id) for request in requests), span)
    rates = [HOUR / _wanted(shortest, now - max(born[name] for name in window.ids)) for window in reversed(windows)]
    listed = -(-len(requests) // span)
    young, old, least = 0.0, sum(rates), sum(rates)
    for rate in rates:
        least = min(least, young + listed * rate + ENDED_SHARE * old)
        young, old = young + rate, old - rate
    return least


def _wanted(shortest: float, age: float) -> float:
    # Asked for each open request at each plan: comparisons are three times as fast as min and max.
    share = SHARE_OF_AGE * age
    if share <= shortest:
        return shortest
    return share if share < OLD else max(shortest, OLD)


class GuaranteedInterval(msgspec.Struct, frozen=True, kw_only=True):
    """Every open request is checked at least every so many seconds."""

    seconds: float
    #: Set when that is longer than the bound asked for.
    warning: str | None = None


def guaranteed_interval(
    open_count: int, intervals: CheckIntervals, *, page_size: int = 100, overlap: int = 5, oldest_age: float = 0.0
) -> GuaranteedInterval:
    """The check interval that is kept with this many open requests.

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
