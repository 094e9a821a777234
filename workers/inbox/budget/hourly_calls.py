"""The calls of one API key in an hour, as values; call_budget.lua counts them.

The documents disagree on when the hour begins: with the first call, or at the top of the hour. What HITL.sh
reports decides. Until it has reported anything, half the limit is used per hour from our first call: then no
hour, wherever it begins, holds more than the limit.
"""

from typing import Literal

import msgspec

HOUR = 3600.0

#: What a call is made for: asking a question, a routine reconcile run, an overdue or unconfirmed request, or a request
#: that only unverified deliveries name.
Purpose = Literal["asking", "reconcile", "overdue", "unverified"]


class BudgetRules(msgspec.Struct, frozen=True, kw_only=True):
    """How the calls of an hour are shared out; fractions of the limit."""

    #: HITL.sh's limit, until its headers say another.
    per_hour: int = 100
    #: What routine reconcile runs may use.
    share: float = 0.5
    #: Kept for asking, whatever else is due; overdue decisions may borrow half of it.
    reserve: float = 0.2
    #: Reconcile runs get this much even where asking used more than its reserve in the hour before.
    floor: float = 0.1
    #: Of what routine reconcile runs may use, the cap on calls for unverified requests.
    unverified: float = 0.1

    def __post_init__(self) -> None:
        if self.per_hour < 1:
            raise ValueError(f"BudgetRules(per_hour={self.per_hour}): give at least 1 call an hour")
        for name in ("share", "reserve", "floor", "unverified"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"BudgetRules({name}={getattr(self, name)}): give a fraction from 0 to 1")


class HourlyCalls(msgspec.Struct, frozen=True, kw_only=True):
    """What has been spent in this hour, and what is left."""

    limit: int
    left: int
    #: None until the first call.
    resets_at: float | None = None
    #: HITL.sh has reported when the hour ends.
    reported: bool = False
    #: HITL.sh's hours end at the top of the clock's.
    top_of_hour: bool = False
    #: Until then no call is made: a 429 did not say when the hour ends.
    closed_until: float = 0.0
    asked: int = 0
    reconciled: int = 0
    #: Of the reconciled ones: for unverified requests.
    unverified: int = 0
    #: Asked in the hour before: about as many are to be expected in this one.
    asked_before: int = 0
    #: How often HITL.sh reported no calls left while our own count had some.
    surprises: int = 0


def initial(rules: BudgetRules) -> HourlyCalls:
    """Before the first call."""
    return HourlyCalls(limit=rules.per_hour, left=max(1, rules.per_hour // 2))


def reconcile_calls_per_hour(calls: HourlyCalls, rules: BudgetRules) -> float:
    """Calls an hour that routine reconcile runs can count on, if asking goes on as in the hour before."""
    asking = max(calls.asked_before, calls.asked, rules.reserve * calls.limit)
    return min(rules.share * calls.limit, max(rules.floor * calls.limit, calls.limit - asking))


def in_hour(calls: HourlyCalls, now: float) -> HourlyCalls:
    """The calls as of `now`: those of the next hour, where the hour that was kept has ended.

    One second late, so that clocks need not agree to the second.
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
