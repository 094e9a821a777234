"""The drain in this process, on a real server; its life as a process is in tests/processes."""

import asyncio
import logging
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from redis import Redis
from redis.asyncio import Redis as AsyncRedis

from tests.builders import claimed, delivery, key, payload, routed
from workers import Decision, GiveUp, RetryLater, Router
from workers.handlers import drain as drain_module
from workers.handlers.drain import Drain, DrainOptions
from workers.handlers.effects import MAX_CRASHES, UNDECODABLE_TRIES
from workers.handlers.executor import MAX_BYTES, EvidenceMemory
from workers.inbox import keys
from workers.inbox.operations import failures
from workers.inbox.queries import lookup
from workers.inbox.worker_inbox import LeaseKeeper, WorkerInbox
from workers.queue import DRAIN, waiting_key

QUICK = {"backoff": (0.01, 0.01)}


@pytest.fixture
def inbox(async_redis: AsyncRedis) -> WorkerInbox:
    return WorkerInbox(async_redis, retention=86_400, lease=5.0)


@asynccontextmanager
async def draining(inbox: WorkerInbox, redis: Redis, router: Router, **terms: Any) -> AsyncIterator[Drain]:
    drain = Drain(inbox, router, LeaseKeeper(redis, lease=5.0), DrainOptions(**({"lease": 5.0} | terms)))
    running = asyncio.create_task(drain.run())
    try:
        yield drain
    finally:
        drain.stop()
        await running


async def until(true: Callable[[], bool], seconds: float = 5.0) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it did not come to pass"
        await asyncio.sleep(0.005)


async def finished(redis: Redis, event_key: str) -> lookup.EventRecord:
    """The record, once nothing of it is due or running."""
    await until(lambda: redis.zcard(keys.DUE) == 0)
    record = lookup.event(redis, event_key)
    assert record is not None
    return record


async def test_every_matching_handler_runs_as_its_own_effect(inbox: WorkerInbox, redis: Redis) -> None:
    router, seen = Router(), []

    @router.on("request.completed", response="Approve")
    async def pay(decision: Decision) -> None:
        seen.append(("pay", decision.response, decision.state))

    @router.on("request.completed")
    def notify(decision: Decision) -> None:
        seen.append(("notify", decision.response, decision.state))

    @router.on("request.timeout")
    def release(decision: Decision) -> None:
        seen.append(("release", None, None))

    await inbox.accept([delivery(callback_id="c", state={"order": 7})])
    async with draining(inbox, redis, router):
        record = await finished(redis, key(payload()))

    assert sorted(seen) == [("notify", "Approve", {"order": 7}), ("pay", "Approve", {"order": 7})]
    assert record.state == "done"


@pytest.mark.slow
async def test_a_new_event_wakes_an_idle_drain(inbox: WorkerInbox, redis: Redis) -> None:
    router, seen = Router(), asyncio.Event()

    @router.on("request.*")
    async def note(decision: Decision) -> None:
        seen.set()

    async with draining(inbox, redis, router):
        await asyncio.sleep(0.1)
        start = time.monotonic()
        await inbox.accept([delivery()])
        await asyncio.wait_for(seen.wait(), 1.0)
        took = time.monotonic() - start

    assert took < 0.5


async def test_an_idle_drain_that_is_stopped_does_not_wait_for_work(
    inbox: WorkerInbox, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drain_module, "WAIT", 4.0)
    drain = Drain(inbox, Router(), LeaseKeeper(redis, lease=5.0), DrainOptions(lease=5.0))
    running = asyncio.create_task(drain.run())
    await until(lambda: any(client["cmd"] == "blpop" for client in redis.client_list()))

    drain.stop()

    await asyncio.wait_for(running, 3.0)
    assert redis.llen(keys.WAKE) == 0


