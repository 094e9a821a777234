"""Frees memory when Redis is nearly full, and keeps a reserve for RQ.

RQ's own writes are refused when the server is full, while our settlement scripts are not. The reserve is a key of some
megabytes that is deleted then, so that RQ can go on.
"""

import logging
import time
from typing import cast

from redis import Redis

from workers.inbox import keys, scripts

logger = logging.getLogger("hitl.memory")

#: Shares of `maxmemory`: above the first the reserve is deleted, above the second records are shrunk.
RESERVE_AT = 0.95
SHRINK_AT = 0.85
#: Size of the reserve: this share of `maxmemory`, and at most so many bytes.
RESERVE_SHARE = 0.05
LARGEST_RESERVE = 4 << 20
#: Events per script call, and seconds per slice.
CHUNK = 200
SLICE_SECONDS = 0.25
#: Seconds of pause after all records were visited.
PAUSE_SECONDS = 10.0
PHASES = ("tracebacks", "bodies")


def usage(redis: Redis) -> tuple[int, int]:
    """Bytes used, and `maxmemory` (0: no limit)."""
    memory = redis.info("memory")
    return int(memory["used_memory"]), int(memory.get("maxmemory", 0))


def release_reserve(redis: Redis) -> bool:
    """Delete the reserve; returns whether it existed."""
    return bool(redis.unlink(keys.RESERVE))


class MemoryKeeper:
    """Keeps the reserve and shrinks records, in slices. Any number may run at once."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._shrink = scripts.script(redis, "maintenance/shrink_records")
        self._phase = 0
        #: How many members of the index were visited in this phase.
        self._offset = 0
        self._shrunk = 0
        self._paused_until = 0.0

    def run_slice(self) -> None:
        """Release or restore the reserve, and shrink records for one slice if memory is short."""
        used, limit = usage(self._redis)
        if not limit:
            release_reserve(self._redis)
            return
        if used > RESERVE_AT * limit:
            if release_reserve(self._redis):
                logger.warning("memory.full used=%d maxmemory=%d: the reserve is released", used, limit)
        elif not self._redis.exists(keys.RESERVE):
            self._restore(used, limit)
        if used > SHRINK_AT * limit:
            if time.monotonic() >= self._paused_until:
                self._shrink_slice(limit)
        else:
            self._phase, self._offset = 0, 0

    def _restore(self, used: int, limit: int) -> None:
        size = int(min(LARGEST_RESERVE, RESERVE_SHARE * limit))
        if used + size < SHRINK_AT * limit:
            self._redis.setrange(keys.RESERVE, size - 1, "0")
            logger.info("memory.reserved bytes=%d", size)

    def _shrink_slice(self, limit: int) -> None:
        ends_at = time.monotonic() + SLICE_SECONDS
        while time.monotonic() < ends_at:
            end = self._offset + CHUNK - 1
            members = cast("list[bytes]", self._redis.zrange(keys.EVENTS, self._offset, end))
            if not members:
                self._next_phase()
                if self._phase == 0:
                    return
                continue
            self._offset += len(members)
            self._shrunk += cast("int", self._shrink(keys=[keys.PREFIX], args=[PHASES[self._phase], *members]))
            if usage(self._redis)[0] <= SHRINK_AT * limit:
                return

    def _next_phase(self) -> None:
        logger.warning("memory.shrunk dropped=%s records=%d", PHASES[self._phase], self._shrunk)
        self._phase, self._offset, self._shrunk = (self._phase + 1) % len(PHASES), 0, 0
        if self._phase == 0:
            self._paused_until = time.monotonic() + PAUSE_SECONDS
