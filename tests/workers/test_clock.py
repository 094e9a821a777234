import time

import pytest
from redis import Redis
from redis.asyncio import Redis as AsyncRedis
from rq.serializers import JSONSerializer

from tests.builders import claimed, delivery, key, payload
from workers.clock import Clock
from workers.inbox import keys
from workers.inbox.queries.due_work import BACKLOG
from workers.inbox.store import Inbox
from workers.inbox.tracker import api_keys
from workers.queue import RECONCILE, enqueue_drain, queue


def now(redis: Redis) -> int:
    return int(time.time() * 1000)


async def test_nothing_due_asks_for_nothing(redis: Redis) -> None:
    assert Clock(redis, retention=60).tick() is False


def test_something_due_and_nobody_there_asks_for_one_drain(redis: Redis) -> None:
    redis.zadd(keys.DUE, {"|e": now(redis)})
    clock = Clock(redis, retention=60)

    assert (clock.tick(), clock.tick()) == (True, False)
    assert queue(redis).count == 1


def test_a_resident_drain_is_trusted_with_what_is_due_now(redis: Redis) -> None:
    redis.zadd(keys.DUE, {"|e": now(redis)})
    redis.zadd(keys.DRAINS, {"d": now(redis) + 3_000})

    assert Clock(redis, retention=60).tick() is False


def test_a_backlog_asks_for_another_drain(redis: Redis) -> None:
    redis.zadd(keys.DUE, {"|e": now(redis) - BACKLOG - 100})
    redis.zadd(keys.DRAINS, {"d": now(redis) + 3_000})

    assert Clock(redis, retention=60).tick() is True


def test_a_drain_that_fell_silent_counts_no_more(redis: Redis) -> None:
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


async def test_the_clock_forgets_what_has_expired_and_nothing_else(redis: Redis, async_redis: AsyncRedis) -> None:
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


def test_a_request_that_is_worth_a_call_asks_for_one_reconcile_run(redis: Redis) -> None:
    redis.zadd(keys.CHECKS, {"r1": now(redis) - 1})
    clock = Clock(redis, retention=60, api_keys=("hitl_test_0123456789abcdef",))

    clock.tick()
    clock.tick()

    [job] = queue(redis, RECONCILE).jobs
    assert (job.func_name, job.id.startswith("reconcile-")) == ("workers.jobs.reconcile", True)


def test_no_reconcile_run_is_asked_for_while_one_runs_or_nothing_is_worth_a_call(redis: Redis) -> None:
    clock = Clock(redis, retention=60, api_keys=("hitl_test_0123456789abcdef",))
    redis.zadd(keys.CHECKS, {"r1": now(redis) + 60_000})
    clock.tick()
    redis.zadd(keys.CHECKS, {"r1": now(redis) - 1})
    redis.set(keys.RECONCILE_LEASE, 7)
    clock.tick()

    assert queue(redis, RECONCILE).count == 0


def test_after_trouble_with_hitl_sh_it_is_left_alone_whatever_becomes_due(redis: Redis) -> None:
    redis.zadd(keys.CHECKS, {"r1": now(redis) - 1})
    clock = Clock(redis, retention=60, api_keys=("hitl_test_0123456789abcdef",))
    redis.hset(keys.RECONCILE_STATE, "rests_until", time.time() + 60)
    clock.tick()
    resting = queue(redis, RECONCILE).count
    redis.hset(keys.RECONCILE_STATE, "rests_until", time.time() - 1)
    clock.tick()

    assert (resting, queue(redis, RECONCILE).count) == (0, 1)


def test_each_key_that_is_polled_has_what_is_due_looked_for_and_no_other(redis: Redis) -> None:
    old, new = "hitl_test_old", "hitl_test_new"
    registered = api_keys.configure(redis, [old, new], lookback=60)
    for indexes in registered:
        redis.hset(indexes.state, "rests_until", 0)
    redis.zadd(registered[0].checks, {"r1": now(redis) - 1})

    Clock(redis, retention=60, api_keys=(new,)).tick()
    alone = queue(redis, RECONCILE).count
    Clock(redis, retention=60, api_keys=(old, new)).tick()

    assert (alone, queue(redis, RECONCILE).count) == (0, 1)


def test_without_an_api_key_nothing_is_reconciled(redis: Redis) -> None:
    redis.zadd(keys.CHECKS, {"r1": now(redis) - 1})

    Clock(redis, retention=60, discovers=True).tick()

    assert queue(redis, RECONCILE).count == 0


def test_the_first_tick_has_a_reconcile_run_look_what_there_is(redis: Redis) -> None:
    Clock(redis, retention=60, api_keys=("hitl_test_0123456789abcdef",), discovers=True).tick()

    assert queue(redis, RECONCILE).count == 1


def test_workers_that_do_not_discover_are_not_asked_to_each_second(redis: Redis) -> None:
    clock = Clock(redis, retention=60, api_keys=("hitl_test_0123456789abcdef",), discovers=True)
    clock.tick()
    queue(redis, RECONCILE).empty()

    clock.tick()

    assert queue(redis, RECONCILE).count == 0


def test_what_is_too_old_to_matter_leaves_the_ledger(redis: Redis) -> None:
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
