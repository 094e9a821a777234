"""The calls of one API key in the present hour, as a value and what happens to it. No clock, no Redis.

The documents disagree on when the hour begins: with the first call, or at the top of the hour. What HITL.sh
reports decides. Until it has reported anything, half the limit is used per hour from our first call: then no
hour, wherever it begins, holds more than the limit.
"""

import math
from typing import Literal

import msgspec

HOUR = 3600.0
#: Seconds to leave the API alone after a 429 that does not say when the hour ends.
UNTOLD = 60.0
#: Seconds: an "hour" that ends later than that is a slip of whoever said so, and would close the account for as long.
FARTHEST = 86_400.0

#: Who pays: a person or program that asks, a routine reconcile run, one for a decision that is overdue, or one for what
#: somebody said who cannot be verified.
Purpose = Literal["asking", "reconcile", "overdue", "unverified"]


class Rules(msgspec.Struct, frozen=True, kw_only=True):
    """How the calls are shared out; fractions of the limit."""

    #: HITL.sh's limit, until its headers say another.
    per_hour: int = 100
    #: What routine reconcile runs may use.
    share: float = 0.5
    #: Kept for asking, whatever else is due; overdue decisions may borrow half of it.
    reserve: float = 0.2
    #: Reconcile runs get this much even where asking used more than its reserve in the hour before.
    floor: float = 0.1
    #: Of what routine reconcile runs may use, so much may go on what somebody said who cannot be verified.
    unverified: float = 0.1

    def __post_init__(self) -> None:
        if self.per_hour < 1:
            raise ValueError(f"Rules(per_hour={self.per_hour}): give at least 1 call an hour")
        for name in ("share", "reserve", "floor", "unverified"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"Rules({name}={getattr(self, name)}): give a fraction from 0 to 1")


class HourlyCalls(msgspec.Struct, frozen=True, kw_only=True):
    """What has been spent in this hour, and what is left."""

    limit: int
    left: int
    #: None until the first call.
    resets_at: float | None = None
    #: HITL.sh itself has said when the hour ends.
    told: bool = False
    #: HITL.sh's hours end at the top of the clock's.
    top_of_hour: bool = False
    #: Until then nothing is spent: a 429 came that did not say when the hour ends.
    closed_until: float = 0.0
    asked: int = 0
    reconciled: int = 0
    #: Of the reconciled ones: on what somebody said who cannot be verified.
    unverified: int = 0
    #: Asked in the hour before: about as many are to be expected in this one.
    asked_before: int = 0
    #: How often HITL.sh had nothing left while we thought otherwise.
    surprises: int = 0


