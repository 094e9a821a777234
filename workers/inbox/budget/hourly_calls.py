"""The API calls of one key in an hour, as values; call_budget.lua counts them.

The documents disagree on when the hour begins: with the first call, or at the top of the hour. What HITL.sh
reports decides. Until it has reported anything, half the limit is used per hour from our first call: then no
hour, wherever it begins, holds more than the limit.
"""

from typing import Literal

import msgspec

HOUR = 3600.0

#: The purpose of a call: asking a question, a routine reconcile run, an overdue or unconfirmed request, or a request
#: that only unverified deliveries name.
Purpose = Literal["asking", "reconcile", "overdue", "unverified"]


class BudgetRules(msgspec.Struct, frozen=True, kw_only=True):
    """How the calls of an hour are shared between purposes; fractions of the limit."""

    #: HITL.sh's limit, until its headers report another.
    per_hour: int = 100
    #: Share for routine reconcile runs.
    share: float = 0.5
    #: Reserved for asking; checks of overdue requests may borrow half of it.
    reserve: float = 0.2
    #: Share that reconcile runs get even if asking used more than its reserve in the previous hour.
    floor: float = 0.1
    #: Cap on calls for unverified requests, within the share of reconcile runs.
    unverified: float = 0.1

    def __post_init__(self) -> None:
        if self.per_hour < 1:
            raise ValueError(f"BudgetRules(per_hour={self.per_hour}): give at least 1 call an hour")
        for name in ("share", "reserve", "floor", "unverified"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"BudgetRules({name}={getattr(self, name)}): give a fraction from 0 to 1")


class HourlyCalls(msgspec.Struct, frozen=True, kw_only=True):
    """The calls made in this hour, and those left."""

    limit: int
    left: int
    #: None until the first call.
    resets_at: float | None = None
    #: HITL.sh has reported when the hour ends.
    reported: bool = False
    #: HITL.sh's hours end at the top of the clock's.
    top_of_hour: bool = False
    #: No call is made before this time, because a 429 did not say when the hour ends.
    closed_until: float = 0.0
    #: Calls made for asking, and by reconcile runs.
    asked: int = 0
    reconciled: int = 0
    #: Among the calls of reconcile runs: those for unverified requests.
    unverified: int = 0
    #: Calls for asking in the previous hour: about as many are expected in this one.
    asked_before: int = 0
    #: How often HITL.sh reported no calls left while our own count had some.
    overcounts: int = 0


def initial(rules: BudgetRules) -> HourlyCalls:
    """The state before the first call."""
    return HourlyCalls(limit=rules.per_hour, left=max(1, rules.per_hour // 2))


def reconcile_calls_per_hour(calls: HourlyCalls, rules: BudgetRules) -> float:
    """Calls per hour for routine reconcile runs, if asking uses as many as in the previous hour."""
    asking = max(calls.asked_before, calls.asked, rules.reserve * calls.limit)
    return min(rules.share * calls.limit, max(rules.floor * calls.limit, calls.limit - asking))


def in_hour(calls: HourlyCalls, now: float) -> HourlyCalls:
    """The calls at `now`: those of a new hour if the stored hour has ended.

    The hour ends one second late, so that clocks need not agree to the second.
    """
    if calls.resets_at is None or now < calls.resets_at + 1:
        return calls
    hours = (now - calls.resets_at) // HOUR
    return msgspec.structs.replace(
        calls,
        left=calls.limit if calls.reported else max(1, calls.limit // 2),
        resets_at=calls.resets_at + (hours + 1) * HOUR if calls.top_of_hour else None,
        asked=0,
        reconciled=0,
        unverified=0,
        asked_before=calls.asked if hours < 1 else 0,
    )
