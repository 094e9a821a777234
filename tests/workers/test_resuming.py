"""Held effects are resumed in slices, and new work does not wait behind them."""

import asyncio
import time
from collections.abc import Iterable

import pytest
from redis import Redis
from redis.asyncio import Redis as AsyncRedis

from tests.builders import delivery, payload, routed, settled
from tests.workers.inbox.invariants import broken
from tests.workers.test_drain import draining, until
from workers import Decision, Router
from workers.clock import Clock
from workers.inbox import keys
from workers.inbox.operations import pausing
from workers.inbox.worker_inbox import WorkerInbox


@pytest.fixture
def inbox(async_redis: AsyncRedis) -> WorkerInbox:
    return WorkerInbox(async_redis, retention=86_400, lease=5.0)


async def hold(inbox: WorkerInbox, names: Iterable[str], handler: str = "pay") -> None:
    """Events of these requests whose effect of this handler is held."""
    await inbox.accept([delivery(payload(name)) for name in names])
    while items := (await inbox.claim(200)).items:
        await inbox.report([routed(one, f"{handler}:run") for one in items])
        await inbox.report([settled(one, "held", handler) for one in items])


@pytest.mark.slow
async def test_a_slice_makes_no_more_due_than_there_is_room_for(inbox: WorkerInbox, redis: Redis) -> None:
    await hold(inbox, [f"a{n}" for n in range(700)])

    first = await inbox.resume(["pay"], limit=30)
    second = await inbox.resume(["pay"], limit=30, cursor=first.cursor)

    assert (first.resumed, second.resumed, redis.zcard(keys.HELD)) == (30, 0, 670)
    assert not first.is_over
    assert broken(redis) == []


@pytest.mark.slow
async def test_slices_resume_only_effects_that_have_a_handler(inbox: WorkerInbox, redis: Redis) -> None:
    await hold(inbox, [f"a{n}" for n in range(700)])
    await hold(inbox, [f"b{n}" for n in range(700)], "gone")

    resumed, cursor, is_over, slices = 0, 0, 0, 0
    while not is_over:
        more, cursor, is_over = await inbox.resume(["pay"], limit=30, cursor=cursor)
        resumed, slices = resumed + more, slices + 1
        redis.delete(keys.DUE)

    assert (resumed, redis.zcard(keys.HELD)) == (700, 700)
    assert slices > 20


@pytest.mark.slow
async def test_a_drain_resumes_all_and_a_new_event_does_not_wait_for_them(inbox: WorkerInbox, redis: Redis) -> None:
    router, paid, waited = Router(), [], []

    @router.on("request.completed")
    async def pay(decision: Decision) -> None:
        await asyncio.sleep(0.01)
        paid.append(decision.request_id)

    @router.on("request.cancelled")
    async def fast(decision: Decision) -> None:
        waited.append(time.time())

    pausing.pause(redis, "pay")
    await hold(inbox, [f"a{n}" for n in range(1_000)])
    async with draining(inbox, redis, router):
        await asyncio.sleep(0.1)
        waiting = pausing.resume(redis, "pay")
        await until(lambda: len(paid) > 100)
        sent = time.time()
        await inbox.accept([delivery(payload("fast", status="cancelled"))])
        await until(lambda: bool(waited))
        paid_meanwhile = len(paid)
        await until(lambda: len(paid) == 1_000, 60)
        await until(lambda: redis.zcard(keys.DUE) == 0)

    assert waiting == 1_000
    assert waited[0] - sent < 1.0
    assert paid_meanwhile < 750
    assert broken(redis) == []


async def test_a_resume_without_a_resident_drain_makes_the_clock_enqueue_one(inbox: WorkerInbox, redis: Redis) -> None:
    pausing.pause(redis, "pay")
    before = Clock(redis, retention=60).tick()
    pausing.resume(redis, "pay")

    assert (before, Clock(redis, retention=60).tick()) == (False, True)


@pytest.mark.slow
async def test_a_resume_is_forgotten_once_it_is_carried_out(
    inbox: WorkerInbox, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workers.handlers.drain.RESUME_KEPT", 0.1)
    router = Router()

    @router.on("request.completed")
    async def pay(decision: Decision) -> None: ...

    async with draining(inbox, redis, router):
        pausing.pause(redis, "pay")
        pausing.resume(redis, "pay")
        await until(lambda: redis.scard(keys.RESUMES) == 0)


async def test_effects_that_wait_for_room_go_on_when_their_cap_is_gone(inbox: WorkerInbox, redis: Redis) -> None:
    router, paid = Router(), []

    @router.on("request.completed")
    async def pay(decision: Decision) -> None:
        paid.append(decision.request_id)

    await inbox.accept([delivery(payload(f"a{n}")) for n in range(5)])
    for item in (await inbox.claim(10)).items:
        await inbox.report([routed(item, "pay:due")])
    [running] = (await inbox.claim(10, caps={"pay": 1})).items
    waiting = redis.zcard(keys.waiting("pay"))
    await inbox.report([settled(running, "done", "pay")])
    async with draining(inbox, redis, router):
        await until(lambda: len(paid) == 4)

    assert waiting == 4