def fresh(rules: Rules) -> HourlyCalls:
    """Nothing spent, nothing told."""
    return HourlyCalls(limit=rules.per_hour, left=max(1, rules.per_hour // 2))


def available(tokens: HourlyCalls, rules: Rules, purpose: Purpose, now: float) -> int:
    """How many calls this purpose may make now."""
    tokens = _turned(tokens, now)
    if now < tokens.closed_until:
        return 0
    if purpose == "asking":
        return tokens.left
    reserve = max(0, math.ceil(rules.reserve * tokens.limit) - tokens.asked)
    if purpose == "overdue":
        return max(0, tokens.left - math.ceil(reserve / 2))
    floor = math.ceil(rules.floor * tokens.limit) - tokens.reconciled
    kept = max(reserve, min(_expected(tokens, now), tokens.left - floor))
    routine = max(0, min(math.floor(rules.share * tokens.limit) - tokens.reconciled, tokens.left - kept))
    return routine if purpose == "reconcile" else min(routine, unverified_left(tokens, rules))


def unverified_left(tokens: HourlyCalls, rules: Rules) -> int:
    """What this hour's cap leaves for what somebody said who cannot be verified."""
    return max(0, math.ceil(rules.unverified * tokens.limit) - tokens.unverified)


def reconcile_calls_per_hour(tokens: HourlyCalls, rules: Rules) -> float:
    """Calls an hour that routine reconcile runs can count on, if asking goes on as in the hour before."""
    asking = max(tokens.asked_before, tokens.asked, rules.reserve * tokens.limit)
    return min(rules.share * tokens.limit, max(rules.floor * tokens.limit, tokens.limit - asking))


def spend(tokens: HourlyCalls, rules: Rules, purpose: Purpose, now: float) -> tuple[HourlyCalls, float]:
    """Take one call: 0.0 when it is yours, else the seconds until it is worth asking again."""
    tokens = _begun(_turned(tokens, now), now)
    if available(tokens, rules, purpose, now) < 1:
        if purpose == "unverified" and unverified_left(tokens, rules) < 1:
            return tokens, _until_reset(tokens, now)
        return tokens, _wait(tokens, now)
    by_asking = purpose == "asking"
    return msgspec.structs.replace(
        tokens,
        left=tokens.left - 1,
        asked=tokens.asked + by_asking,
        reconciled=tokens.reconciled + (not by_asking),
        unverified=tokens.unverified + (purpose == "unverified"),
    ), 0.0


def observe(
    tokens: HourlyCalls, now: float, *, remaining: int | None, resets_at: float | None = None, limit: int | None = None
) -> HourlyCalls:
    """Believe HITL.sh on its limit, on when its hour ends, and on having less left than we thought."""
    tokens = _turned(tokens, now)
    if limit is not None and limit > 0:
        gained = limit - tokens.limit if tokens.told else limit // 2 - tokens.limit // 2
        tokens = msgspec.structs.replace(tokens, limit=limit, left=max(0, tokens.left + gained))
    if remaining is None:
        return tokens
    surprised = remaining == 0 and tokens.left > 0
    if resets_at is None or not now < resets_at <= now + FARTHEST:
        closed = now + UNTOLD if remaining == 0 else tokens.closed_until
        return msgspec.structs.replace(
            tokens,
            left=min(tokens.left, remaining),
            closed_until=closed,
            surprises=tokens.surprises + surprised,
        )
    return msgspec.structs.replace(_told(tokens, remaining, resets_at), surprises=tokens.surprises + surprised)


def _told(tokens: HourlyCalls, remaining: int, resets_at: float) -> HourlyCalls:
    spent = tokens.asked + tokens.reconciled
    if not tokens.told:
        # What we spent since our first call may still be in flight: not counted there, but ours.
        left = min(tokens.limit - spent, remaining)
    elif tokens.resets_at is not None and resets_at > tokens.resets_at + 1:
        # HITL.sh's hour began after ours; what we have spent may belong to either.
        left = min(tokens.limit - spent, remaining)
    else:
        left = min(tokens.left, remaining)
    return msgspec.structs.replace(
        tokens, left=max(0, left), resets_at=resets_at, told=True, top_of_hour=resets_at % HOUR == 0
    )


def _turned(tokens: HourlyCalls, now: float) -> HourlyCalls:
    """The hour after, where this one has ended. One second late, so that clocks need not agree to the second."""
    if tokens.resets_at is None or now < tokens.resets_at + 1:
        return tokens
    hours = (now - tokens.resets_at) // HOUR
    return msgspec.structs.replace(
        tokens,
        left=tokens.limit if tokens.told else max(1, tokens.limit // 2),
        resets_at=tokens.resets_at + (hours + 1) * HOUR if tokens.top_of_hour else None,
        asked=0,
        reconciled=0,
        unverified=0,
        asked_before=tokens.asked if hours < 1 else 0,
    )


def _begun(tokens: HourlyCalls, now: float) -> HourlyCalls:
    if tokens.resets_at is not None:
        return tokens
    return msgspec.structs.replace(tokens, resets_at=now + HOUR)


def _expected(tokens: HourlyCalls, now: float) -> int:
    """What asking will want in the rest of the hour, if it goes on as in the hour before."""
    rest = HOUR if tokens.resets_at is None else max(0.0, min(HOUR, tokens.resets_at - now))
    return math.ceil(tokens.asked_before * rest / HOUR)


def _wait(tokens: HourlyCalls, now: float) -> float:
    """Until the hour ends when nothing is left; a share grows again sooner, as the hour's asking is done."""
    if now < tokens.closed_until:
        return tokens.closed_until - now
    until_reset = _until_reset(tokens, now)
    return until_reset if tokens.left < 1 else min(until_reset, UNTOLD)


def _until_reset(tokens: HourlyCalls, now: float) -> float:
    return HOUR if tokens.resets_at is None else tokens.resets_at + 1 - now
