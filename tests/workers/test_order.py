"""Events of one request take turns; capped and paused handlers wait; no waiting work is lost."""

import asyncio
import time

import pytest
from redis import Redis
from redis.asyncio import Redis as AsyncRedis

from tests.builders import ago, claimed, delivery, key, payload, routed, settled
from tests.inbox_records import recent
from tests.workers.test_drain import draining, until
from workers import Decision, Router
from workers.inbox import keys
from workers.inbox.operations import pausing
from workers.inbox.worker_inbox import WorkerInbox

REQUEST = "66c0ffee00000000000000a1"
EARLY, LATER = claimed(at=ago(110)), claimed(at=ago(80))


@pytest.fixture
def inbox(async_redis: AsyncRedis) -> WorkerInbox:
    return WorkerInbox(async_redis, retention=86_400, lease=5.0)


def nothing_waits(redis: Redis) -> bool:
    waiting = [name for name in redis.keys("{hitl}:*") if b"turns:" in name or b"waiting:" in name]
    return not waiting and redis.zcard(keys.DUE) == 0 and redis.hlen(keys.LEASES) == 0


async def test_events_of_one_request_run_one_at_a_time_its_decision_first(inbox: WorkerInbox, redis: Redis) -> None:
    router, story = Router(), []

    @router.on("request.*")
    async def first(decision: Decision) -> None:
        story.append(("begin", decision.event_key))
        await asyncio.sleep(0.05)
        story.append(("end", decision.event_key))

    await inbox.accept([delivery(LATER)])
    await inbox.accept([delivery(EARLY)])
    await inbox.accept([delivery(payload())])
    async with draining(inbox, redis, router):
        await until(lambda: nothing_waits(redis))

    assert story == [(word, key(body)) for body in (payload(), EARLY, LATER) for word in ("begin", "end")]


async def test_different_requests_run_freely(inbox: WorkerInbox, redis: Redis) -> None:
    router = Router()

    @router.on("request.*")
    async def slow(decision: Decision) -> None:
        await asyncio.sleep(0.2)

    await inbox.accept([delivery(payload(request_id=f"66c0ffee00000000000000{n:02}")) for n in range(10)])
    start = time.monotonic()
    async with draining(inbox, redis, router):
        await until(lambda: nothing_waits(redis))
        took = time.monotonic() - start

    assert took < 1.0


async def test_an_event_does_not_wait_for_a_retry_that_is_hours_away(inbox: WorkerInbox, redis: Redis) -> None:
    router, handled = Router(), []

    @router.on("request.claimed", backoff=(3_600, 3_600))
    async def broken(decision: Decision) -> None:
        raise ConnectionError

    @router.on("request.completed")
    async def pay(decision: Decision) -> None:
        handled.append(decision.request_id)

    await inbox.accept([delivery(EARLY), delivery(payload())])
    async with draining(inbox, redis, router):
        await until(lambda: handled == [REQUEST])


@pytest.mark.slow
async def test_two_workers_never_handle_one_request_at_once(inbox: WorkerInbox, redis: Redis) -> None:
    router, now, highest = Router(), [0], [0]

    @router.on("request.*", late=True, conflict=True)
    async def counted(decision: Decision) -> None:
        now[0] += 1
        highest[0] = max(highest[0], now[0])
        await asyncio.sleep(0.01)
        now[0] -= 1

    bodies = [claimed(at=ago(100 - n)) for n in range(20)]
    async with draining(inbox, redis, router), draining(inbox, redis, router):
        for body in bodies:
            await inbox.accept([delivery(body)])
        await until(lambda: nothing_waits(redis))

    assert highest[0] == 1
    assert [record.state for record in recent(redis)] == ["done"] * 20


async def test_an_unrouted_event_passes_the_turn_on(inbox: WorkerInbox, redis: Redis) -> None:
    router, handled = Router(), []

    @router.on("request.completed")
    async def pay(decision: Decision) -> None:
        handled.append(decision.event)

    await inbox.accept([delivery(EARLY), delivery(LATER), delivery(payload())])
    async with draining(inbox, redis, router):
        await until(lambda: nothing_waits(redis))

    assert handled == ["request.completed"]


@pytest.mark.slow
async def test_a_cap_holds_across_workers_and_everything_runs_in_the_end(inbox: WorkerInbox, redis: Redis) -> None:
    router, now, highest, ran = Router(), [0], [0], [0]

    @router.on("request.completed", concurrency=3)
    async def capped(decision: Decision) -> None:
        now[0] += 1
        highest[0] = max(highest[0], now[0])
        await asyncio.sleep(0.01)
        now[0] -= 1
        ran[0] += 1

    await inbox.accept([delivery(payload(request_id=f"66c0ffee00000000000000{n:02}")) for n in range(40)])
    async with draining(inbox, redis, router), draining(inbox, redis, router):
        await until(lambda: nothing_waits(redis))

    assert (highest[0], ran[0]) == (3, 40)
    assert redis.hlen("{hitl}:running") == 0


