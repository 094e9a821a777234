"""What a reconcile run would do now, and why: read, not written. For the reconcile run itself, and for people."""

import logging
from collections.abc import Iterable

import msgspec
from redis import Redis

from workers.inbox import inbox_clock, webhook_health
from workers.inbox.budget.hourly_calls import HourlyCalls, Rules, reconcile_calls_per_hour
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
    """The state at a moment, and what follows from it."""

    #: By the inbox clock, seconds since 1970.
    now: float
    state: ReconcileState
    known: dict[str, TrackedRequest]
    webhook_health: WebhookHealth
    tokens: HourlyCalls
    #: Calls that a reconcile run may make now.
    calls: int
    #: Of them, for what somebody said who cannot be verified.
    calls_for_unverified: int
    intervals: CheckIntervals
    plan: Plan
    guaranteed_interval: GuaranteedInterval
    #: What the plan was made from.
    situation: Situation

    @property
    def needs_full_fetch(self) -> list[TrackedRequest]:
        """Requests that are asked for by themselves, now, before all else."""
        return [known for known in self.known.values() if known.needs_full_fetch and self.is_due_anyway(known)]

    @property
    def unverified(self) -> list[TrackedRequest]:
        """Due because of what somebody said who cannot be verified: after all else, what we know better first."""
        due = [known for known in self.known.values() if known.unverified and known.hold <= self.now]
        return sorted((known for known in due if not self.is_due_anyway(known)), key=is_only_claimed)

    def is_due_anyway(self, known: TrackedRequest) -> bool:
        """Whether it is worth a call now, whatever somebody said who cannot be verified."""
        if known.hold > self.now or is_only_claimed(known):
            return False
        return not known.unverified or self.intervals.due_at(scheduled(known)) <= self.now

    def plan_only(self, requests: tuple[OpenRequest, ...], calls: int) -> Plan:
        """How to look for these alone, with so many calls."""
        changes = {"due": requests, "calls": calls, "borrowed": 0, "checkpoint": None}
        return planner.plan(msgspec.structs.replace(self.situation, **changes))

    @property
    def may_borrow(self) -> bool:
        """Something in the plan has very likely ended, or awaits confirmation: it may borrow."""
        return any(check_interval.urgent(request, self.now) for request in self.plan.targets)

    @property
    def deferred_for_batching(self) -> bool:
        """What is due is too little for a call."""
        return self.plan.kind == "nothing" and self.calls > 0


def scheduled(known: TrackedRequest) -> OpenRequest:
    """The request as it is, without what somebody said of it who cannot be verified."""
    return msgspec.structs.replace(known.request, refused=False) if known.unverified else known.request


def is_only_claimed(known: TrackedRequest) -> bool:
    """Whether nothing but a callback URL speaks of it: whoever has one can make it up."""
    return known.request.learned == "callback"


def look(settings: Settings, redis: Redis, api_key: str | None = None, indexes: KeyIndexes | None = None) -> Snapshot:
    """Everything that a plan depends on, and the plan; for the current API key unless told."""
    key = settings.api_key if api_key is None else api_key
    assert key is not None
    indexes = indexes if indexes is not None else api_keys.read(redis).indexes(api_key_hash(key))
    now = inbox_clock.now(redis)
    known = tracked_requests.load(redis, indexes)
    left = read_state(redis, indexes)
    health, _ = webhook_health.health(redis)
    routine = RedisBudget(redis, key, rules=rules(settings), purpose="reconcile")
    calls, tokens = routine.available(), routine.read()
    requests = tuple(
        scheduled(one)
        for one in known.values()
        if one.hold <= now and not one.needs_full_fetch and not is_only_claimed(one)
    )
    intervals = check_interval.intervals(
        requests,
        health,
        now=now,
        calls_per_hour=reconcile_calls_per_hour(tokens, rules(settings)),
        bound=settings.check_within,
    )
    situation = Situation(
        now=now,
        known=requests,
        webhook_health=health,
        intervals=intervals,
        calls=calls,
        borrowed=routine.available("overdue"),
        open_statuses=statuses(left),
        checkpoint=left.checkpoint,
    )
    oldest = max((now - request.created_at for request in requests), default=0.0)
    return Snapshot(
        now=now,
        state=left,
        known=known,
        webhook_health=health,
        tokens=tokens,
        calls=calls,
        calls_for_unverified=routine.available("unverified"),
        intervals=intervals,
        plan=planner.plan(situation),
        situation=situation,
        guaranteed_interval=check_interval.guaranteed_interval(len(requests), intervals, oldest_age=oldest),
    )


def read_state(redis: Redis, indexes: KeyIndexes | None = None) -> ReconcileState:
    """What the last reconcile run left; of the current API key unless told."""
    return state.of(reconcile_state.read(redis, indexes or api_keys.read(redis).current))


def rules(settings: Settings) -> Rules:
    return Rules(share=settings.reconcile_share, reserve=settings.ask_reserve, floor=min(0.1, settings.reconcile_share))


def statuses(left: ReconcileState) -> tuple[str, ...]:
    """The lists that show open requests."""
    return ("pending", "claimed") if left.claimed else ("pending",)


def overdue(requests: Iterable[OpenRequest], now: float) -> int:
    """How many are past their time, as far as we know."""
    return sum(
        request.timeout_at is not None and request.timeout_at + check_interval.GRACE <= now for request in requests
    )


def update_alarm(left: ReconcileState, redis: Redis, past_due: int, now: float) -> ReconcileState:
    """The trail with the alarm raised, or taken back: decisions are made, and no webhook tells of them."""
    health, since_webhook = webhook_health.health(redis)
    silent = health.silent(past_due + since_webhook, now)
    if silent and left.silent_since is None:
        logger.error(
            "webhooks.silent: %d decisions found by reconcile runs and %d requests past due since the last webhook; "
            "check that HITL.sh reaches HITL_PUBLIC_URL and that the webhook secret is right",
            since_webhook, past_due,
        )  # fmt: skip
        return msgspec.structs.replace(left, silent_since=now)
    if not silent and left.silent_since is not None:
        logger.warning("webhooks.resumed: webhooks arrive again")
        return msgspec.structs.replace(left, silent_since=None)
    return left
