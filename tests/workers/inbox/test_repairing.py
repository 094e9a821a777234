"""The repair finds stuck work and makes it due; each record is broken by hand."""

import logging
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from redis import Redis
from redis.asyncio import Redis as AsyncRedis

from tests.builders import claimed, delivery, key, payload
from tests.workers.inbox.invariants import broken
from tests.workers.inbox.one_worker import OneWorker
from tests.workers.inbox.stuck_work import find_stuck
from workers import Router
from workers.clock import Clock
from workers.inbox import keys
from workers.inbox.maintenance.repairing import SLICE, Repairer
from workers.inbox.worker_inbox import WorkerInbox

REQUEST = "66c0ffee00000000000000a1"
KEY = key(payload())
PROGRESS = key(claimed())
EVENT = keys.event(KEY)
TURNS = f"{keys.PREFIX}turns:{REQUEST}"


@pytest.fixture
def inbox(async_redis: AsyncRedis) -> WorkerInbox:
    return WorkerInbox(async_redis, retention=86_400, lease=15.0)


def routes() -> Router:
    router = Router()
    router.on("request.*", name="pay")(lambda decision: None)
    router.on("request.completed", name="strict", trust="confirmed")(lambda decision: None)
    return router


@pytest.fixture
def repairer(redis: Redis) -> Repairer:
    return Repairer(redis, retention=86_400)


# -- broken by hand --------------------------------------------------------------------------------------------------


def lose_the_routing(redis: Redis) -> None:
    redis.zrem(keys.DUE, f"|{KEY}")


def lose_an_effect(redis: Redis) -> None:
    redis.zrem(keys.DUE, f"pay|{KEY}")
    redis.hdel(keys.LEASES, f"pay|{KEY}")


def lose_the_end_of_a_lease(redis: Redis) -> None:
    redis.zrem(keys.DUE, f"pay|{KEY}")


def lose_the_turn(redis: Redis) -> None:
    redis.zrem(keys.DUE, f"pay|{KEY}")
    redis.hdel(keys.LEASES, f"pay|{KEY}")
    redis.hset(EVENT, mapping={"pay:state": "waiting", "active": 0})
    redis.zadd(TURNS, {f"pay|{KEY}": 1})
    redis.hset(keys.request(REQUEST), "turn", "an event that is gone")


def wait_behind_itself(redis: Redis) -> None:
    redis.zrem(keys.DUE, f"|{KEY}")
    redis.zadd(TURNS, {f"|{KEY}": 1})
    redis.hset(keys.request(REQUEST), "turn", KEY)


def be_due_and_wait(redis: Redis) -> None:
    redis.zadd(TURNS, {f"|{KEY}": 1})


def forget_the_check(redis: Redis) -> None:
    redis.zrem(keys.CHECKS, REQUEST)


def forget_who_waits(redis: Redis) -> None:
    redis.delete(keys.UNCONFIRMED, keys.unconfirmed(REQUEST))


def miss_the_denial(redis: Redis) -> None:
    redis.hset(EVENT, "overruled", "open")
    redis.zadd(keys.OVERRULED, {KEY: 1})


def take_a_place_for_ever(redis: Redis) -> None:
    redis.zrem(keys.DUE, f"pay|{KEY}")
    redis.hdel(keys.LEASES, f"pay|{KEY}")
    redis.hset(EVENT, mapping={"pay:state": "waiting", "active": 0})
    redis.zadd(f"{keys.PREFIX}waiting:pay", {f"pay|{KEY}": 1})
    redis.hset(f"{keys.PREFIX}running", "pay", 1)


def free_a_place_unseen(redis: Redis) -> None:
    take_a_place_for_ever(redis)
    redis.delete(f"{keys.PREFIX}running")


def hide_a_failure(redis: Redis) -> None:
    redis.hset(EVENT, mapping={"pay:state": "failed", "active": 0})
    redis.zrem(keys.DUE, f"pay|{KEY}")
    redis.hdel(keys.LEASES, f"pay|{KEY}")


def run_what_is_done(redis: Redis) -> None:
    redis.hset(EVENT, mapping={"pay:state": "done", "open": 1, "active": 0})
    redis.hdel(keys.LEASES, f"pay|{KEY}")


def count_wrong(redis: Redis) -> None:
    redis.hset(EVENT, mapping={"open": 5, "active": 3})


def expire_early(redis: Redis) -> None:
    redis.expire(EVENT, 60)


def end_too_soon(redis: Redis) -> None:
    redis.hset(EVENT, "state", "done")


async def accepted(inbox: WorkerInbox, worker: OneWorker) -> None:
    await inbox.accept([delivery()])