@pytest.mark.slow
async def test_a_capped_handler_does_not_delay_others(inbox: WorkerInbox, redis: Redis) -> None:
    router, quick = Router(), []

    @router.on("request.completed", concurrency=1)
    async def slow(decision: Decision) -> None:
        await asyncio.sleep(0.5)

    @router.on("request.completed")
    async def fast(decision: Decision) -> None:
        quick.append(decision.request_id)

    await inbox.accept([delivery(payload(request_id=f"66c0ffee00000000000000{n:02}")) for n in range(30)])
    async with draining(inbox, redis, router, concurrency=10):
        await until(lambda: len(quick) == 30, seconds=2.0)


async def test_a_paused_handler_waits_and_the_others_go_on(inbox: WorkerInbox, redis: Redis) -> None:
    router, seen = Router(), []

    @router.on("request.completed")
    async def pay(decision: Decision) -> None:
        seen.append("pay")

    @router.on("request.completed")
    async def notify(decision: Decision) -> None:
        seen.append("notify")

    pausing.pause(redis, "pay")
    await inbox.accept([delivery()])
    async with draining(inbox, redis, router):
        await until(lambda: redis.zcard(keys.HELD) == 1)
        meanwhile = list(seen)
        pausing.resume(redis, "pay")
        await until(lambda: nothing_waits(redis))

    assert (meanwhile, seen) == (["notify"], ["notify", "pay"])


async def test_with_everything_paused_intake_goes_on(inbox: WorkerInbox, redis: Redis) -> None:
    router, seen = Router(), []

    @router.on("request.completed")
    async def pay(decision: Decision) -> None:
        seen.append("pay")

    pausing.pause(redis)
    async with draining(inbox, redis, router):
        verdicts, _ = await inbox.accept([delivery()])
        await asyncio.sleep(0.3)
        meanwhile = list(seen)
        pausing.resume(redis)
        await until(lambda: seen == ["pay"])

    assert (verdicts, meanwhile) == (["accepted"], [])
    assert pausing.paused(redis) == frozenset()


async def test_an_item_that_a_worker_died_with_runs_again_alone(redis: Redis, async_redis: AsyncRedis) -> None:
    short = WorkerInbox(async_redis, retention=86_400, lease=0.01)
    inbox = WorkerInbox(async_redis, retention=86_400, lease=5.0)
    router, now, highest = Router(), [0], [0]

    @router.on("request.completed")
    async def counted(decision: Decision) -> None:
        now[0] += 1
        highest[0] = max(highest[0], now[0])
        await asyncio.sleep(0.02)
        now[0] -= 1

    await inbox.accept([delivery(payload(request_id=f"66c0ffee00000000000000{n:02}")) for n in range(6)])
    died_with = (await short.claim(10)).items  # and is never heard of again
    await asyncio.sleep(0.02)
    async with draining(inbox, redis, router):
        await until(lambda: nothing_waits(redis))

    assert len(died_with) == 6
    assert highest[0] == 1
    assert {effect.crashes for record in recent(redis) for effect in record.effects} == {0}


@pytest.mark.slow
async def test_the_poison_is_found_and_its_neighbours_succeed(redis: Redis, async_redis: AsyncRedis) -> None:
    """Workers that die are played by claims that are never reported; the rules are the server's."""
    inbox = WorkerInbox(async_redis, retention=86_400, lease=0.01)
    await inbox.accept([delivery(payload(request_id=f"66c0ffee00000000000000{n:02}")) for n in range(3)])

    for _ in range(60):
        await asyncio.sleep(0.015)
        for item in (await inbox.claim(10, caller="suspect")).items:
            poison = item.stored.event.request_id == "66c0ffee0000000000000001"
            if item.lease.handler == "":
                word = "pay:due" if item.is_suspect else "pay:run"
                await inbox.report([routed(item, word, is_suspect=item.is_suspect)])
            elif item.crashes >= 3:
                await inbox.report([settled(item, "failed", error="died")])
            elif not poison:
                await inbox.report([settled(item, "done")])

    states = {record.content.request_id: record.effects[0].state for record in recent(redis)}  # type: ignore[union-attr]
    assert states == {
        "66c0ffee0000000000000000": "done",
        "66c0ffee0000000000000001": "failed",
        "66c0ffee0000000000000002": "done",
    }
