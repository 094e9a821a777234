"""Removes members of indexes whose records have expired; see trim_index.lua."""

from typing import cast

from redis import Redis

from workers.inbox import keys, scripts
from workers.inbox.tracker import api_keys

_INDEXES = ("events", "quarantine", "overruled", "unrouted", "unrouted_decisions", "lost")
#: Indexes that each API key has of its own.
_INDEXES_PER_KEY = ("checks", "asked", "unverified")


class Trimmer:
    """Trims every index, a slice at a time. Unfinished work is never touched."""

    def __init__(self, redis: Redis, *, retention: int) -> None:
        """`retention`: seconds that finished events are kept."""
        self._redis = redis
        self._retention = retention
        self._script = scripts.script(redis, "maintenance/trim_index")

    def trim(self) -> int:
        """Remove expired members; returns how many."""
        used_keys = api_keys.read(self._redis)
        suffixes = [indexes.suffix for indexes in (*used_keys.polled, *used_keys.retired)]
        of_keys = [f"{index}{suffix}" for index in _INDEXES_PER_KEY for suffix in suffixes]
        return sum(self._trim(index) for index in (*_INDEXES, *of_keys))

    def _trim(self, index: str) -> int:
        """Trim one index, oldest members first."""
        dropped, rank = 0, 0
        while rank >= 0:
            arguments = (self._retention, keys.LONGEST_REQUEST, index, rank)
            count, rank = cast("tuple[int, int]", self._script(keys=[keys.PREFIX], args=arguments))
            dropped += count
        return dropped
