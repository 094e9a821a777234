"""Every order and repetition of deliveries leads to the same record."""

import asyncio
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis import Redis
from redis.asyncio import Redis as AsyncRedis

from tests.builders import ago, claimed, delivery, payload
from workers.inbox import keys
from workers.inbox.store import Inbox

#: One request's story without a contradiction, in several forms of the same facts.
STORY = [
    claimed(at=ago(110)),
    claimed(at=ago(80)),
    payload(response="Approve with Warning"),
    payload(response_data="approve_with_warning"),
    payload(response_data={"selected_value": "approve_with_warning", "selected_label": "Approve with Warning"}),
]


def record(redis: Redis, bodies: list[bytes], batches: list[int], url: str) -> dict[Any, Any]:
    """Accept deliveries in this order and in these batches; returns the records of the request and its events."""
    redis.flushall()

    async def deliver() -> None:
        client = AsyncRedis.from_url(url)
        inbox = Inbox(client, retention=86_400)
        rest = [delivery(body) for body in bodies]
        for size in [*batches, len(rest)]:
            if rest[:size]:
                await inbox.accept(rest[:size])
            rest = rest[size:]
        await client.aclose()

    asyncio.run(deliver())
    request = redis.hgetall(keys.request("66c0ffee00000000000000a1"))
    kept = {name: request.get(name) for name in (b"status", b"outcome", b"event")}
    return kept | {b"due": sorted(redis.zrange(keys.DUE, 0, -1))}


@pytest.mark.slow
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    order=st.permutations(range(len(STORY))),
    repeated=st.lists(st.integers(0, len(STORY) - 1), max_size=6),
    batches=st.lists(st.integers(1, 4), max_size=4),
)
def test_any_order_and_repetition_gives_the_same_record(
    redis: Redis, server: Any, order: list[int], repeated: list[int], batches: list[int]
) -> None:
    # One outcome in several spellings: the first to come gives its body, the record is the same.
    expected = record(redis, STORY, [], server.url)

    found = record(redis, [STORY[n] for n in [*order, *repeated]], batches, server.url)

    assert found == expected
