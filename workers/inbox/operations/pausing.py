"""Pauses and resumes handlers: deliveries are still stored, and effects of paused handlers wait."""

import uuid
from collections.abc import Iterable
from typing import cast

from redis import Redis

from workers.inbox import keys, scripts

#: Means every handler.
ALL = "*"
#: Effects that `resume` makes due at once; drains resume the others in slices.
FIRST = 100


def pause(redis: Redis, handler: str = ALL) -> None:
    """Begin no more effects of this handler, or of any (`*`); running effects finish."""
    redis.sadd(keys.PAUSED, handler)


def resume(redis: Redis, handler: str = ALL) -> int:
    """End the pause of this handler, or every pause (`*`); returns how many effects waited.

    Drains make them due again in slices; an id in `resumes` remains until they are done.
    """
    names = [handler] if handler != ALL else sorted(paused(redis) - {ALL})
    waiting = _count(redis, frozenset(names))
    with redis.pipeline() as pipe:
        pipe.srem(keys.PAUSED, ALL, *names) if handler == ALL else pipe.srem(keys.PAUSED, handler)
        pipe.sadd(keys.RESUMES, uuid.uuid4().hex)
        pipe.lpush(keys.WAKE, 1)
        pipe.execute()
    pairs = [field for name in names for field in (name, 0)]
    scripts.script(redis, "store/resume_effects")(keys=[keys.PREFIX], args=[FIRST, 0, *pairs])
    return waiting


def _count(redis: Redis, handlers: frozenset[str]) -> int:
    """How many effects of these handlers are held or wait for room."""
    held = cast("Iterable[tuple[bytes, float]]", redis.zscan_iter(keys.HELD, count=500))
    count = sum(member.decode().partition("|")[0] in handlers for member, _ in held)
    return count + sum(redis.zcard(keys.waiting(handler)) for handler in handlers)


def paused(redis: Redis) -> frozenset[str]:
    """Names of paused handlers; `*` means all."""
    return frozenset(name.decode() for name in cast("Iterable[bytes]", redis.smembers(keys.PAUSED)))
