import signal
import time
from threading import Thread

import pytest
from redis import Redis
from redis.asyncio import Redis as AsyncRedis
from redis.exceptions import ConnectionError  # noqa: A004 - that of redis-py
from rq.serializers import JSONSerializer

from tests.builders import claimed, delivery, key, payload
from tests.workers.inbox.clock_world import World
from workers.clock import Clock, Outage
from workers.inbox import keys
from workers.inbox.inbox_clock import WATCH
from workers.inbox.queries.due_work import BACKLOG
from workers.inbox.store import Inbox
from workers.inbox.tracker import api_keys, reconcile_state
from workers.queue import RECONCILE, enqueue_drain, queue
from workers.redis_clients import command_client


def now(redis: Redis) -> int:
    return int(time.time() * 1000)


async def test_without_due_work_no_job_is_enqueued(redis: Redis) -> None:
    assert Clock(redis, retention=60).tick() is False


def test_due_work_without_a_drain_enqueues_one_drain(redis: Redis) -> None:
    redis.zadd(keys.DUE, {"|e": now(redis)})
    clock = Clock(redis, retention=60)

    assert (clock.tick(), clock.tick()) == (True, False)
    assert queue(redis).count == 1


def test_a_resident_drain_needs_no_second_one(redis: Redis) -> None:
    redis.zadd(keys.DUE, {"|e": now(redis)})
    redis.zadd(keys.DRAINS, {"d": now(redis) + 3_000})

    assert Clock(redis, retention=60).tick() is False


def test_a_backlog_enqueues_another_drain(redis: Redis) -> None:
    redis.zadd(keys.DUE, {"|e": now(redis) - BACKLOG - 100})
    redis.zadd(keys.DRAINS, {"d": now(redis) + 3_000})

    assert Clock(redis, retention=60).tick() is True


def test_a_drain_that_stopped_announcing_does_not_count(redis: Redis) -> None:
    redis.zadd(keys.DUE, {"|e": now(redis)})
    redis.zadd(keys.DRAINS, {"d": now(redis) - 1})

    assert Clock(redis, retention=60).tick() is True


def test_the_job_carries_no_payload_and_is_json(redis: Redis) -> None:
    enqueue_drain(redis)

    [job] = queue(redis).jobs
    assert (job.description, job.func_name, job.args) == ("work the inbox", "workers.jobs.drain", [])
    assert job.serializer is JSONSerializer
    assert job.id.startswith("drain-")


async def test_an_accepted_event_is_due_for_the_clock(redis: Redis, async_redis: object) -> None:
    await Inbox(async_redis, retention=86_400).accept([delivery()])  # type: ignore[arg-type]

    assert Clock(redis, retention=60).tick() is True


async def test_the_clock_trims_expired_index_members_only(redis: Redis, async_redis: AsyncRedis) -> None:
    inbox = Inbox(async_redis, retention=1)
    await inbox.accept([delivery(), delivery(b"[]"), delivery(payload(request_id="unfinished"))])
    for event_key in (key(payload()), delivery(b"[]").content.key):
        redis.delete(keys.event(event_key))  # as expiry does
    old = int(time.time() * 1000) - 120_000
    for index in (keys.EVENTS, keys.QUARANTINE):
        redis.zadd(index, dict.fromkeys(redis.zrange(index, 0, -1), old), xx=True)

    assert Clock(redis, retention=60).trim() == 3
    assert redis.zrange(keys.EVENTS, 0, -1) == [key(payload(request_id="unfinished")).encode()]
    assert redis.zcard(keys.QUARANTINE) == 0


def test_a_due_check_enqueues_one_reconcile_run(redis: Redis) -> None:
    redis.zadd(keys.CHECKS, {"r1": now(redis) - 1})
    clock = Clock(redis, retention=60, api_keys=("hitl_test_0123456789abcdef",))

    clock.tick()
    clock.tick()

    [job] = queue(redis, RECONCILE).jobs
    assert (job.func_name, job.id.startswith("reconcile-")) == ("workers.jobs.reconcile", True)


