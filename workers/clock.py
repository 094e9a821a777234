"""The clock: once a second, see that what is due has a drain or a reconcile run, keep the inbox clock, repair.

Any number may run.
"""

import logging
import threading
import time
from collections.abc import Sequence
from typing import cast

import msgspec
from redis import Redis
from redis.exceptions import RedisError

from workers.inbox import keys, scripts
from workers.inbox.inbox_clock import Timekeeper
from workers.inbox.memory import MemoryKeeper
from workers.inbox.operations.repairing import Repairer
from workers.inbox.store import LONGEST_REQUEST
from workers.inbox.tracker import api_keys as registered_keys
from workers.inbox.tracker.api_keys import KeyIndexes
from workers.inbox.tracker.tracked_requests import DISCOVERY
from workers.queue import enqueue_drain, enqueue_reconcile

logger = logging.getLogger("hitl.clock")

#: Milliseconds that something may be due before a second drain is worth having.
BACKLOG = 1_000
#: Seconds between two looks at what has expired.
TRIM_SECONDS = 600.0
#: Seconds after which a first look at what HITL.sh has is asked for again.
FIRST_LOOK_SECONDS = 60.0
#: Seconds that a reconcile run may wait for a process before the log says so.
UNSERVED_SECONDS = 30.0


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
        self._trim_slice = scripts.script(redis, "trim")
        self._timekeeper = Timekeeper()
        self._repairer = Repairer(redis, retention=retention)
        self._trimmed = 0.0
        self._memory = MemoryKeeper(redis)
        self._ask_again_at = 0.0
        #: The RQ job of a reconcile run that waits, since when, and whether the log says so.
        self._waiting_run: bytes | None = None
        self._waiting_since = 0.0
        self._is_unserved = False
        self._stopped = threading.Event()

    def stop(self) -> None:
        self._stopped.set()

    def run(self) -> None:
        """Tick until stopped; an outage of Redis is waited out."""
        while not self._stopped.is_set():
            # Each by itself: a full server refuses a tick, and must be relieved all the same.
            for step in (self._memory.tend, self.tick, self._trim_now_and_then, self._repairer.repair_slice):
                try:
                    step()
                except RedisError as error:
                    logger.warning("clock.missed error=%s", type(error).__name__)
            self._stopped.wait(self._every)

    def tick(self) -> bool:
        """Answers whether a drain was asked for."""
        found = self._look()
        self._see_that_reconcile_runs_are_served(found)
        if any(
            found.reconcile_is_possible(key) and (key.checks or self._first_look_is_wanted(key)) for key in found.keys
        ):
            enqueue_reconcile(self._redis)
        return found.drain_is_wanted and enqueue_drain(self._redis)

    def _first_look_is_wanted(self, found: "_KeyLook") -> bool:
        """Nobody has looked what there is; where workers are set not to, they are not asked each second."""
        if not self._discovers or found.discovery is not None or time.monotonic() < self._ask_again_at:
            return False
        self._ask_again_at = time.monotonic() + FIRST_LOOK_SECONDS
        return True

    def _see_that_reconcile_runs_are_served(self, found: "_Look") -> None:
        """Logged once, until a run is taken."""
        if found.waiting_run is None or found.waiting_run != self._waiting_run:
            self._waiting_run, self._waiting_since, self._is_unserved = found.waiting_run, time.monotonic(), False
        elif not self._is_unserved and time.monotonic() - self._waiting_since > UNSERVED_SECONDS:
            self._is_unserved = True
            logger.warning(
                "reconcile.unserved queue=%s seconds=%.0f: a reconcile run is due and no process takes it: run "
                "`hitl-receiver work` with HITL_API_KEY set, or `hitl-receiver work --queue %s`",
                keys.RECONCILE_QUEUE, UNSERVED_SECONDS, keys.RECONCILE_QUEUE,
            )  # fmt: skip

    def trim(self) -> int:
        """Forget in the indexes what has expired; answers how much that was. Unfinished work is never touched."""
        known = registered_keys.read(self._redis)
        suffixes = [indexes.suffix for indexes in (*known.polled, *known.gone)]
        of_keys = [f"{index}{suffix}" for index in ("checks", "asked", "unverified") for suffix in suffixes]
        return sum(self._trim(index) for index in ("events", "quarantine", "overruled", "lost", *of_keys))

    def _trim_now_and_then(self) -> None:
        if time.monotonic() - self._trimmed > TRIM_SECONDS:
            self._trimmed = time.monotonic()
            self.trim()

    def _trim(self, index: str) -> int:
        """The oldest first, a slice at a time."""
        gone, rank = 0, 0
        while rank >= 0:
            words = (self._retention, LONGEST_REQUEST, index, rank)
            count, rank = cast("tuple[int, int]", self._trim_slice(keys=[keys.PREFIX], args=words))
            gone += count
        return gone

    def _look(self) -> "_Look":
        now = int(self._timekeeper.keep(self._redis) * 1000)
        polled: list[KeyIndexes] = []
        if self._api_keys:
            polled = registered_keys.configure(self._redis, self._api_keys, lookback=self._lookback)
        with self._redis.pipeline(transaction=False) as pipe:
            pipe.zcount(keys.DUE, "-inf", now)
            pipe.zcount(keys.DUE, "-inf", now - BACKLOG)
            pipe.zcount(keys.DRAINS, now, "+inf")
            pipe.exists(keys.RECONCILE_LEASE)
            pipe.lindex(keys.RQ_RECONCILE_QUEUE, -1)
            pipe.exists(keys.RESUMES)
            for indexes in polled:
                pipe.zcount(indexes.checks, "-inf", now)
                pipe.zscore(indexes.checks, DISCOVERY)
                pipe.hget(indexes.state, "rests_until")
            due, overdue, drains, reconciling, waiting_run, resumes, *found = pipe.execute()
        replies = iter(found)
        each = tuple(_KeyLook(*values) for values in zip(replies, replies, replies, strict=True))
        return _Look(now, due, overdue, drains, reconciling, waiting_run, resumes, each)


class _KeyLook(msgspec.Struct, frozen=True):
    """What is worth a call with one API key."""

    checks: int
    discovery: float | None
    #: In seconds: HITL.sh is left alone after trouble with it.
    rests_until: bytes | None


class _Look(msgspec.Struct, frozen=True):
    """The inbox at a moment, in counts."""

    #: In milliseconds, by the inbox clock.
    now: int
    due: int
    overdue: int
    drains: int
    reconciling: int
    #: The oldest RQ job that waits on the queue of reconcile runs.
    waiting_run: bytes | None
    #: Somebody asked for held effects to go on, and no drain has seen to it yet.
    resumes: int
    #: Of each API key that is polled.
    keys: tuple[_KeyLook, ...]

    @property
    def drain_is_wanted(self) -> bool:
        """Something is due and nobody resident, or it has been due for so long that one is not enough."""
        return bool(self.overdue or ((self.due or self.resumes) and not self.drains))

    def reconcile_is_possible(self, key: _KeyLook) -> bool:
        """Nobody is at it, and HITL.sh is not left alone after trouble with this key."""
        return not self.reconciling and float(key.rests_until or 0) * 1000 <= self.now
