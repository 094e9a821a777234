"""The fields of the records as values."""

import asyncio

from redis import Redis
from redis.asyncio import Redis as AsyncRedis

from tests.builders import delivery, key, payload, routed
from workers.inbox.queries import lookup
from workers.inbox.worker_inbox import WorkerInbox

KEY = key(payload())


async def test_a_death_during_routing_is_recorded(redis: Redis, async_redis: AsyncRedis) -> None:
    inbox = WorkerInbox(async_redis, retention=86_400, lease=0.01)
    await inbox.accept([delivery()])
    await inbox.claim(1)  # and is never heard of again
    await asyncio.sleep(0.02)
    [item] = (await inbox.claim(1)).items

    before = lookup.event(redis, KEY)
    await inbox.report([routed(item)])
    after = lookup.event(redis, KEY)

    assert before is not None
    assert after is not None
    assert before.routing is not None
    assert after.routing is not None
    assert (before.routing.state, before.routing.crashes) == ("due", 1)
    assert (after.routing.state, after.routing.crashes) == ("done", 1)
