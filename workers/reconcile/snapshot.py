"""Takes a snapshot: the state of reconciliation and the plan that follows from it. Reads only."""

import logging
from collections.abc import Iterable

import msgspec
from redis import Redis

from workers.inbox import inbox_clock, webhook_health
from workers.inbox.budget.hourly_calls import BudgetRules, HourlyCalls, reconcile_calls_per_hour
from workers.inbox.budget.redis_budget import RedisBudget
from workers.inbox.tracker import api_keys, reconcile_state, tracked_requests
from workers.inbox.tracker.api_keys import KeyIndexes, api_key_hash
from workers.inbox.tracker.tracked_requests import TrackedRequest
from workers.inbox.values import OpenRequest, WebhookHealth
from workers.reconcile import state
from workers.reconcile.planning import check_interval, planner
from workers.reconcile.planning.check_interval import CheckIntervals, GuaranteedInterval
from workers.reconcile.planning.planner import Plan, Situation
from workers.reconcile.state import ReconcileState
from workers.settings import Settings

logger = logging.getLogger("hitl.reconcile")


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    """The state at a moment, and the plan that follows from it."""

    #: By the inbox clock, seconds since 1970.
    now: float
    state: ReconcileState
    tracked: dict[str, TrackedRequest]
    webhook_health: WebhookHealth
    hourly_calls: HourlyCalls
    #: Calls that a reconcile run may make now.
    calls: int
    #: Those among them for unverified requests.
    calls_for_unverified: int
    intervals: CheckIntervals
    plan: Plan
    guaranteed_interval: GuaranteedInterval
    #: What the plan was made from.
    situation: Situation

    @property
    def interval(self) -> float:
        """Seconds until a new request is checked first, and between two discoveries."""
        return min(self.intervals.shortest, self.intervals.bound)

    @property
    def needs_full_fetch(self) -> list[TrackedRequest]:
        """Requests that are read one by one, before anything else."""
        return [
            request for request in self.tracked.values() if request.needs_full_fetch and self.is_due_anyway(request)
        ]

    @property
    def unverified(self) -> list[TrackedRequest]:
        """Requests that are due only because of an unverified delivery; last, those known only from callback URLs."""
        due = [request for request in self.tracked.values() if request.unverified and request.hold <= self.now]
        return sorted((request for request in due if not self.is_due_anyway(request)), key=is_only_claimed)

    def is_due_anyway(self, tracked: TrackedRequest) -> bool:
        """Whether the request is due even without the unverified deliveries that name it."""
        if tracked.hold > self.now or is_only_claimed(tracked):
            return False
        return not tracked.unverified or self.intervals.due_at(scheduled(tracked)) <= self.now

    def plan_only(self, requests: tuple[OpenRequest, ...], calls: int) -> Plan:
        """The plan for these requests only, with this number of calls."""
        changes = {"due": requests, "calls": calls, "borrowed": 0, "checkpoint": None}
        return planner.plan(msgspec.structs.replace(self.situation, **changes))

    @property
    def may_borrow(self) -> bool:
        """The plan may borrow calls: a target has very likely ended, or awaits confirmation."""
        return any(check_interval.is_urgent(request, self.now) for request in self.plan.targets)

    @property
    def deferred_for_batching(self) -> bool:
        """Requests are due, but too few to be worth a call."""
        return self.plan.kind == "nothing" and self.calls > 0


def scheduled(tracked: TrackedRequest) -> OpenRequest:
    """The request as it is due without the unverified deliveries that name it."""
    return msgspec.structs.replace(tracked.request, refused=False) if tracked.unverified else tracked.request


def is_only_claimed(tracked: TrackedRequest) -> bool:
    """Whether only callback deliveries name the request; anybody who has such a URL can forge them."""
    return tracked.request.learned == "callback"


