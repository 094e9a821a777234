"""Redis nearly full: tracebacks are dropped, then bodies of finished events; the reserve is released and restored."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from redis import Redis
from redis.asyncio import Redis as AsyncRedis

from tests.builders import delivery, payload, routed, settled
from workers.inbox import keys
from workers.inbox.claims import ClaimedItem
from workers.inbox.maintenance.memory import MemoryKeeper
from workers.inbox.queries import lookup
from workers.inbox.worker_inbox import WorkerInbox

TRACEBACK = "Traceback\n" + "  File\n" * 280 + "ValueError: no\n"


@pytest.fixture
def inbox(async_redis: AsyncRedis) -> WorkerInbox:
    return WorkerInbox(async_redis, retention=3_600, lease=15.0)


@contextmanager
def filled(redis: Redis, share: float) -> Iterator[None]:
    """Set `maxmemory` so that this share of it is in use."""
    # The server makes the ballast itself, so that no buffer for it is in use; what is deleted is freed later.
    redis.setrange("ballast", (30 << 20) - 1, b"x")
    while redis.info("memory")["lazyfree_pending_objects"]:
        time.sleep(0.01)
    redis.config_set("maxmemory", int(redis.info("memory")["used_memory"] / share))
    try:
        yield
    finally:
        redis.config_set("maxmemory", 0)


async def fail(inbox: WorkerInbox, times: int) -> str:
    """Create an event whose only handler failed so often and is due again; returns its key."""
    await inbox.accept([delivery()])
    [item] = (await inbox.claim(1)).items
    await inbox.report([routed(item, "pay:due")])
    for _ in range(times):
        [effect] = (await inbox.claim(1)).items
        await inbox.report([settled(effect, "retry", "pay", error=TRACEBACK)])
    return item.lease.event_key


async def finish(inbox: WorkerInbox, body: bytes) -> str:
    """Create an event that no route matches."""
    await inbox.accept([delivery(body)])
    [item] = (await inbox.claim(1)).items
    await inbox.report([routed(item)])
    return item.lease.event_key


async def test_an_effect_that_fails_all_day_stays_small(inbox: WorkerInbox, redis: Redis) -> None:
    event = await fail(inbox, 21)

    assert int(redis.memory_usage(keys.event(event), samples=0) or 0) < 14_000  # type: ignore[arg-type]


async def test_tracebacks_of_unfinished_work_are_dropped_and_its_body_is_not(inbox: WorkerInbox, redis: Redis) -> None:
    event = await fail(inbox, 3)

    with filled(redis, 0.9):
        MemoryKeeper(redis).run_slice()

    record = lookup.event(redis, event)
    assert record is not None
    [effect] = record.effects
    assert (effect.failed_attempts, effect.error, record.body, record.body_dropped) == (
        (),
        "ValueError: no",
        payload(),
        False,
    )


async def test_the_body_of_a_finished_event_is_dropped_and_the_record_says_so(inbox: WorkerInbox, redis: Redis) -> None:
    event = await finish(inbox, payload())

    with filled(redis, 0.9):
        MemoryKeeper(redis).run_slice()

    record = lookup.event(redis, event)
    assert record is not None
    assert (record.body, record.body_dropped, record.content.key) == (b"", True, event)


async def test_a_dropped_body_is_replayed_from_what_was_read(inbox: WorkerInbox, redis: Redis) -> None:
    event = await finish(inbox, payload())
    with filled(redis, 0.9):
        MemoryKeeper(redis).run_slice()
    redis.hset(keys.event(event), mapping={"open": 1, "routed_to": "pay", "pay:state": "due"})
    redis.zadd(keys.DUE, {f"pay|{event}": 0})

    items: list[ClaimedItem] = (await inbox.claim(1)).items

    assert [item.stored.event.response for item in items] == ["Approve"]


async def test_nothing_is_dropped_while_there_is_room(inbox: WorkerInbox, redis: Redis) -> None:
    event = await finish(inbox, payload())

    with filled(redis, 0.7):
        MemoryKeeper(redis).run_slice()

    record = lookup.event(redis, event)
    assert record is not None
    assert record.body == payload()


def test_the_reserve_is_made_deleted_when_full_and_restored(redis: Redis) -> None:
    keeper = MemoryKeeper(redis)
    sizes = []
    for share in (0.5, 0.97, 0.5):
        with filled(redis, share):
            keeper.run_slice()
            sizes.append(redis.strlen(keys.RESERVE))

    assert [size > 1 << 20 for size in sizes] == [True, False, True]
    keeper.run_slice()
    assert not redis.exists(keys.RESERVE)