async def running(inbox: WorkerInbox, worker: OneWorker) -> None:
    """`pay` runs, `strict` waits for confirmation."""
    await inbox.accept([delivery()])
    await worker.claim()


@pytest.mark.parametrize(
    ("prepare", "break_it", "expected"),
    [
        (accepted, lose_the_routing, "neither due nor leased, and waits in no index"),
        (accepted, wait_behind_itself, "a turn that its own event holds"),
        (accepted, be_due_and_wait, "waits for the turn too"),
        (running, lose_an_effect, "neither due nor leased, and waits in no index"),
        (running, lose_the_end_of_a_lease, "its lease never runs out"),
        (running, lose_the_turn, "waits for the turn"),
        (running, forget_the_check, "no check of its request is scheduled"),
        (running, forget_who_waits, "no check of its request is scheduled"),
        (running, miss_the_denial, "evidence that will not come"),
        (running, take_a_place_for_ever, "its place is counted as taken"),
        (running, free_a_place_unseen, "no effect of its handler runs"),
        (running, hide_a_failure, "not in the index of such effects"),
        (running, run_what_is_done, "would run again"),
        (running, count_wrong, "open is 5, and 2 are"),
        (running, expire_early, "would expire before it is finished"),
        (running, end_too_soon, "something of it is open"),
    ],
)
async def test_stuck_work_is_made_due(
    inbox: WorkerInbox,
    redis: Redis,
    repairer: Repairer,
    caplog: pytest.LogCaptureFixture,
    prepare: Callable[[WorkerInbox, OneWorker], Any],
    break_it: Callable[[Redis], None],
    expected: str,
) -> None:
    worker = OneWorker(inbox, routes())
    await prepare(inbox, worker)
    assert repairer.repair() == []
    break_it(redis)
    assert broken(redis) + find_stuck(redis) != []

    with caplog.at_level(logging.ERROR):
        repaired = repairer.repair()

    assert any(expected in what for _, what in repaired), repaired
    assert broken(redis) + find_stuck(redis) == []
    assert repairer.repair() == []
    assert int(redis.hget(keys.COUNTERS, "repaired") or 0) == len(repaired)
    assert caplog.text.count("inbox.repaired") == len(repaired)
    assert KEY in caplog.text


async def test_what_was_lost_runs_after_the_repair(inbox: WorkerInbox, redis: Redis, repairer: Repairer) -> None:
    await inbox.accept([delivery()])
    lose_the_routing(redis)
    repairer.repair()
    worker = OneWorker(inbox, routes())
    await worker.settle()
    await inbox.accept([delivery(trust="confirmed")])
    await worker.settle()

    assert [run.handler for run in worker.runs] == ["pay", "strict"]
    assert redis.zcard(keys.UNFINISHED) == 0


async def test_a_record_that_is_gone_leaves_the_index(inbox: WorkerInbox, redis: Redis, repairer: Repairer) -> None:
    await inbox.accept([delivery()])
    redis.delete(EVENT)

    assert repairer.repair() == [(f"|{KEY}", "its record is gone")]
    assert redis.zcard(keys.UNFINISHED) == 0


async def test_every_slice_is_checked(inbox: WorkerInbox, redis: Redis, repairer: Repairer) -> None:
    await inbox.accept([delivery(payload(f"{n:024}")) for n in range(2 * SLICE + 1)])
    redis.delete(keys.DUE)

    found = [len(repairer.repair_slice()) for _ in range(4)]

    assert found == [SLICE, SLICE, 1, 0]
    assert redis.zcard(keys.DUE) == 2 * SLICE + 1


async def test_two_events_of_a_request_take_turns_unharmed(
    inbox: WorkerInbox, redis: Redis, repairer: Repairer
) -> None:
    worker = OneWorker(inbox, routes())
    await inbox.accept([delivery(claimed())])
    await worker.claim()
    await inbox.accept([delivery(claimed(at="2026-01-01T00:00:00Z"))])

    assert redis.zcard(TURNS) == 1
    assert repairer.repair() == []


async def test_the_clock_repairs(inbox: WorkerInbox, redis: Redis) -> None:
    await inbox.accept([delivery()])
    lose_the_routing(redis)
    clock = Clock(redis, retention=86_400, every=0.02)
    running = threading.Thread(target=clock.run)
    running.start()
    give_up_at = time.monotonic() + 10
    while redis.zscore(keys.DUE, f"|{KEY}") is None and time.monotonic() < give_up_at:
        time.sleep(0.01)
    clock.stop()
    running.join()

    assert redis.zscore(keys.DUE, f"|{KEY}") is not None
    assert redis.hget(keys.COUNTERS, "repaired") == b"1"
