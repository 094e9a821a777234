"""Attempts that take too long, and handlers that block the loop."""

import asyncio
import logging
import threading
import time

import pytest
from redis import Redis
from redis.asyncio import Redis as AsyncRedis

from tests.builders import delivery, key, payload
from tests.workers.test_drain import draining, until
from workers import Decision, Router
from workers.handlers.drain import Drain, DrainOptions
from workers.handlers.watchdog import LoopWatch
from workers.inbox import keys
from workers.inbox.queries import lookup
from workers.inbox.worker_inbox import LeaseKeeper, WorkerInbox
from workers.testing import completed


@pytest.fixture
def inbox(async_redis: AsyncRedis) -> WorkerInbox:
    return WorkerInbox(async_redis, retention=86_400, lease=5.0)


def effect(redis: Redis) -> lookup.EffectRecord:
    record = lookup.event(redis, key(payload()))
    assert record is not None
    return record.effects[0]


async def test_an_async_handler_is_cancelled_at_its_timeout(inbox: WorkerInbox, redis: Redis) -> None:
    router, cancelled = Router(), []

    @router.on("request.completed", timeout=0.1, attempts=1)
    async def endless(decision: Decision) -> None:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            cancelled.append(decision.attempt)
            raise

    await inbox.accept([delivery()])
    async with draining(inbox, redis, router):
        await until(lambda: redis.zcard(keys.FAILED) == 1)

    assert cancelled == [1]
    assert "did not end within 0.1 s" in (effect(redis).error or "")


async def test_a_timeout_error_raised_by_a_handler_is_an_ordinary_error(inbox: WorkerInbox, redis: Redis) -> None:
    router = Router()

    @router.on("request.completed", attempts=1)
    async def asks(decision: Decision) -> None:
        async with asyncio.timeout(0.01):
            await asyncio.sleep(1)

    await inbox.accept([delivery()])
    async with draining(inbox, redis, router):
        await until(lambda: redis.zcard(keys.FAILED) == 1)

    assert "did not end within" not in (effect(redis).error or "")


@pytest.mark.slow
async def test_a_stuck_thread_ends_the_drain_after_its_neighbours(inbox: WorkerInbox, redis: Redis) -> None:
    router, ended, let_go = Router(), [], threading.Event()

    @router.on("request.completed", timeout=0.2, attempts=1)
    def stuck(decision: Decision) -> None:
        let_go.wait(20)

    @router.on("request.completed", timeout=5)
    async def neighbour(decision: Decision) -> None:
        await asyncio.sleep(0.6)
        ended.append(decision.request_id)

    await inbox.accept([delivery()])
    drain = Drain(inbox, router, LeaseKeeper(redis, lease=5.0), DrainOptions(lease=5.0))
    await asyncio.wait_for(drain.run(), 10)
    let_go.set()

    assert len(ended) == 1
    record = lookup.event(redis, key(payload()))
    assert record is not None
    assert [(it.handler, it.state) for it in record.effects] == [("stuck", "failed"), ("neighbour", "done")]


@pytest.mark.slow
async def test_code_that_blocks_the_event_loop_is_logged(
    inbox: WorkerInbox, redis: Redis, caplog: pytest.LogCaptureFixture
) -> None:
    router = Router()

    @router.on("request.completed")
    async def rude(decision: Decision) -> None:
        time.sleep(1.6)

    caplog.set_level(logging.WARNING)
    await inbox.accept([delivery()])
    async with draining(inbox, redis, router):
        await until(lambda: redis.zcard(keys.DUE) == 0)

    assert "loop.blocked handler=rude at=" in caplog.text


@pytest.mark.slow
async def test_an_event_loop_blocked_for_too_long_ends_the_process(caplog: pytest.LogCaptureFixture) -> None:
    router, ended = Router(), threading.Event()

    @router.on("request.completed", timeout=0.5)
    async def endless(decision: Decision) -> None:
        ended.wait(10)

    watch = LoopWatch(router.routes, patience=0.7, end=ended.set)
    watch.start()
    await endless(completed("Approve"))
    watch.stop()

    assert ended.is_set()
    assert "loop.given_up handler=endless" in caplog.text


@pytest.mark.slow
async def test_the_retry_of_a_thread_that_is_late_waits_until_the_thread_has_ended(
    inbox: WorkerInbox, redis: Redis
) -> None:
    router, spans = Router(), []

    @router.on("request.completed", timeout=0.1, attempts=2, backoff=(0.01, 0.01))
    def late(decision: Decision) -> None:
        began = time.monotonic()
        time.sleep(0.6)
        spans.append((began, time.monotonic()))
        raise ConnectionError("downstream is away")

    @router.on("request.completed", timeout=5)
    async def neighbour(decision: Decision) -> None:
        await asyncio.sleep(2.0)  # the drain waits for it, and so has time for both attempts

    await inbox.accept([delivery()])
    while not redis.zcard(keys.FAILED):  # a drain ends for a thread that is late
        drain = Drain(inbox, router, LeaseKeeper(redis, lease=5.0), DrainOptions(lease=5.0))
        await asyncio.wait_for(drain.run(), 10)

    [(_, first_ended), (second_began, _)] = spans
    assert first_ended <= second_began
    assert (effect(redis).state, effect(redis).attempts) == ("failed", 2)
    assert "downstream is away" in (effect(redis).error or "")


@pytest.mark.slow
async def test_an_effect_whose_thread_finishes_late_is_done(inbox: WorkerInbox, redis: Redis) -> None:
    router, runs = Router(), []

    @router.on("request.completed", timeout=0.1, backoff=(0.01, 0.01))
    def late(decision: Decision) -> None:
        time.sleep(0.5)
        runs.append(decision.attempt)

    @router.on("request.completed", timeout=5)
    async def neighbour(decision: Decision) -> None:
        await asyncio.sleep(0.8)

    await inbox.accept([delivery()])
    drain = Drain(inbox, router, LeaseKeeper(redis, lease=5.0), DrainOptions(lease=5.0))
    await asyncio.wait_for(drain.run(), 10)

    assert runs == [1]
    assert effect(redis).state == "done"


@pytest.mark.slow
async def test_the_retry_of_a_thread_that_does_not_end_is_due_once_its_process_is_gone(
    inbox: WorkerInbox, redis: Redis
) -> None:
    router, let_go = Router(), threading.Event()

    @router.on("request.completed", timeout=0.1, backoff=(0.01, 0.01))
    def endless(decision: Decision) -> None:
        let_go.wait(20)

    await inbox.accept([delivery()])
    drain = Drain(inbox, router, LeaseKeeper(redis, lease=5.0), DrainOptions(lease=5.0))
    await asyncio.wait_for(drain.run(), 10)
    nothing = await inbox.claim(10)
    let_go.set()

    assert nothing.items == []
    assert nothing.next_due_in == pytest.approx(5.0, abs=1.0)
    assert (effect(redis).state, effect(redis).errors) == ("retry", 1)
    assert "did not end within 0.1 s" in (effect(redis).error or "")