def test_no_reconcile_run_is_enqueued_while_one_is_active_or_no_check_is_due(redis: Redis) -> None:
    clock = Clock(redis, retention=60, api_keys=("hitl_test_0123456789abcdef",))
    redis.zadd(keys.CHECKS, {"r1": now(redis) + 60_000})
    clock.tick()
    redis.zadd(keys.CHECKS, {"r1": now(redis) - 1})
    redis.set(keys.RECONCILE_LEASE, 7)
    clock.tick()

    assert queue(redis, RECONCILE).count == 0


def test_no_reconcile_run_is_enqueued_during_a_pause_after_an_error(redis: Redis) -> None:
    redis.zadd(keys.CHECKS, {"r1": now(redis) - 1})
    clock = Clock(redis, retention=60, api_keys=("hitl_test_0123456789abcdef",))
    redis.hset(keys.RECONCILE_STATE, "rests_until", time.time() + 60)
    clock.tick()
    resting = queue(redis, RECONCILE).count
    redis.hset(keys.RECONCILE_STATE, "rests_until", time.time() - 1)
    clock.tick()

    assert (resting, queue(redis, RECONCILE).count) == (0, 1)


def test_only_polled_api_keys_have_reconcile_runs_enqueued(redis: Redis) -> None:
    old, new = "hitl_test_old", "hitl_test_new"
    registered = api_keys.configure(redis, [old, new], lookback=60)
    for indexes in registered:
        redis.hset(indexes.state, "rests_until", 0)
    redis.zadd(registered[0].checks, {"r1": now(redis) - 1})

    Clock(redis, retention=60, api_keys=(new,)).tick()
    alone = queue(redis, RECONCILE).count
    Clock(redis, retention=60, api_keys=(old, new)).tick()

    assert (alone, queue(redis, RECONCILE).count) == (0, 1)


@pytest.mark.slow
def test_a_key_that_is_new_after_an_outage_of_everything_is_used_from_then_on(redis: Redis) -> None:
    old, new, lookback, outage = "hitl_test_old", "hitl_test_new", 60.0, 864_000.0
    Clock(redis, retention=60, api_keys=(old,), lookback=lookback).tick()
    World(redis).let_pass(outage)
    redis.zadd(keys.DUE, {"|e": 1})
    clock = Clock(redis, retention=60, api_keys=(new,), lookback=lookback, discovers=True)

    drains = [clock.tick()]
    early = (api_keys.read(redis).used, queue(redis, RECONCILE).count)
    deadline = time.monotonic() + WATCH + 3
    while queue(redis, RECONCILE).count == 0 and time.monotonic() < deadline:
        time.sleep(0.1)
        clock.tick()

    assert drains == [True]
    assert early == ({api_keys.api_key_hash(old)}, 0)
    assert queue(redis, RECONCILE).count == 1
    registered = api_keys.read(redis)
    assert registered.current.key_hash == api_keys.api_key_hash(new)
    since = reconcile_state.read(redis, registered.current).since
    assert since == pytest.approx(time.time() - lookback, abs=5)


def test_without_an_api_key_nothing_is_reconciled(redis: Redis) -> None:
    redis.zadd(keys.CHECKS, {"r1": now(redis) - 1})

    Clock(redis, retention=60, discovers=True).tick()

    assert queue(redis, RECONCILE).count == 0


def test_the_first_tick_enqueues_a_reconcile_run(redis: Redis) -> None:
    Clock(redis, retention=60, api_keys=("hitl_test_0123456789abcdef",), discovers=True).tick()

    assert queue(redis, RECONCILE).count == 1


def test_without_discovery_no_run_is_enqueued_each_second(redis: Redis) -> None:
    clock = Clock(redis, retention=60, api_keys=("hitl_test_0123456789abcdef",), discovers=True)
    clock.tick()
    queue(redis, RECONCILE).empty()

    clock.tick()

    assert queue(redis, RECONCILE).count == 0


