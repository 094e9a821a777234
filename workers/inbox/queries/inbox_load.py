"""The backlog of due work and the memory of the Redis server, in one round trip."""

import msgspec
from redis import Redis

from workers.inbox import keys


class InboxLoad(msgspec.Struct, frozen=True, kw_only=True):
    """Due work, resident drains and memory at one moment."""

    due: int
    #: How long the oldest of it has been due; 0 when nothing is.
    oldest_seconds: float
    drains: int
    #: Bytes that the server uses, and its `maxmemory` (0: no limit).
    memory_used: int
    memory_limit: int


def read(redis: Redis, now: float) -> InboxLoad:
    """Read the load. `now`: the inbox clock in seconds since 1970."""
    milliseconds = int(now * 1000)
    with redis.pipeline(transaction=False) as pipe:
        pipe.zcount(keys.DUE, "-inf", milliseconds)
        pipe.zrange(keys.DUE, 0, 0, withscores=True)
        pipe.zcount(keys.DRAINS, milliseconds, "+inf")
        pipe.info("memory")
        due, first, drains, memory = pipe.execute()
    return InboxLoad(
        due=due,
        oldest_seconds=max(0.0, now - first[0][1] / 1000) if first else 0.0,
        drains=drains,
        memory_used=int(memory["used_memory"]),
        memory_limit=int(memory.get("maxmemory", 0)),
    )
