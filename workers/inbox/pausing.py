"""Pausing handlers: intake goes on, nothing is lost, their effects wait until they are resumed."""

from collections.abc import Iterable
from typing import cast

from redis import Redis

from workers.inbox import keys, scripts

#: Stands for every handler.
ALL = "*"


def pause(redis: Redis, handler: str = ALL) -> None:
    """Begin no more of this handler's effects, or of any; what runs goes on."""
    redis.sadd(keys.PAUSED, handler)


def resume(redis: Redis, handler: str = ALL) -> int:
    """Take the pause back (`*`: every pause); answers how many effects became due again."""
    names = [handler] if handler != ALL else sorted(paused(redis) - {ALL})
    if handler == ALL:
        redis.delete(keys.PAUSED)
    else:
        redis.srem(keys.PAUSED, handler)
    redis.lpush(keys.WAKE, 1)
    return cast("int", scripts.script(redis, "resume")(keys=[keys.PREFIX], args=names))


def paused(redis: Redis) -> frozenset[str]:
    """Names of paused handlers; `*` stands for all."""
    return frozenset(name.decode() for name in cast("Iterable[bytes]", redis.smembers(keys.PAUSED)))
