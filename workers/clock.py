"""The clock process: once a second, has a drain or a reconcile run enqueued for what is due, and maintains the inbox.

Any number may run.
"""

import logging
import time
from collections.abc import Sequence

from redis import Redis
from redis.exceptions import RedisError

from workers.inbox import presence
from workers.inbox.inbox_clock import Timekeeper
from workers.inbox.maintenance.memory import MemoryKeeper
from workers.inbox.maintenance.repairing import Repairer
from workers.inbox.maintenance.trimming import Trimmer
from workers.inbox.queries import due_work
from workers.inbox.queries.due_work import DueChecks
from workers.inbox.tracker import api_keys as registered_keys
from workers.inbox.tracker.api_keys import ClockStandsStill, KeyIndexes
from workers.queue import RECONCILE, enqueue_drain, enqueue_reconcile, oldest_waiting
from workers.stop_flag import StopFlag

logger = logging.getLogger("hitl.clock")

#: Seconds between two trims of the indexes.
TRIM_SECONDS = 600.0
#: Seconds after which the first discovery with an API key is asked for again.
FIRST_DISCOVERY_SECONDS = 60.0
#: Seconds that a reconcile run may wait for a process before the log says so.
UNSERVED_SECONDS = 30.0
#: Seconds from the first `clock.missed` to the second, and the longest time between two; each is twice the last.
MISSED_AGAIN, LONGEST_SILENCE = 5.0, 600.0
#: Seconds without a failure after which an outage is over.
CALM = 10.0


class Outage:
    """Logs failures of Redis: the first at once, then at growing intervals, and that they are over.

    `now`: of the monotonic clock.
    """

    def __init__(self) -> None:
        self._began: float | None = None
        #: Since when every round succeeds; None during failures.
        self._calm_since: float | None = None
        self._logged = 0.0
        self._interval = MISSED_AGAIN

    def note_success(self, now: float) -> None:
        """Note a round in which nothing failed."""
        if self._began is None:
            return
        self._calm_since = now if self._calm_since is None else self._calm_since
        if now - self._calm_since > CALM:
            logger.info("clock.recovered seconds=%.0f: Redis answers again", self._calm_since - self._began)
            self._began, self._interval = None, MISSED_AGAIN

    def note_failure(self, error: RedisError, now: float) -> None:
        """Note that Redis did not do what was asked."""
        self._calm_since = None
        if self._began is None:
            self._began = now
        elif now - self._logged < self._interval:
            return
        else:
            self._interval = min(LONGEST_SILENCE, self._interval * 2)
        self._logged = now
        logger.warning(
            "clock.missed error=%s seconds=%.0f: Redis did not do what was asked, so due work may not be enqueued",
            type(error).__name__, now - self._began,
        )  # fmt: skip


class Clock:
    """Checks the inbox once a second."""

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
        """`retention`: seconds that finished events are kept. `api_keys`: those that are polled, oldest first.

        `lookback`: seconds before its first use in which a decision still counts as one of an API key.
        `discovers`: whether reconcile runs look for requests that nobody has announced.
        """
        self._redis = redis
        self._api_keys = tuple(api_keys)
        self._lookback = lookback
        self._discovers = discovers
        self._every = every
        self._timekeeper = Timekeeper()
        self._repairer = Repairer(redis, retention=retention)
        self._memory = MemoryKeeper(redis)
        self._trimmer = Trimmer(redis, retention=retention)
        self._trimmed_at = 0.0
        self._next_first_discovery_at = 0.0
        #: The RQ job of a reconcile run that waits, since when, and whether that was logged.
        self._waiting_run: bytes | None = None
        self._waiting_since = 0.0
        self._is_unserved = False
        self._outage = Outage()
        self._stopping = StopFlag()

    def stop(self) -> None:
        """Let `run` return. A signal handler may call it."""
        self._stopping.set()

    def run(self) -> None:
        """Tick until stopped; while Redis is away, try again each second."""
        steps = (
            self._announce, self._memory.run_slice, self.tick, self._trim_now_and_then, self._repairer.repair_slice
        )  # fmt: skip
        while not self._stopping.is_set():
            succeeded = True
            # Each by itself: a full server refuses a tick, and its memory must be freed all the same.
            for step in steps:
                try:
                    step()
                except RedisError as error:
                    self._outage.note_failure(error, time.monotonic())
                    succeeded = False
            if succeeded:
                self._outage.note_success(time.monotonic())
            self._stopping.wait(self._every)

    def _announce(self) -> None:
        presence.announce(self._redis, "clock")

    def tick(self) -> bool:
        """Enqueue what is wanted; returns whether that was a drain."""
        now = self._timekeeper.keep(self._redis)
        work = due_work.read(self._redis, self._polled(), now)
        self._warn_if_unserved(oldest_waiting(self._redis, RECONCILE))
        if (work.has_questions and not work.is_reconciling) or any(
            work.may_reconcile(checks) and (checks.count or self._first_discovery_is_wanted(checks))
            for checks in work.checks
        ):
            enqueue_reconcile(self._redis)
        return work.needs_drain and enqueue_drain(self._redis)

    def trim(self) -> int:
        """Drop from the indexes what has expired; returns how many members that was."""
        return self._trimmer.trim()

    def _polled(self) -> Sequence[KeyIndexes]:
        """The indexes of the polled keys; none before the first tick of the inbox clock with a new key."""
        if not self._api_keys:
            return ()
        try:
            return registered_keys.configure(self._redis, self._api_keys, lookback=self._lookback)
        except ClockStandsStill:
            return ()

    def _first_discovery_is_wanted(self, checks: DueChecks) -> bool:
        """Discovery was never scheduled. Workers may be set not to discover: they are not asked each second."""
        if not self._discovers or checks.has_discovery or time.monotonic() < self._next_first_discovery_at:
            return False
        self._next_first_discovery_at = time.monotonic() + FIRST_DISCOVERY_SECONDS
        return True

    def _warn_if_unserved(self, waiting_run: bytes | None) -> None:
        """Log once that no process takes the reconcile run that waits, until one does."""
        if waiting_run is None or waiting_run != self._waiting_run:
            self._waiting_run, self._waiting_since, self._is_unserved = waiting_run, time.monotonic(), False
        elif not self._is_unserved and time.monotonic() - self._waiting_since > UNSERVED_SECONDS:
            self._is_unserved = True
            logger.warning(
                "reconcile.unserved queue=%s seconds=%.0f: a reconcile run is due and no process takes it: run "
                "`hitl-receiver work` with HITL_API_KEY set, or `hitl-receiver work --queue %s`",
                RECONCILE.queue, UNSERVED_SECONDS, RECONCILE.queue,
            )  # fmt: skip

    def _trim_now_and_then(self) -> None:
        if time.monotonic() - self._trimmed_at > TRIM_SECONDS:
            self._trimmed_at = time.monotonic()
            self.trim()
