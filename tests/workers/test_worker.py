"""RQ's worker as ours starts and ends it, in this process."""

import pytest
from redis import Redis
from redis.exceptions import OutOfMemoryError

from workers.queue import DRAIN, queue
from workers.worker import HitlWorker


@pytest.mark.slow
def test_a_worker_that_cannot_sign_off_in_a_full_redis_leaves_no_thread(redis: Redis) -> None:
    worker = HitlWorker([queue(redis, DRAIN)], name="full", connection=redis, serializer="json")
    worker.register_birth()
    worker.subscribe()
    assert worker.pubsub_thread._running.wait(10.0)  # a stop before that is lost: redis-py sets it in the thread
    redis.config_set("maxmemory", 1)

    try:
        with pytest.raises(OutOfMemoryError):
            worker.teardown()
    finally:
        redis.config_set("maxmemory", 0)

    worker.pubsub_thread.join(10.0)  # RQ waits for a second only
    assert not worker.pubsub_thread.is_alive()
