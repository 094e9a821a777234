"""For each rule: how its alarm is raised in a real Redis, and how it is cleared."""

import asyncio
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any, cast

import msgspec
from redis import Redis

from service.local.embedded_server import EmbeddedServer
from tests.builders import delivery, payload
from workers import Router
from workers.inbox import keys, presence
from workers.inbox.alarms import alarm_figures, recent_counts
from workers.inbox.budget.redis_budget import RedisBudget
from workers.inbox.maintenance.repairing import Repairer
from workers.inbox.operations import pausing
from workers.inbox.store import accept
from workers.inbox.tracker import api_keys, tracked_requests
from workers.inbox.tracker.tracked_requests import NewRequest
from workers.queue import RECONCILE, enqueue_reconcile, queue
from workers.reconcile import state
from workers.reconcile.state import ReconcileReport, ReconcileState
from workers.redis_clients import drain_client
from workers.settings import Settings
from workers.startup_checks import unsent_field_warnings

KEY = "hitl_test_0123456789abcdef"
DAY = 86_400.0


@dataclass(frozen=True, kw_only=True)
class World:
    """A server with a clock and a web process, as far as alarms can tell."""

    redis: Redis
    url: str
    #: Another server, as a replica.
    replica: EmbeddedServer | None = None


Act = Callable[[World], object]


@dataclass(frozen=True, kw_only=True)
class Case:
    """What raises an alarm, and what clears it."""

    cause: Act
    repair: Act
    #: Alarms that come with it.
    others: Collection[str] = ()
    needs_replica: bool = False


def milliseconds(seconds_ago: float = 0.0) -> int:
    return int((time.time() - seconds_ago) * 1000)


def count(world: World, **counts: int) -> None:
    """As the web process counts once a second."""

    async def add() -> None:
        redis = drain_client(world.url)
        await recent_counts.add(redis, counts)
        await redis.aclose()

    asyncio.run(add())


def pass_time(world: World, seconds: float) -> None:
    """As if all that was counted had been counted so much earlier."""
    latest = cast("dict[bytes, bytes]", world.redis.hgetall(keys.LATEST))
    world.redis.hset(keys.LATEST, mapping={name: int(at) - int(seconds * 1000) for name, at in latest.items()})
    if seconds > recent_counts.SLOT * recent_counts.SLOTS:
        for name in world.redis.scan_iter(keys.recent(0).removesuffix("0") + "*"):
            world.redis.delete(name)


def verify_a_delivery_later(world: World) -> None:
    pass_time(world, 11)
    count(world, verified_signed=1)


def hold(world: World) -> None:
    world.redis.zadd(keys.DRAINS, {"drain": milliseconds(-60)})
    world.redis.zadd(keys.HELD, {"gone|event-1": 1, "gone|event-2": 2})


def announce_handler(world: World) -> None:
    world.redis.zadd(keys.HANDLERS, {"gone": milliseconds()})


def make_due(world: World, *, seconds: float, drains: int = 0) -> None:
    world.redis.zadd(keys.DUE, {"pay|event": milliseconds(seconds)})
    if drains:
        world.redis.zadd(keys.DRAINS, {"drain": milliseconds(-60)})


def publish_warnings(world: World, routers: Collection[Router]) -> None:
    settings = Settings(redis_url=world.url, webhook_secrets=("a-secret-of-these-tests",))

    async def publish() -> None:
        redis = drain_client(world.url)
        sentences = [sentence for router in routers for sentence in unsent_field_warnings(settings, router)]
        await alarm_figures.publish_route_warnings(redis, sentences)
        await redis.aclose()

    asyncio.run(publish())


def router_of_state() -> Router:
    router = Router()
    router.on("request.completed", state={"kind": "payout"})(_pay)
    return router


async def _pay(decision: object) -> None: ...


def enqueue_run(world: World) -> None:
    enqueue_reconcile(world.redis)
    [job] = queue(world.redis, RECONCILE).job_ids
    world.redis.hset(
        f"rq:job:{job}", "enqueued_at", time.strftime("%Y-%m-%dT%H:%M:%S.0Z", time.gmtime(time.time() - 40))
    )


