"""Pausing handlers: intake goes on, nothing is lost, their effects wait until they are resumed."""

import uuid
from collections.abc import Iterable
from typing import cast

from redis import Redis

from workers.inbox import keys, scripts

#: Stands for every handler.
ALL = "*"
#: Effects that are made due at once; drains resume the others as they have room.
FIRST = 100


def pause(redis: Redis, handler: str = ALL) -> None:
    """Begin no more of this handler's effects, or of any; what runs goes on."""
    redis.sadd(keys.PAUSED, handler)


def resume(redis: Redis, handler: str = ALL) -> int:
    """Take the pause back (`*`: every pause); answers how many effects wait to go on.

    Drains make them due again, a slice at a time: the id in `resumes` stays until one has seen to it.
    """
    names = [handler] if handler != ALL else sorted(paused(redis) - {ALL})
    waiting = _count(redis, frozenset(names))
    with redis.pipeline() as pipe:
        pipe.srem(keys.PAUSED, ALL, *names) if handler == ALL else pipe.srem(keys.PAUSED, handler)
        pipe.sadd(keys.RESUMES, uuid.uuid4().hex)
        pipe.lpush(keys.WAKE, 1)
        pipe.execute()
    words = [word for name in names for word in (name, 0)]
    scripts.script(redis, "store/resume_effects")(keys=[keys.PREFIX], args=[FIRST, 0, *words])
    return waiting


def _count(redis: Redis, handlers: frozenset[str]) -> int:
    """How many effects of these handlers are held or wait for room."""
    held = cast("Iterable[tuple[bytes, float]]", redis.zscan_iter(keys.HELD, count=500))
    count = sum(member.decode().partition("|")[0] in handlers for member, _ in held)
    return count + sum(redis.zcard(keys.waiting(handler)) for handler in handlers)


def paused(redis: Redis) -> frozenset[str]:
    """Names of paused handlers; `*` stands for all."""
    return frozenset(name.decode() for name in cast("Iterable[bytes]", redis.smembers(keys.PAUSED)))