def test_requests_past_any_lifetime_leave_the_tracker(redis: Redis) -> None:
    redis.zadd(keys.ASKED, {"old": time.time() - 40 * 86_400, "new": time.time()})
    redis.zadd(keys.LOST, {"old": now(redis) - 120_000})

    Clock(redis, retention=60).trim()

    assert redis.zrange(keys.ASKED, 0, -1) == [b"new"]
    assert redis.zcard(keys.LOST) == 0


async def test_a_check_that_something_waits_for_is_never_forgotten(redis: Redis, async_redis: AsyncRedis) -> None:
    """An effect may wait for its confirmation for longer than any request lives."""
    await Inbox(async_redis, retention=86_400).accept([delivery(claimed("waits"))])
    redis.zadd(keys.CHECKS, {"waits": now(redis) - 40 * 86_400_000, "gone": now(redis) - 40 * 86_400_000, "*": 5})

    Clock(redis, retention=86_400).trim()

    assert redis.zrange(keys.CHECKS, 0, -1) == [b"*", b"waits"]


def test_a_reconcile_run_that_nobody_takes_is_logged_once(
    redis: Redis, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workers.clock.UNSERVED_SECONDS", 0.1)
    clock = Clock(redis, retention=60, api_keys=("hitl_test_0123456789abcdef",), discovers=True)
    for _ in range(4):
        clock.tick()
        time.sleep(0.06)

    assert caplog.text.count("reconcile.unserved") == 1
    assert "`hitl-receiver work --queue hitl-reconcile`" in caplog.text


def test_a_reconcile_run_that_is_taken_is_not_logged(
    redis: Redis, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workers.clock.UNSERVED_SECONDS", 0.1)
    clock = Clock(redis, retention=60, api_keys=("hitl_test_0123456789abcdef",), discovers=True)
    for _ in range(4):
        redis.zadd(keys.CHECKS, {"r1": now(redis) - 1})
        clock.tick()
        queue(redis, RECONCILE).empty()
        time.sleep(0.06)

    assert "reconcile.unserved" not in caplog.text


# -- an outage of Redis -------------------------------------------------------------------------------------


def test_an_outage_is_logged_once_and_then_at_growing_intervals(caplog: pytest.LogCaptureFixture) -> None:
    outage, failure, logged = Outage(), ConnectionError("refused"), []
    for second in range(200):
        before = len(caplog.records)
        outage.note_failure(failure, float(second))
        logged += [second] * (len(caplog.records) - before)

    assert logged == [0, 5, 15, 35, 75, 155]
    assert "clock.missed error=ConnectionError seconds=155" in caplog.messages[-1]


def test_an_outage_that_ended_is_logged_when_it_begins_again(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    outage, failure = Outage(), ConnectionError("refused")
    rounds = [(0, True), (4, True), (5, False), (6, True), (10, False), (17, False), (21, False), (22, True)]
    for now, fails in rounds:
        if fails:
            outage.note_failure(failure, now)
        else:
            outage.note_success(now)

    names = [message.partition(":")[0] for message in caplog.messages]
    assert names == [
        "clock.missed error=ConnectionError seconds=0",
        "clock.missed error=ConnectionError seconds=6",
        "clock.recovered seconds=10",
        "clock.missed error=ConnectionError seconds=0",
    ]


def test_a_clock_without_redis_logs_one_line_for_all_its_steps(caplog: pytest.LogCaptureFixture) -> None:
    clock = Clock(command_client("redis://127.0.0.1:1"), retention=60, every=0.02)
    ticking = Thread(target=clock.run)
    ticking.start()
    time.sleep(0.3)
    clock.stop()
    ticking.join()

    assert caplog.text.count("clock.missed") == 1


def test_a_signal_that_interrupts_a_stop_does_not_block_it(redis: Redis) -> None:
    clock = Clock(redis, retention=60)
    earlier = signal.signal(signal.SIGVTALRM, lambda *_: clock.stop())
    signal.setitimer(signal.ITIMER_VIRTUAL, 0.0001, 0.0001)
    try:
        ends = time.monotonic() + 0.3
        while time.monotonic() < ends:
            clock.stop()
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, earlier)

    clock.run()
