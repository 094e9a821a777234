import time

from redis import Redis
from rq.serializers import JSONSerializer

from tests.builders import delivery
from workers.clock import BACKLOG, Clock
from workers.inbox import keys
from workers.inbox.inbox import Inbox
from workers.jobs import enqueue_drain, queue


def now(redis: Redis) -> int:
    return int(time.time() * 1000)


async def test_nothing_due_asks_for_nothing(redis: Redis) -> None:
    assert Clock(redis).tick() is False


def test_something_due_and_nobody_there_asks_for_one_drain(redis: Redis) -> None:
    redis.zadd(keys.DUE, {"|e": now(redis)})
    clock = Clock(redis)

    assert (clock.tick(), clock.tick()) == (True, False)
    assert queue(redis).count == 1


def test_a_resident_drain_is_trusted_with_what_is_due_now(redis: Redis) -> None:
    redis.zadd(keys.DUE, {"|e": now(redis)})
    redis.zadd(keys.DRAINS, {"d": now(redis) + 3_000})

    assert Clock(redis).tick() is False


def test_a_backlog_asks_for_another_drain(redis: Redis) -> None:
    redis.zadd(keys.DUE, {"|e": now(redis) - BACKLOG - 100})
    redis.zadd(keys.DRAINS, {"d": now(redis) + 3_000})

    assert Clock(redis).tick() is True


def test_a_drain_that_fell_silent_counts_no_more(redis: Redis) -> None:
    redis.zadd(keys.DUE, {"|e": now(redis)})
    redis.zadd(keys.DRAINS, {"d": now(redis) - 1})

    assert Clock(redis).tick() is True


def test_the_job_carries_no_payload_and_is_json(redis: Redis) -> None:
    enqueue_drain(redis)

    [job] = queue(redis).jobs
    assert (job.description, job.func_name, job.args) == ("work the inbox", "workers.jobs.drain", [])
    assert job.serializer is JSONSerializer
    assert job.id.startswith("drain-")


async def test_an_accepted_event_is_due_for_the_clock(redis: Redis, async_redis: object) -> None:
    await Inbox(async_redis, retention=60, lease=15).accept([delivery()])  # type: ignore[arg-type]

    assert Clock(redis).tick() is True
