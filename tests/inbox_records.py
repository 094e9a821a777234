"""The records of a test's inbox."""

from collections.abc import Iterator
from typing import cast

from redis import Redis

from workers.inbox import keys
from workers.inbox.event_records import EventRecord
from workers.inbox.queries import lookup


def recent(redis: Redis, most: int = 100) -> Iterator[EventRecord]:
    """The latest events, newest first."""
    newest = cast("list[bytes]", redis.zrevrange(keys.EVENTS, 0, most - 1))
    return lookup.records(redis, [key.decode() for key in newest])