def break_and_repair(world: World) -> None:
    """An event that nothing would route, which the clock finds."""
    accept(world.redis, [delivery()], retention=86_400)
    world.redis.delete(keys.DUE)
    assert Repairer(world.redis, retention=86_400).repair()
    world.redis.delete(keys.DUE)


def misuse_a_url(world: World) -> None:
    """The token was made for another request."""
    world.redis.set(f"{keys.PREFIX}token:leaked", "another-request")
    accept(world.redis, [delivery(callback_id="leaked", trust="callback")], retention=86_400)


def leave(world: World, **changes: Any) -> None:
    """What a reconcile run leaves to the next."""
    left = ReconcileState(report=ReconcileReport(began=time.time() - 20, ended=time.time() - 15))
    world.redis.hset(keys.RECONCILE_STATE, "state", state.encode(msgspec.structs.replace(left, **changes)))


def failed(trouble: Any, error: str = "") -> ReconcileReport:
    return ReconcileReport(began=time.time() - 20, ended=time.time() - 15, trouble=trouble, error=error)


def spend_calls(world: World) -> None:
    budget = RedisBudget(world.redis, KEY)
    while budget.spend() == 0.0:
        pass


def limit_memory(share: float) -> Act:
    def limit(world: World) -> None:
        world.redis.setrange("ballast", 16 << 20, "end")
        world.redis.config_set("maxmemory", int(world.redis.info("memory")["used_memory"] / share))

    return limit


def unlimit_memory(world: World) -> None:
    world.redis.config_set("maxmemory", 0)


def configure(setting: str, value: str) -> Act:
    return lambda world: world.redis.config_set(setting, value)


def change_key(world: World) -> None:
    api_keys.configure(world.redis, ["an-earlier-key"], lookback=DAY)
    tracked_requests.track(world.redis, NewRequest(request_id="r1", created_at=time.time() - 60), retention=86_400)
    api_keys.configure(world.redis, [KEY], lookback=DAY)


def follow(world: World) -> None:
    """A replica that waits for its first copy."""
    assert world.replica is not None
    world.redis.config_set("repl-diskless-sync-delay", 60)
    host, port = "127.0.0.1", world.redis.config_get("port")["port"]
    Redis.from_url(world.replica.url).replicaof(host, port)


