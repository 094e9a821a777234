"""The record of alarms: which of them last, and who was told of them. One string; its writers compare and set."""

from typing import cast

from redis import Redis

from workers.inbox import keys, scripts


def read(redis: Redis) -> bytes:
    """The record; empty before the first."""
    return cast("bytes | None", redis.get(keys.ALARMS)) or b""


def replace(redis: Redis, old: bytes, new: bytes) -> bool:
    """Write the record unless it has changed since it was read; also while Redis is full."""
    return bool(scripts.script(redis, "alarms/replace_record")(keys=[keys.PREFIX], args=[old, new]))