async def test_a_handler_that_raises_is_tried_again_and_its_neighbour_is_not(inbox: WorkerInbox, redis: Redis) -> None:
    router, attempts, neighbour = Router(), [], []

    @router.on("request.completed", **QUICK)
    async def flaky(decision: Decision) -> None:
        attempts.append(decision.attempt)
        if len(attempts) < 3:
            raise ConnectionError("downstream is away")

    @router.on("request.completed")
    async def steady(decision: Decision) -> None:
        neighbour.append(decision.attempt)

    await inbox.accept([delivery()])
    async with draining(inbox, redis, router):
        record = await finished(redis, key(payload()))

    assert (attempts, neighbour) == ([1, 2, 3], [1])
    assert [(effect.handler, effect.state, effect.errors) for effect in record.effects] == [
        ("flaky", "done", 2),
        ("steady", "done", 0),
    ]


async def test_after_five_attempts_the_effect_is_a_dead_letter(inbox: WorkerInbox, redis: Redis) -> None:
    router, attempts = Router(), []

    @router.on("request.completed", attempts=5, **QUICK)
    def broken(decision: Decision) -> None:
        attempts.append(decision.attempt)
        raise ValueError("no such account")

    await inbox.accept([delivery()])
    async with draining(inbox, redis, router):
        record = await finished(redis, key(payload()))

    assert attempts == [1, 2, 3, 4, 5]
    [effect] = record.effects
    assert effect.state == "failed"
    assert effect.error is not None
    assert "ValueError: no such account" in effect.error
    assert redis.zcard(keys.FAILED) == 1


