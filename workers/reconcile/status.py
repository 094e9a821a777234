"""How reconciliation stands, read without loading the request tracker: for people, and for whoever watches."""

from collections.abc import Sequence
from typing import cast

import msgspec
from redis import Redis

from workers.inbox import keys, webhook_health
from workers.inbox.tracker import api_keys, tracked_counts
from workers.inbox.tracker.api_keys import api_key_hash
from workers.inbox.tracker.tracked_counts import TrackedCounts
from workers.inbox.webhook_health import Hour
from workers.reconcile import hourly_calls, snapshot
from workers.reconcile.budget import RedisBudget
from workers.reconcile.state import ReconcileState
from workers.settings import Settings

#: Hours of webhooks that are summed up.
HOURS = 24


class Calls(msgspec.Struct, frozen=True, kw_only=True):
    """The API calls of this hour."""

    limit: int
    #: Calls that may be made now: to ask, for a routine run, and for a run on overdue or unconfirmed requests.
    asking: int
    routine: int
    overdue: int
    #: Seconds since 1970; None until the first call.
    resets_at: float | None
    #: HITL.sh itself has said when the hour ends.
    told: bool
    asked: int
    reconciled: int
    #: Of the reconciled ones: on what somebody said who cannot be verified.
    unverified: int
    #: How often HITL.sh had nothing left while we thought otherwise.
    surprises: int


class ActiveRun(msgspec.Struct, frozen=True, kw_only=True):
    """Who holds the lease of reconcile runs."""

    #: Until its lease runs out, unless it is renewed.
    seconds: float
    #: No reconcile run, but a worker that could not make one: none is asked for until that runs out.
    held_off: bool


class ReconcileStatus(msgspec.Struct, frozen=True, kw_only=True):
    """All that there is to say of it; None for the calls where there is no API key."""

    counts: TrackedCounts
    state: ReconcileState
    active_run: ActiveRun | None
    calls: Calls | None
    #: Nobody has looked yet what there is; the clock asks for that at once.
    is_first_run: bool
    #: Decisions of the last 24 hours, by how they were found.
    webhooks: Hour
    #: Answers of 429 that reconcile runs got in all, and when the last came; None where nobody wrote that down.
    limited: int
    limited_at: float | None = None

    @property
    def ever(self) -> bool:
        """A reconcile run has been made, wherever its key is."""
        return self.state.report is not None or self.state.horizon is not None

    @property
    def is_limited(self) -> bool:
        """In the last 24 hours, as far as is known."""
        return self.limited > 0 and (self.limited_at is None or self.counts.now - self.limited_at < HOURS * 3600)


def read_status(settings: Settings, redis: Redis) -> ReconcileStatus:
    """A dozen round trips, however much there is."""
    known = api_keys.read(redis)
    current = known.current if settings.api_key is None else known.indexes(api_key_hash(settings.api_key))
    counts, state = tracked_counts.counts(redis), snapshot.read_state(redis, current)
    return ReconcileStatus(
        counts=counts,
        state=state,
        active_run=active_run(redis),
        calls=None if settings.api_key is None else calls(redis, settings, settings.api_key, counts.now),
        is_first_run=settings.discover and state.horizon is None,
        webhooks=total(webhook_health.history(redis, HOURS)),
        limited=int(redis.hget(keys.COUNTERS, "api_429") or 0),
        limited_at=float(found) if (found := redis.hget(current.state, "limited_at")) is not None else None,
    )


def calls(redis: Redis, settings: Settings, api_key: str, now: float) -> Calls:
    """The budget as it is now: what the last call left may be of an hour that has ended."""
    budget = RedisBudget(redis, api_key, rules=snapshot.rules(settings))
    report = hourly_calls.observe(budget.tokens(), now, remaining=None)
    return Calls(
        limit=report.limit,
        asking=budget.available("asking"),
        routine=budget.available("reconcile"),
        overdue=budget.available("overdue"),
        resets_at=report.resets_at,
        told=report.told,
        asked=report.asked,
        reconciled=report.reconciled,
        unverified=report.unverified,
        surprises=report.surprises,
    )


def active_run(redis: Redis) -> ActiveRun | None:
    """Who holds the lease, if anybody does."""
    with redis.pipeline() as pipe:
        pipe.get(keys.RECONCILE_LEASE)
        pipe.pttl(keys.RECONCILE_LEASE)
        token, left = cast("tuple[bytes | None, int]", pipe.execute())
    return None if token is None else ActiveRun(seconds=max(0, left) / 1000, held_off=token == b"0")


def total(hours: Sequence[Hour]) -> Hour:
    """Several hours as one, which begins with the first."""
    return Hour(
        begins_at=hours[0].begins_at,
        webhook=sum(hour.webhook for hour in hours),
        reconcile=sum(hour.reconcile for hour in hours),
        overtaken=sum(hour.overtaken for hour in hours),
    )
