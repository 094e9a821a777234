"""The settlement that follows from each end of an attempt."""

import pytest
from redis import Redis
from redis.asyncio import Redis as AsyncRedis

from tests.builders import delivery, key, payload
from tests.workers.test_drain import draining, until
from workers import Decision, RetryLater, Router
from workers.inbox import keys
from workers.inbox.queries import lookup
from workers.inbox.worker_inbox import WorkerInbox


@pytest.fixture
def inbox(async_redis: AsyncRedis) -> WorkerInbox:
    return WorkerInbox(async_redis, retention=86_400, lease=5.0)


def effect(redis: Redis) -> lookup.EffectRecord:
    record = lookup.event(redis, key(payload()))
    assert record is not None
    return record.effects[0]


async def test_a_retry_that_counts_uses_the_attempts_up(inbox: WorkerInbox, redis: Redis) -> None:
    router = Router()

    @router.on("request.completed", attempts=3, backoff=(0.01, 0.05))
    async def busy(decision: Decision) -> None:
        raise RetryLater(0.01, "the target is busy", counts=True)

    await inbox.accept([delivery()])
    async with draining(inbox, redis, router):
        await until(lambda: redis.zcard(keys.FAILED) == 1)

    found = effect(redis)
    assert (found.attempts, found.state) == (3, "failed")
    assert found.error == "RetryLater: again in 0.01 s: the target is busy"


async def test_a_retry_that_does_not_count_is_no_error(inbox: WorkerInbox, redis: Redis) -> None:
    router = Router()

    @router.on("request.completed", attempts=1)
    async def early(decision: Decision) -> None:
        if decision.attempt < 4:
            raise RetryLater(0.01)

    await inbox.accept([delivery()])
    async with draining(inbox, redis, router):
        await until(lambda: redis.zcard(keys.DUE) == 0)

    found = effect(redis)
    assert (found.attempts, found.errors, found.error) == (4, 0, None)
