"""Time that passes, and steps of the server's clock, for the inbox clock on a real server."""

import time
from collections.abc import Callable

from redis import Redis

from workers.inbox import inbox_clock, keys, scripts
from workers.inbox.inbox_clock import SECOND, Timekeeper


class World:
    """Simulates passing time and steps of the server's clock by moving the times that scripts stored."""

    def __init__(self, redis: Redis) -> None:
        self.redis = redis
        #: Seconds that have passed besides those of the test itself, by every monotonic clock.
        self.passed = 0.0
        #: Milliseconds by which everything stored lies back.
        self._shift = 0

    def timekeeper(self) -> Timekeeper:
        return Timekeeper(monotonic=self.monotonic)

    def monotonic(self) -> float:
        return time.monotonic() + self.passed

    def let_pass(self, seconds: float) -> None:
        self.passed += seconds
        self.set_server_clock(seconds)

    def set_server_clock(self, seconds: float) -> None:
        """By so many seconds from what it says."""
        milliseconds = round(seconds * 1000)
        self._shift += milliseconds
        for field in ("server", "inbox", "latest"):
            if self.redis.hexists(keys.CLOCK, field):
                self.redis.hincrby(keys.CLOCK, field, -milliseconds * 1000)
        for index in (keys.DUE, keys.DRAINS):
            for member in self.redis.zrange(index, 0, -1):
                self.redis.zincrby(index, -milliseconds, member)

    def inbox_time(self) -> float:
        """In seconds."""
        return self.inbox_microseconds() / SECOND

    def inbox_microseconds(self) -> int:
        """As a script that writes sees it."""
        scripts.script(self.redis, "store/renew_leases")(keys=[keys.PREFIX], args=[1])
        return int(self.redis.hget(keys.CLOCK, "latest") or 0) + self._shift * 1000

    def lease_left(self, member: str) -> float:
        score = self.redis.zscore(keys.DUE, member)
        assert score is not None
        return float(score) / 1000 - inbox_clock.now(self.redis)

    def run(self, seconds: int, *timekeepers: Timekeeper, each_second: Callable[[], object] = lambda: None) -> None:
        """Let so many seconds pass, in each of which all timekeepers look."""
        for _ in range(seconds):
            self.let_pass(1.0)
            each_second()
            for timekeeper in timekeepers:
                timekeeper.keep(self.redis)
