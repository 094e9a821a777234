"""The record of alarms: which are raised, and who was notified. One string, written with compare-and-set."""

from typing import cast

from redis import Redis

from workers.inbox import keys, scripts


def read(redis: Redis) -> bytes:
    """Read the record; empty if there is none yet."""
    return cast("bytes | None", redis.get(keys.ALARMS)) or b""


def replace(redis: Redis, old: bytes, new: bytes) -> bool:
    """Write the record unless it has changed since it was read; works while Redis is full."""
    return bool(scripts.script(redis, "alarms/replace_record")(keys=[keys.PREFIX], args=[old, new]))