async def test_retry_later_is_no_error_and_give_up_is_final(
    inbox: WorkerInbox, redis: Redis, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    router, attempts = Router(), []

    @router.on("request.completed")
    async def patient(decision: Decision) -> None:
        attempts.append(decision.attempt)
        if decision.attempt < 8:
            raise RetryLater(0.001, "the bank is closed")

    @router.on("request.completed")
    async def resigned(decision: Decision) -> None:
        raise GiveUp("the account is closed")

    await inbox.accept([delivery()])
    async with draining(inbox, redis, router):
        record = await finished(redis, key(payload()))

    assert attempts == list(range(1, 9))
    assert caplog.text.count("reason=again in 0.001 s: the bank is closed") == 7
    assert [(effect.state, effect.errors) for effect in record.effects] == [("done", 0), ("failed", 1)]


async def test_async_handlers_overlap_and_plain_ones_run_in_threads(inbox: WorkerInbox, redis: Redis) -> None:
    router, tasks, threads = Router(), asyncio.Barrier(8), threading.Barrier(8)

    @router.on("request.completed")
    async def waits(decision: Decision) -> None:
        await tasks.wait()

    @router.on("request.completed")
    def blocks(decision: Decision) -> None:
        threads.wait(timeout=10)

    await inbox.accept([delivery(payload(request_id=f"66c0ffee00000000000000{n:02}")) for n in range(8)])
    async with draining(inbox, redis, router):
        await until(lambda: redis.zcard(keys.DUE) == 0)

    assert redis.zcard(keys.FAILED) == 0


async def test_no_more_run_at_once_than_allowed(inbox: WorkerInbox, redis: Redis) -> None:
    router, now, highest = Router(), [0], [0]

    @router.on("request.completed")
    async def counted(decision: Decision) -> None:
        now[0] += 1
        highest[0] = max(highest[0], now[0])
        await asyncio.sleep(0.02)
        now[0] -= 1

    await inbox.accept([delivery(payload(request_id=f"66c0ffee00000000000000{n:02}")) for n in range(20)])
    async with draining(inbox, redis, router, concurrency=4):
        await until(lambda: redis.zcard(keys.DUE) == 0)

    assert highest[0] == 4


async def test_a_stopped_drain_finishes_what_runs_and_leaves_the_rest(inbox: WorkerInbox, redis: Redis) -> None:
    router, begun, ended = Router(), [], []

    @router.on("request.completed")
    async def slow(decision: Decision) -> None:
        begun.append(decision.request_id)
        await asyncio.sleep(0.3)
        ended.append(decision.request_id)

    await inbox.accept([delivery(payload(request_id=f"66c0ffee00000000000000{n:02}")) for n in range(5)])
    async with draining(inbox, redis, router, concurrency=2) as drain:
        await until(lambda: len(begun) == 2)
        drain.stop()

    assert len(ended) == 2
    assert redis.hlen(keys.LEASES) == 0
    assert redis.zcard(keys.DUE) == 3


async def test_an_effect_that_outlives_the_grace_period_is_released(inbox: WorkerInbox, redis: Redis) -> None:
    router = Router()

    @router.on("request.completed")
    async def endless(decision: Decision) -> None:
        await asyncio.sleep(60)

    await inbox.accept([delivery()])
    async with draining(inbox, redis, router, grace=0.1) as drain:
        await until(lambda: redis.hlen(keys.LEASES) == 1 and redis.zcard(keys.DUE) == 1)
        await asyncio.sleep(0.05)
        drain.stop()

    [again] = (await inbox.claim(10)).items
    assert (again.lease.handler, again.attempt, again.crashes) == ("endless", 2, 0)


@pytest.mark.slow
async def test_a_long_handler_keeps_its_lease(redis: Redis, async_redis: AsyncRedis) -> None:
    router, runs = Router(), []
    inbox = WorkerInbox(async_redis, retention=86_400, lease=0.6)

    @router.on("request.completed")
    def long(decision: Decision) -> None:
        runs.append(decision.attempt)
        time.sleep(1.5)

    await inbox.accept([delivery()])
    drain = Drain(inbox, router, LeaseKeeper(redis, lease=0.6), DrainOptions(lease=0.6))
    running = asyncio.create_task(drain.run())
    await asyncio.sleep(1.0)
    stolen = await inbox.claim(10)
    drain.stop()
    await running

    assert (stolen.items, runs) == ([], [1])


@pytest.mark.slow
async def test_a_handler_that_blocks_the_loop_keeps_its_lease(redis: Redis, async_redis: AsyncRedis) -> None:
    router, runs = Router(), []
    inbox = WorkerInbox(async_redis, retention=86_400, lease=0.6)

    @router.on("request.completed")
    async def rude(decision: Decision) -> None:
        runs.append(decision.attempt)
        time.sleep(1.5)

    await inbox.accept([delivery()])
    drain = Drain(inbox, router, LeaseKeeper(redis, lease=0.6), DrainOptions(lease=0.6))
    running = asyncio.create_task(drain.run())
    await asyncio.sleep(0.1)
    await until(lambda: redis.zcard(keys.DUE) == 0)
    drain.stop()
    await running

    assert runs == [1]


@pytest.mark.slow
async def test_a_drain_does_not_end_for_another_rq_job(inbox: WorkerInbox, redis: Redis) -> None:
    async with draining(inbox, redis, Router()):
        redis.rpush(waiting_key(DRAIN), "drain-2", "reconcile-1", "another")
        await asyncio.sleep(1.5)
        assert redis.zcard(keys.DRAINS) == 1

    assert redis.zcard(keys.DRAINS) == 0


@pytest.mark.slow
async def test_a_drain_without_a_successor_ends_when_its_life_is_over(inbox: WorkerInbox, redis: Redis) -> None:
    drain = Drain(inbox, Router(), LeaseKeeper(redis, lease=5.0), DrainOptions(life=0.5))

    await asyncio.wait_for(drain.run(), 3.0)

    assert drain.retired


@pytest.mark.slow
async def test_a_drain_claims_after_its_life_until_it_is_retired(inbox: WorkerInbox, redis: Redis) -> None:
    router, seen, asked = Router(), [], []

    @router.on("request.completed", timeout=0.1)
    async def note(decision: Decision) -> None:
        seen.append(decision.request_id)

    drain = Drain(
        inbox,
        router,
        LeaseKeeper(redis, lease=5.0),
        DrainOptions(life=0.1),
        ask_for_successor=lambda: asked.append(redis.zcard(keys.DRAINS)),
    )
    running = asyncio.create_task(drain.run())
    await until(lambda: asked == [1])
    await inbox.accept([delivery()])
    await until(lambda: len(seen) == 1)
    drain.retire()
    await asyncio.wait_for(running, 3.0)

    assert redis.zcard(keys.DRAINS) == 0


@pytest.mark.slow
async def test_what_runs_when_a_drain_retires_ends_in_its_own_time(inbox: WorkerInbox, redis: Redis) -> None:
    router, began, seen = Router(), [], []

    @router.on("request.completed", timeout=5.0)
    async def slow(decision: Decision) -> None:
        began.append(decision.request_id)
        await asyncio.sleep(1.0)
        seen.append(decision.request_id)

    await inbox.accept([delivery()])
    async with draining(inbox, redis, router, grace=0.1) as drain:
        await until(lambda: len(began) == 1)
        drain.retire()
        await until(lambda: len(seen) == 1)
        record = await finished(redis, key(payload()))

    assert record.effects[0].state == "done"


async def test_an_effect_of_a_missing_handler_is_held_until_the_handler_returns(
    inbox: WorkerInbox, redis: Redis
) -> None:
    before, after, seen = Router(), Router(), []

    @before.on("request.completed")
    async def renamed(decision: Decision) -> None:
        raise RetryLater(0.01)

    @after.on("request.completed")
    async def other(decision: Decision) -> None: ...

    @before.on("request.timeout")
    @after.on("request.timeout")
    async def unrelated(decision: Decision) -> None: ...

    await inbox.accept([delivery()])
    async with draining(inbox, redis, before):
        await until(lambda: (record := lookup.event(redis, key(payload()))) is not None and record.state == "routed")
    async with draining(inbox, redis, after):
        await until(lambda: redis.zcard(keys.HELD) == 1)

    @after.on("request.completed", name="renamed")
    async def back(decision: Decision) -> None:
        seen.append(decision.request_id)

    async with draining(inbox, redis, after):
        await until(lambda: len(seen) == 1)
        record = await finished(redis, key(payload()))

    assert record.state == "done"


async def test_late_and_conflicting_events_are_kept_but_not_routed(inbox: WorkerInbox, redis: Redis) -> None:
    router, seen = Router(), []

    @router.on("request.*")
    async def note(decision: Decision) -> None:
        seen.append(decision.event)

    await inbox.accept([delivery(payload()), delivery(claimed()), delivery(payload(status="timeout"))])
    async with draining(inbox, redis, router):
        await finished(redis, key(payload()))

    assert seen == ["request.completed"]


@pytest.mark.slow
async def test_an_effect_that_kills_workers_becomes_a_dead_letter(redis: Redis, async_redis: AsyncRedis) -> None:
    router, runs = Router(), []

    @router.on("request.completed")
    async def poison(decision: Decision) -> None:
        runs.append(decision.attempt)

    inbox = WorkerInbox(async_redis, retention=86_400, lease=5.0)
    await inbox.accept([delivery()])
    redis.hset(keys.event(key(payload())), ":crashes", MAX_CRASHES)
    async with draining(inbox, redis, router):
        await until(lambda: redis.zcard(keys.FAILED) == 1)

    assert runs == []


@pytest.mark.slow
async def test_an_effect_that_still_runs_is_not_started_again_when_claimed_again(
    redis: Redis, async_redis: AsyncRedis
) -> None:
    router, runs = Router(), []
    inbox = WorkerInbox(async_redis, retention=86_400, lease=0.3)

    @router.on("request.completed")
    async def long(decision: Decision) -> None:
        runs.append(decision.attempt)
        await asyncio.sleep(1.2)

    await inbox.accept([delivery()])
    # The keeper's own lease is long: it does not renew in time, as if Redis had been away.
    drain = Drain(inbox, router, LeaseKeeper(redis, lease=60.0), DrainOptions(lease=60.0))
    running = asyncio.create_task(drain.run())
    await asyncio.sleep(0.1)
    await until(lambda: redis.zcard(keys.DUE) == 0)
    drain.stop()
    await running

    record = lookup.event(redis, key(payload()))
    assert runs == [1]
    assert record is not None
    assert record.effects[0].state == "done"


async def test_an_undecodable_record_does_not_stop_other_work(inbox: WorkerInbox, redis: Redis) -> None:
    router, seen = Router(), []

    @router.on("request.completed")
    async def pay(decision: Decision) -> None:
        seen.append(decision.request_id)

    await inbox.accept([delivery(payload(request_id=f"66c0ffee00000000000000{n:02}")) for n in range(3)])
    broken = key(payload(request_id="66c0ffee0000000000000001"))
    redis.hset(keys.event(broken), "callback:head", b'{"variant":1,"added_by_a_newer_version":true}')
    async with draining(inbox, redis, router):
        await until(lambda: len(seen) == 2 and redis.hlen(keys.LEASES) == 0)

    record = lookup.event(redis, broken)
    assert record is not None
    assert record.routing is not None
    assert (record.routing.state, record.routing.errors) == ("retry", 1)
    assert "cannot be decoded by this version" in (record.routing.error or "")
    assert sorted(seen) == ["66c0ffee0000000000000000", "66c0ffee0000000000000002"]


@pytest.mark.slow
async def test_an_undecodable_record_becomes_a_dead_letter_and_runs_once_after_its_repair(
    inbox: WorkerInbox, redis: Redis
) -> None:
    router, seen = Router(), []

    @router.on("request.completed")
    async def pay(decision: Decision) -> None:
        seen.append(decision.attempt)

    await inbox.accept([delivery()])
    name = keys.event(key(payload()))
    head = redis.hget(name, "callback:head")
    redis.hset(name, mapping={"callback:head": b"{", ":errors": UNDECODABLE_TRIES - 1})
    async with draining(inbox, redis, router):
        await until(lambda: redis.zcard(keys.FAILED) == 1)
    assert head is not None
    redis.hset(name, "callback:head", head)
    failures.retry(redis, [key(payload())], retention=86_400)
    async with draining(inbox, redis, router):
        record = await finished(redis, key(payload()))

    assert seen == [1]
    assert record.state == "done"


@pytest.mark.slow
async def test_an_undecodable_effect_has_not_begun(inbox: WorkerInbox, redis: Redis) -> None:
    router = Router()

    @router.on("request.completed", concurrency=1)
    async def pay(decision: Decision) -> None: ...

    await inbox.accept([delivery()])
    [item] = (await inbox.claim(10)).items
    await inbox.report([routed(item, "pay:due")])
    redis.hset(keys.event(item.lease.event_key), "callback:head", b"{")
    async with draining(inbox, redis, router):
        await until(lambda: history_of(redis).errors == 1)

    assert (history_of(redis).state, history_of(redis).attempts) == ("retry", 0)


async def test_a_field_of_a_newer_version_is_ignored(inbox: WorkerInbox, redis: Redis) -> None:
    router, seen = Router(), []

    @router.on("request.completed")
    async def pay(decision: Decision) -> None:
        seen.append(decision.response)

    await inbox.accept([delivery()])
    name = keys.event(key(payload()))
    head = redis.hget(name, "callback:head")
    assert head is not None
    redis.hset(name, "callback:head", head[:-1] + b',"added_by_a_newer_version":{"a":[1]}}')
    async with draining(inbox, redis, router):
        await finished(redis, key(payload()))

    assert seen == ["Approve"]


def history_of(redis: Redis) -> lookup.EffectRecord:
    record = lookup.event(redis, key(payload()))
    assert record is not None
    return record.effects[0]


@pytest.mark.slow
async def test_claimed_items_are_bounded_in_bytes(inbox: WorkerInbox, redis: Redis) -> None:
    router, now, highest = Router(), [0], [0]

    @router.on("request.completed")
    async def pay(decision: Decision) -> None:
        now[0] += len(decision.body)
        highest[0] = max(highest[0], now[0])
        await asyncio.sleep(0.05)
        now[0] -= len(decision.body)

    large = {"text": "x" * (1 << 20)}
    for n in range(40):
        await inbox.accept([delivery(payload(request_id=f"66c0ffee00000000000000{n:02}", metadata=large))])
    async with draining(inbox, redis, router) as drain:
        await until(lambda: drain.settled == 40, 20)

    assert 2 << 20 < highest[0] <= MAX_BYTES + (3 << 20)
    assert redis.zcard(keys.DUE) == 0


@pytest.mark.slow
async def test_an_event_and_its_effects_count_once_towards_the_bound(inbox: WorkerInbox) -> None:
    await inbox.accept([delivery()])
    [item] = (await inbox.claim(10)).items
    memory = EvidenceMemory()

    memory.hold(item)
    memory.hold(item.first_attempt("pay"))
    held = memory.size
    memory.release(item)
    left = memory.size
    memory.release(item)

    assert held == left == item.size > len(item.stored.body)
    assert memory.size == 0