CASES: Mapping[str, Case] = {
    "redis_full": Case(cause=limit_memory(0.95), repair=unlimit_memory),
    "redis_nearly_full": Case(cause=limit_memory(0.85), repair=unlimit_memory),
    "redis_refuses_writes": Case(
        cause=configure("min-replicas-to-write", "1"), repair=configure("min-replicas-to-write", "0")
    ),
    "redis_not_durable": Case(cause=configure("appendfsync", "no"), repair=configure("appendfsync", "everysec")),
    "redis_evicts": Case(
        cause=configure("maxmemory-policy", "allkeys-lru"), repair=configure("maxmemory-policy", "noeviction")
    ),
    "web_absent": Case(
        cause=lambda world: world.redis.delete(keys.present("web")),
        repair=lambda world: presence.announce(world.redis, "web"),
    ),
    "clock_absent": Case(
        cause=lambda world: world.redis.delete(keys.present("clock")),
        repair=lambda world: presence.announce(world.redis, "clock"),
    ),
    "no_drain": Case(
        cause=lambda world: make_due(world, seconds=12),
        repair=lambda world: world.redis.zadd(keys.DRAINS, {"drain": milliseconds(-60)}),
    ),
    "backlog": Case(
        cause=lambda world: make_due(world, seconds=70, drains=1), repair=lambda world: world.redis.delete(keys.DUE)
    ),
    "dead_letters": Case(
        cause=lambda world: world.redis.zadd(keys.FAILED, {"pay|event": milliseconds(3_700)}),
        repair=lambda world: world.redis.delete(keys.FAILED),
    ),
    "handler_missing": Case(cause=hold, repair=announce_handler),
    "paused": Case(
        cause=lambda world: pausing.pause(world.redis, "pay"), repair=lambda world: pausing.resume(world.redis, "pay")
    ),
    "unsent_fields": Case(
        cause=lambda world: publish_warnings(world, [router_of_state()]),
        repair=lambda world: publish_warnings(world, []),
    ),
    "reconcile_worker_absent": Case(
        cause=enqueue_run, repair=lambda world: world.redis.delete(f"rq:queue:{RECONCILE.queue}")
    ),
    "repaired": Case(cause=break_and_repair, repair=lambda world: pass_time(world, DAY)),
    "decisions_refused": Case(
        cause=lambda world: count(world, signature_mismatch=1, refused_tracked=1), repair=verify_a_delivery_later
    ),
    "deliveries_refused": Case(cause=lambda world: count(world, signature_mismatch=7), repair=verify_a_delivery_later),
    "callbacks_refused": Case(
        cause=lambda world: count(world, callback_forged=5, callback_expired=2),
        repair=lambda world: pass_time(world, 1_000),
    ),
    "over_quota": Case(cause=lambda world: count(world, over_quota=1), repair=lambda world: pass_time(world, 1_000)),
    "quarantined": Case(
        cause=lambda world: world.redis.zadd(keys.QUARANTINE, {"|unreadable": milliseconds(60)}),
        repair=lambda world: world.redis.delete(keys.QUARANTINE),
    ),
    "unrouted_decisions": Case(
        cause=lambda world: world.redis.zadd(keys.UNROUTED_DECISIONS, {"event": milliseconds(60)}),
        repair=lambda world: world.redis.zadd(keys.UNROUTED_DECISIONS, {"event": milliseconds(DAY + 60)}),
    ),
    "overruled": Case(
        cause=lambda world: world.redis.zadd(keys.OVERRULED, {"event": milliseconds(60)}),
        repair=lambda world: world.redis.zadd(keys.OVERRULED, {"event": milliseconds(DAY + 60)}),
    ),
    "conflicts": Case(
        cause=lambda world: accept(
            world.redis,
            [delivery(trust="signed"), delivery(payload(response="Reject"), trust="signed")],
            retention=86_400,
        ),
        repair=lambda world: pass_time(world, DAY),
    ),
    "callback_misused": Case(cause=misuse_a_url, repair=lambda world: pass_time(world, DAY), others=["overruled"]),
    "webhooks_silent": Case(cause=lambda world: leave(world, silent_since=time.time() - 60), repair=leave),
    "key_refused": Case(cause=lambda world: leave(world, report=failed("key_refused"), failures=1), repair=leave),
    "hitl_unreachable": Case(
        cause=lambda world: leave(world, report=failed("unreachable", "no answer in 8 s"), failures=3), repair=leave
    ),
    "reconcile_failing": Case(cause=lambda world: leave(world, report=failed("unexpected"), failures=3), repair=leave),
    "rate_limited": Case(
        cause=lambda world: (
            world.redis.hset(keys.COUNTERS, "api_429", 2),
            world.redis.hset(keys.RECONCILE_STATE, "limited_at", time.time() - 60),
        ),
        repair=lambda world: world.redis.hset(keys.RECONCILE_STATE, "limited_at", time.time() - DAY - 60),
    ),
    "calls_short": Case(
        cause=spend_calls,
        repair=lambda world: [world.redis.delete(name) for name in world.redis.scan_iter(keys.budget("*"))],
    ),
    "check_interval": Case(
        cause=lambda world: leave(world, warning="900 open requests need 10 pages a round"), repair=leave
    ),
    "requests_unreachable": Case(
        cause=change_key, repair=lambda world: api_keys.configure(world.redis, ["an-earlier-key", KEY], lookback=DAY)
    ),
    "redis_read_only": Case(
        cause=lambda world: world.redis.replicaof("127.0.0.1", "1"),
        repair=lambda world: world.redis.replicaof("NO", "ONE"),
    ),
    "replica_behind": Case(cause=follow, repair=configure("repl-diskless-sync-delay", "0"), needs_replica=True),
}
