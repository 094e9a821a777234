"""The clock: once a second, see that what is due has a drain. Any number may run; none holds state."""

import logging
import threading

from redis import Redis
from redis.exceptions import RedisError

from workers.inbox import keys
from workers.jobs import enqueue_drain

logger = logging.getLogger("hitl.clock")

#: Milliseconds that something may be due before a second drain is worth having.
BACKLOG = 1_000


class Clock:
    """Looks at the inbox once a second."""

    def __init__(self, redis: Redis, *, every: float = 1.0) -> None:
        self._redis = redis
        self._every = every
        self._stopped = threading.Event()

    def stop(self) -> None:
        self._stopped.set()

    def run(self) -> None:
        """Tick until stopped; an outage of Redis is waited out."""
        while not self._stopped.is_set():
            try:
                self.tick()
            except RedisError as error:
                logger.warning("clock.missed error=%s", type(error).__name__)
            self._stopped.wait(self._every)

    def tick(self) -> bool:
        """Answers whether a drain was asked for."""
        return self._drain_is_wanted() and enqueue_drain(self._redis)

    def _drain_is_wanted(self) -> bool:
        """Something is due and nobody resident, or it has been due for so long that one is not enough."""
        seconds, micros = self._redis.time()
        now = seconds * 1000 + micros // 1000
        with self._redis.pipeline(transaction=False) as pipe:
            pipe.zcount(keys.DUE, "-inf", now)
            pipe.zcount(keys.DUE, "-inf", now - BACKLOG)
            pipe.zcount(keys.DRAINS, now, "+inf")
            due, overdue, drains = pipe.execute()
        return bool(overdue or (due and not drains))
