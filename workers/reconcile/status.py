"""The status of reconciliation, read without loading the request tracker."""

from collections.abc import Sequence

import msgspec
from redis import Redis

from workers.inbox import counters, webhook_health
from workers.inbox.budget import hourly_calls
from workers.inbox.budget.redis_budget import RedisBudget
from workers.inbox.tracker import api_keys, reconcile_state, tracked_counts
from workers.inbox.tracker.api_keys import api_key_hash
from workers.inbox.tracker.reconcile_lease import ActiveRun, active_run
from workers.inbox.tracker.tracked_counts import TrackedCounts
from workers.inbox.webhook_health import Hour
from workers.reconcile import snapshot, state
from workers.reconcile.state import ReconcileState
from workers.settings import Settings

#: Hours of webhooks that are summed up.
HOURS = 24


class CallBudgetStatus(msgspec.Struct, frozen=True, kw_only=True):
    """The API calls of this hour, by purpose."""

    limit: int
    #: Calls that may be made now: to ask, for routine checks, and for checks of overdue or unconfirmed requests.
    asking: int
    routine: int
    overdue: int
    #: Seconds since 1970; None until the first call.
    resets_at: float | None
    #: HITL.sh has reported when the hour ends.
    is_reported: bool
    #: Calls made in this hour to ask, and by reconcile runs.
    asked: int
    reconciled: int
    #: Among the calls of reconcile runs: those for unverified requests.
    unverified: int
    #: How often HITL.sh reported no calls left while our own count had some.
    overcounts: int


class ReconcileStatus(msgspec.Struct, frozen=True, kw_only=True):
    """Counts, the latest run's state, and the call budget."""

    counts: TrackedCounts
    state: ReconcileState
    active_run: ActiveRun | None
    #: None without an API key.
    calls: CallBudgetStatus | None
    #: Discovery has never run; the clock enqueues it at once.
    is_first_run: bool
    #: Decisions of the last 24 hours, by how they were found.
    webhooks: Hour
    #: When a webhook last delivered a decision, in seconds since 1970; None for never.
    last_webhook: float | None
    #: Number of 429 replies to reconcile runs, and the time of the last one (None if unknown).
    limited: int
    limited_at: float | None = None

    @property
    def has_run(self) -> bool:
        """A reconcile run with the current key has saved something; it may have lost its lease before its end."""
        return self.state != ReconcileState()

    @property
    def silent_since(self) -> float | None:
        """Since when decisions are made and no webhook delivers them; None if one has arrived since."""
        since = self.state.silent_since
        return None if since is None or (self.last_webhook or 0.0) > since else since

    @property
    def is_limited(self) -> bool:
        """HITL.sh answered 429 to a reconcile run in the last 24 hours, or at an unknown time."""
        return self.limited > 0 and (self.limited_at is None or self.counts.now - self.limited_at < HOURS * 3600)


def read_status(settings: Settings, redis: Redis) -> ReconcileStatus:
    """Read the status in about a dozen round trips, whatever the number of requests."""
    registered = api_keys.read(redis)
    current = registered.current if settings.api_key is None else registered.indexes(api_key_hash(settings.api_key))
    counts, record = tracked_counts.counts(redis), reconcile_state.read(redis, current)
    run_state = state.of(record)
    return ReconcileStatus(
        counts=counts,
        state=run_state,
        active_run=active_run(redis),
        calls=None if settings.api_key is None else calls(redis, settings, settings.api_key, counts.now),
        is_first_run=settings.discover and run_state.horizon is None,
        webhooks=total(webhook_health.history(redis, HOURS)),
        last_webhook=webhook_health.last_webhook(redis),
        limited=counters.read(redis).get(counters.RATE_LIMITED, 0),
        limited_at=record.limited_at,
    )


def calls(redis: Redis, settings: Settings, api_key: str, now: float) -> CallBudgetStatus:
    """The call budget of the current hour; the stored one may be of an hour that has ended."""
    budget = RedisBudget(redis, api_key, rules=snapshot.rules(settings))
    report = hourly_calls.in_hour(budget.read(), now)
    return CallBudgetStatus(
        limit=report.limit,
        asking=budget.available("asking"),
        routine=budget.available("reconcile"),
        overdue=budget.available("overdue"),
        resets_at=report.resets_at,
        is_reported=report.reported,
        asked=report.asked,
        reconciled=report.reconciled,
        unverified=report.unverified,
        overcounts=report.overcounts,
    )


def total(hours: Sequence[Hour]) -> Hour:
    """The sum of several hours; begins with the first."""
    return Hour(
        begins_at=hours[0].begins_at,
        webhook=sum(hour.webhook for hour in hours),
        reconcile=sum(hour.reconcile for hour in hours),
        overtaken=sum(hour.overtaken for hour in hours),
    )
