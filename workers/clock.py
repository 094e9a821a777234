"""The clock: once a second, see that what is due has a drain or a sweep. Any number may run; none holds state."""

import logging
import threading
import time
from collections.abc import Sequence
from typing import cast

import msgspec
from redis import Redis
from redis.exceptions import RedisError

from workers.inbox import api_keys as registered_keys
from workers.inbox import keys
from workers.inbox.api_keys import KeyIndexes
from workers.inbox.inbox import LONGEST_REQUEST
from workers.inbox.ledger import DISCOVERY
from workers.jobs import enqueue_drain, enqueue_sweep

logger = logging.getLogger("hitl.clock")

#: Milliseconds that something may be due before a second drain is worth having.
BACKLOG = 1_000
#: Seconds between two looks at what has expired, and how many events a look takes at a time.
TRIM_SECONDS = 600.0
#: Seconds after which a first look at what HITL.sh has is asked for again.
FIRST_LOOK_SECONDS = 60.0
CHUNK = 500


class Clock:
    """Looks at the inbox once a second."""

    def __init__(
        self,
        redis: Redis,
        *,
        retention: int,
        api_keys: Sequence[str] = (),
        lookback: float = 86_400.0,
        discovers: bool = False,
        every: float = 1.0,
    ) -> None:
        """`retention`: seconds that finished events are kept. `api_keys`: those that are polled, oldest first."""
        self._redis = redis
        self._retention = retention
        self._api_keys = tuple(api_keys)
        self._lookback = lookback
        self._discovers = discovers
        self._every = every
        self._trimmed = 0.0
        self._ask_again_at = 0.0
        self._stopped = threading.Event()

    def stop(self) -> None:
        self._stopped.set()

    def run(self) -> None:
        """Tick until stopped; an outage of Redis is waited out."""
        while not self._stopped.is_set():
            try:
                self.tick()
                self._trim_now_and_then()
            except RedisError as error:
                logger.warning("clock.missed error=%s", type(error).__name__)
            self._stopped.wait(self._every)

    def tick(self) -> bool:
        """Answers whether a drain was asked for."""
        found = self._look()
        if any(found.sweep_is_possible(key) and (key.checks or self._first_look_is_wanted(key)) for key in found.keys):
            enqueue_sweep(self._redis)
        return found.drain_is_wanted and enqueue_drain(self._redis)

    def _first_look_is_wanted(self, found: "_KeyLook") -> bool:
        """Nobody has looked what there is; where workers are set not to, they are not asked each second."""
        if not self._discovers or found.discovery is not None or time.monotonic() < self._ask_again_at:
            return False
        self._ask_again_at = time.monotonic() + FIRST_LOOK_SECONDS
        return True

    def trim(self) -> int:
        """Forget in the indexes what has expired; answers how much that was. Unfinished work is never touched."""
        seconds, _ = self._redis.time()
        oldest = seconds - LONGEST_REQUEST
        known = registered_keys.read(self._redis)
        for indexes in (*known.polled, *known.gone):
            self._redis.zremrangebyscore(indexes.asked, "-inf", oldest)
            self._redis.zremrangebyscore(indexes.unverified, "-inf", oldest)
            self._redis.zremrangebyscore(indexes.checks, "-inf", oldest * 1000)
        self._redis.zremrangebyscore(keys.LOST, "-inf", (seconds - self._retention) * 1000)
        return sum(self._trim(index) for index in (keys.EVENTS, keys.QUARANTINE, keys.CONTRADICTED))

    def _trim_now_and_then(self) -> None:
        if time.monotonic() - self._trimmed > TRIM_SECONDS:
            self._trimmed = time.monotonic()
            self.trim()

    def _trim(self, index: str) -> int:
        """The oldest first, in chunks: what is older than the retention and still there is unfinished."""
        seconds, _ = self._redis.time()
        oldest, kept, gone = (seconds - self._retention) * 1000, 0, 0
        while members := self._older(index, oldest, kept):
            with self._redis.pipeline(transaction=False) as pipe:
                for member in members:
                    pipe.exists(keys.event(member.decode()))
                expired = [member for member, there in zip(members, pipe.execute(), strict=True) if not there]
            if expired:
                self._redis.zrem(index, *expired)
            gone += len(expired)
            kept += len(members) - len(expired)
        return gone

    def _older(self, index: str, oldest: int, offset: int) -> list[bytes]:
        found = self._redis.zrange(index, "-inf", oldest, byscore=True, offset=offset, num=CHUNK)
        return cast("list[bytes]", found)

    def _look(self) -> "_Look":
        seconds, micros = self._redis.time()
        now = seconds * 1000 + micros // 1000
        polled: list[KeyIndexes] = []
        if self._api_keys:
            polled = registered_keys.configure(self._redis, self._api_keys, lookback=self._lookback)
        with self._redis.pipeline(transaction=False) as pipe:
            pipe.zcount(keys.DUE, "-inf", now)
            pipe.zcount(keys.DUE, "-inf", now - BACKLOG)
            pipe.zcount(keys.DRAINS, now, "+inf")
            pipe.exists(keys.SWEEPING)
            for indexes in polled:
                pipe.zcount(indexes.checks, "-inf", now)
                pipe.zscore(indexes.checks, DISCOVERY)
                pipe.hget(indexes.state, "rests_until")
            due, overdue, drains, sweeping, *found = pipe.execute()
        replies = iter(found)
        each = tuple(_KeyLook(*values) for values in zip(replies, replies, replies, strict=True))
        return _Look(now, due, overdue, drains, sweeping, each)


class _KeyLook(msgspec.Struct, frozen=True):
    """What is worth a call with one API key."""

    checks: int
    discovery: float | None
    #: In seconds: HITL.sh is left alone after trouble with it.
    rests_until: bytes | None


class _Look(msgspec.Struct, frozen=True):
    """The inbox at a moment, in counts."""

    #: In milliseconds, by the server's clock.
    now: int
    due: int
    overdue: int
    drains: int
    sweeping: int
    #: Of each API key that is polled.
    keys: tuple[_KeyLook, ...]

    @property
    def drain_is_wanted(self) -> bool:
        """Something is due and nobody resident, or it has been due for so long that one is not enough."""
        return bool(self.overdue or (self.due and not self.drains))

    def sweep_is_possible(self, key: _KeyLook) -> bool:
        """Nobody is at it, and HITL.sh is not left alone after trouble with this key."""
        return not self.sweeping and float(key.rests_until or 0) * 1000 <= self.now