def take(
    settings: Settings,
    redis: Redis,
    api_key: str | None = None,
    indexes: KeyIndexes | None = None,
    *,
    checks_all: bool = False,
) -> Snapshot:
    """Read everything that a plan depends on, and plan; for the current API key by default.

    `checks_all`: every open request counts as due.
    """
    key = settings.api_key if api_key is None else api_key
    assert key is not None
    indexes = indexes if indexes is not None else api_keys.read(redis).indexes(api_key_hash(key))
    now = inbox_clock.now(redis)
    tracked = tracked_requests.load(redis, indexes)
    run_state = read_state(redis, indexes)
    health, _ = webhook_health.health(redis)
    budget = RedisBudget(redis, key, rules=rules(settings), purpose="reconcile")
    calls, hourly_calls = budget.available(), budget.read()
    requests = _routine_requests(tracked, now)
    intervals = check_interval.intervals(
        requests,
        health,
        now=now,
        calls_per_hour=reconcile_calls_per_hour(hourly_calls, rules(settings)),
        bound=settings.check_within,
    )
    situation = Situation(
        now=now,
        requests=requests,
        webhook_health=health,
        intervals=intervals,
        calls=calls,
        borrowed=budget.available("overdue"),
        open_statuses=statuses(run_state),
        checkpoint=run_state.checkpoint,
        checks_all=checks_all,
    )
    return Snapshot(
        now=now,
        state=run_state,
        tracked=tracked,
        webhook_health=health,
        hourly_calls=hourly_calls,
        calls=calls,
        calls_for_unverified=budget.available("unverified"),
        intervals=intervals,
        plan=planner.plan(situation),
        situation=situation,
        guaranteed_interval=_guaranteed_interval(situation),
    )


def _routine_requests(tracked: dict[str, TrackedRequest], now: float) -> tuple[OpenRequest, ...]:
    """The requests that routine checks may find in a list."""
    return tuple(
        scheduled(each)
        for each in tracked.values()
        if each.hold <= now and not each.needs_full_fetch and not is_only_claimed(each)
    )


def _guaranteed_interval(situation: Situation) -> GuaranteedInterval:
    requests = situation.requests
    oldest = max((situation.now - request.created_at for request in requests), default=0.0)
    return check_interval.guaranteed_interval(len(requests), situation.intervals, oldest_age=oldest)


def read_state(redis: Redis, indexes: KeyIndexes | None = None) -> ReconcileState:
    """The state that the latest reconcile run left; of the current API key by default."""
    return state.of(reconcile_state.read(redis, indexes or api_keys.read(redis).current))


def rules(settings: Settings) -> BudgetRules:
    """The call budget rules of these settings."""
    return BudgetRules(
        share=settings.reconcile_share, reserve=settings.ask_reserve, floor=min(0.1, settings.reconcile_share)
    )


def statuses(run_state: ReconcileState) -> tuple[str, ...]:
    """Statuses of the listings that show open requests."""
    return ("pending", "claimed") if run_state.claimed else ("pending",)


def overdue(requests: Iterable[OpenRequest], now: float) -> int:
    """How many of these requests are past their timeout."""
    return sum(
        request.timeout_at is not None and request.timeout_at + check_interval.GRACE <= now for request in requests
    )


def update_alarm(run_state: ReconcileState, redis: Redis, past_due: int, now: float) -> ReconcileState:
    """The state with the alarm raised or cleared: requests end, and no webhook delivers their decisions."""
    health, since_webhook = webhook_health.health(redis)
    silent = health.is_silent(past_due + since_webhook, now)
    if silent and run_state.silent_since is None:
        logger.error(
            "webhooks.silent: %d decisions found by reconcile runs and %d requests past due since the last webhook; "
            "check that HITL.sh reaches HITL_PUBLIC_URL and that the webhook secret is right",
            since_webhook, past_due,
        )  # fmt: skip
        return msgspec.structs.replace(run_state, silent_since=now)
    if not silent and run_state.silent_since is not None:
        logger.warning("webhooks.resumed: webhooks arrive again")
        return msgspec.structs.replace(run_state, silent_since=None)
    return run_state
