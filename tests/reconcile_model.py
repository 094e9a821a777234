"""What the scripts do, in Python: how calls are spent and observed, and how a decision changes webhook health.

`workers.inbox.budget` and accept.lua do this in Redis. The model of a vendor's day needs no Redis, and a test compares
call_budget.lua with it.
"""

import math

import msgspec

from workers.inbox.budget.hourly_calls import HOUR, BudgetRules, HourlyCalls, Purpose, in_hour
from workers.inbox.values import WebhookHealth

#: Seconds without calls after a 429 that does not say when the hour ends.
UNREPORTED = 60.0
#: Seconds: a reset that is further away is taken for an error of whoever reported it.
FARTHEST = 86_400.0


def after_decision(health: WebhookHealth, *, by_webhook: bool, now: float, weight: float = 0.05) -> WebhookHealth:
    """Webhook health after one more decision, found by a webhook or by a reconcile run."""
    lost = 0.0 if by_webhook else 1.0
    return msgspec.structs.replace(
        health,
        loss=health.loss + weight * (lost - health.loss),
        last_webhook=now if by_webhook else health.last_webhook,
    )


def available(calls: HourlyCalls, rules: BudgetRules, purpose: Purpose, now: float) -> int:
    """How many calls this purpose may make now."""
    calls = in_hour(calls, now)
    if now < calls.closed_until:
        return 0
    if purpose == "asking":
        return calls.left
    reserve = max(0, math.ceil(rules.reserve * calls.limit) - calls.asked)
    if purpose == "overdue":
        return max(0, calls.left - math.ceil(reserve / 2))
    floor = math.ceil(rules.floor * calls.limit) - calls.reconciled
    kept = max(reserve, min(_expected(calls, now), calls.left - floor))
    routine = max(0, min(math.floor(rules.share * calls.limit) - calls.reconciled, calls.left - kept))
    return routine if purpose == "reconcile" else min(routine, unverified_left(calls, rules))


def unverified_left(calls: HourlyCalls, rules: BudgetRules) -> int:
    """What this hour's cap leaves for what somebody said who cannot be verified."""
    return max(0, math.ceil(rules.unverified * calls.limit) - calls.unverified)


def spend(calls: HourlyCalls, rules: BudgetRules, purpose: Purpose, now: float) -> tuple[HourlyCalls, float]:
    """Take one call: 0.0 when it is yours, else the seconds until it is worth asking again."""
    calls = _begun(in_hour(calls, now), now)
    if available(calls, rules, purpose, now) < 1:
        if purpose == "unverified" and unverified_left(calls, rules) < 1:
            return calls, _until_reset(calls, now)
        return calls, _wait(calls, now)
    by_asking = purpose == "asking"
    return msgspec.structs.replace(
        calls,
        left=calls.left - 1,
        asked=calls.asked + by_asking,
        reconciled=calls.reconciled + (not by_asking),
        unverified=calls.unverified + (purpose == "unverified"),
    ), 0.0


def observe(
    calls: HourlyCalls, now: float, *, remaining: int | None, resets_at: float | None = None, limit: int | None = None
) -> HourlyCalls:
    """Believe HITL.sh on its limit, on when its hour ends, and on having less left than we thought."""
    calls = in_hour(calls, now)
    if limit is not None and limit > 0:
        gained = limit - calls.limit if calls.reported else limit // 2 - calls.limit // 2
        calls = msgspec.structs.replace(calls, limit=limit, left=max(0, calls.left + gained))
    if remaining is None:
        return calls
    overcounted = remaining == 0 and calls.left > 0
    if resets_at is None or not now < resets_at <= now + FARTHEST:
        closed = now + UNREPORTED if remaining == 0 else calls.closed_until
        return msgspec.structs.replace(
            calls,
            left=min(calls.left, remaining),
            closed_until=closed,
            overcounts=calls.overcounts + overcounted,
        )
    return msgspec.structs.replace(_with_reset(calls, remaining, resets_at), overcounts=calls.overcounts + overcounted)


def _with_reset(calls: HourlyCalls, remaining: int, resets_at: float) -> HourlyCalls:
    spent = calls.asked + calls.reconciled
    if not calls.reported:
        # What we spent since our first call may still be in flight: not counted there, but ours.
        left = min(calls.limit - spent, remaining)
    elif calls.resets_at is not None and resets_at > calls.resets_at + 1:
        # HITL.sh's hour began after ours; what we have spent may belong to either.
        left = min(calls.limit - spent, remaining)
    else:
        left = min(calls.left, remaining)
    return msgspec.structs.replace(
        calls, left=max(0, left), resets_at=resets_at, reported=True, top_of_hour=resets_at % HOUR == 0
    )


def _begun(calls: HourlyCalls, now: float) -> HourlyCalls:
    if calls.resets_at is not None:
        return calls
    return msgspec.structs.replace(calls, resets_at=now + HOUR)


def _expected(calls: HourlyCalls, now: float) -> int:
    """What asking will want in the rest of the hour, if it goes on as in the hour before."""
    rest = HOUR if calls.resets_at is None else max(0.0, min(HOUR, calls.resets_at - now))
    return math.ceil(calls.asked_before * rest / HOUR)


def _wait(calls: HourlyCalls, now: float) -> float:
    """Until the hour ends when nothing is left; a share grows again sooner, as the hour's asking is done."""
    if now < calls.closed_until:
        return calls.closed_until - now
    until_reset = _until_reset(calls, now)
    return until_reset if calls.left < 1 else min(until_reset, UNREPORTED)


def _until_reset(calls: HourlyCalls, now: float) -> float:
    return HOUR if calls.resets_at is None else calls.resets_at + 1 - now
