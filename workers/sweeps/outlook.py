"""What a sweep would do now, and why: read, not written. For the sweep itself, and for people."""

import logging
from collections.abc import Iterable, Iterator

import msgspec
from redis import Redis

from workers.inbox import channel, inbox_clock, keys, ledger
from workers.inbox.ledger import Known
from workers.settings import Settings
from workers.sweeps import pace, planner, trail
from workers.sweeps.budget import RedisBudget
from workers.sweeps.pace import Pace, Promise
from workers.sweeps.planner import Plan, Situation
from workers.sweeps.progress import Channel, OpenRequest
from workers.sweeps.tokens import Rules, Tokens, sweeps_per_hour
from workers.sweeps.trail import Trail

logger = logging.getLogger("hitl.sweeps")


class Outlook(msgspec.Struct, frozen=True, kw_only=True):
    """The state at a moment, and what follows from it."""

    #: By the inbox clock, seconds since 1970.
    now: float
    trail: Trail
    known: dict[str, Known]
    channel: Channel
    tokens: Tokens
    #: Calls that a sweep may make now.
    calls: int
    pace: Pace
    plan: Plan
    promise: Promise

    @property
    def wholes(self) -> list[Known]:
        """Requests that are asked for by themselves, now, before all else."""
        return [known for known in self._wholes() if known.request.learned != "callback"]

    @property
    def strangers(self) -> list[Known]:
        """The same, of which we know nothing but what came by a callback URL: whoever has one can make them up."""
        found = [known for known in self._wholes() if known.request.learned == "callback"]
        # A flood of them must not take what others need.
        return found[: -(-self.calls // 2)]

    def _wholes(self) -> Iterator[Known]:
        return (known for known in self.known.values() if known.needs_whole and known.hold <= self.now)

    @property
    def pressing(self) -> bool:
        """Something in the plan has very likely ended, or awaits proof: it may borrow."""
        return any(pace.urgent(request, self.now) for request in self.plan.targets)

    @property
    def waits_for_company(self) -> bool:
        """What is due is too little for a call."""
        return self.plan.kind == "nothing" and self.calls > 0


def look(settings: Settings, redis: Redis) -> Outlook:
    """Everything that a plan depends on, and the plan."""
    assert settings.api_key is not None
    now = inbox_clock.now(redis)
    known = ledger.load(redis)
    left = read_trail(redis)
    health, _ = channel.health(redis)
    routine = RedisBudget(redis, settings.api_key, rules=rules(settings), purpose="sweep")
    calls, tokens = routine.available(), routine.tokens()
    requests = tuple(one.request for one in known.values() if one.hold <= now and not one.needs_whole)
    intervals = pace.pace(
        requests,
        health,
        now=now,
        calls_per_hour=sweeps_per_hour(tokens, rules(settings)),
        bound=settings.check_within,
    )
    situation = Situation(
        now=now,
        known=requests,
        channel=health,
        pace=intervals,
        calls=calls,
        borrowed=routine.available("overdue"),
        open_statuses=statuses(left),
        checkpoint=left.checkpoint,
    )
    oldest = max((now - request.created_at for request in requests), default=0.0)
    return Outlook(
        now=now,
        trail=left,
        known=known,
        channel=health,
        tokens=tokens,
        calls=calls,
        pace=intervals,
        plan=planner.plan(situation),
        promise=pace.promise(len(requests), intervals, oldest_age=oldest),
    )


def read_trail(redis: Redis) -> Trail:
    """What the last sweep left."""
    found = redis.hget(keys.SWEEP, "trail")
    return Trail() if found is None else trail.decode(found)


def rules(settings: Settings) -> Rules:
    return Rules(share=settings.sweep_share, reserve=settings.ask_reserve, floor=min(0.1, settings.sweep_share))


def statuses(left: Trail) -> tuple[str, ...]:
    """The lists that show open requests."""
    return ("pending", "claimed") if left.claimed else ("pending",)


def overdue(requests: Iterable[OpenRequest], now: float) -> int:
    """How many are past their time, as far as we know."""
    return sum(request.timeout_at is not None and request.timeout_at + pace.GRACE <= now for request in requests)


def sounded(left: Trail, redis: Redis, past_due: int, now: float) -> Trail:
    """The trail with the alarm raised, or taken back: decisions are made, and no webhook tells of them."""
    health, since_webhook = channel.health(redis)
    silent = health.silent(past_due + since_webhook, now)
    if silent and left.silent_since is None:
        logger.error(
            "channel.silent: %d decisions found by sweeps and %d requests past due since the last webhook; see that "
            "HITL.sh reaches HITL_PUBLIC_URL and that the webhook secret is right",
            since_webhook, past_due,
        )  # fmt: skip
        return msgspec.structs.replace(left, silent_since=now)
    if not silent and left.silent_since is not None:
        logger.warning("channel.heard: webhooks arrive again")
        return msgspec.structs.replace(left, silent_since=None)
    return left
