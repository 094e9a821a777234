"""Foreign RQ jobs are ignored; tests/processes/test_hostile_jobs.py tests attacks."""

import json
import logging
import subprocess
import sys

import pytest
from redis import Redis

from workers import jobs
from workers.inbox import counters, keys
from workers.queue import (
    DRAIN,
    RECONCILE,
    JobRefused,
    ReceiverJob,
    enqueue_drain,
    enqueue_reconcile,
    queue,
    waiting_key,
)


def write(redis: Redis, job_id: str, call: object, **fields: str) -> None:
    told = {"data": json.dumps(call), "origin": "hitl"} | fields
    redis.hset(f"rq:job:{job_id}", mapping=told)


def test_drains_and_reconcile_runs_have_queues_of_their_own(redis: Redis) -> None:
    assert (enqueue_drain(redis), enqueue_reconcile(redis)) == (True, True)
    assert (enqueue_drain(redis), enqueue_reconcile(redis)) == (False, False)

    [drain], [run] = queue(redis).jobs, queue(redis, RECONCILE).jobs
    assert (drain.func_name, drain.origin, drain.timeout) == ("workers.jobs.drain", "hitl", -1)
    assert (run.func_name, run.origin, run.timeout) == ("workers.jobs.reconcile", "hitl-reconcile", -1)


def test_a_drain_is_enqueued_before_foreign_jobs(redis: Redis) -> None:
    redis.rpush(waiting_key(DRAIN), b"\xff", *(f"other-{number}" for number in range(200)))

    assert (enqueue_drain(redis), enqueue_drain(redis)) == (True, False)
    first = redis.lindex(waiting_key(DRAIN), 0)
    assert first is not None
    assert first.startswith(DRAIN.prefix.encode())  # type: ignore[arg-type]


def test_a_refused_job_is_logged_counted_and_removed(redis: Redis, caplog: pytest.LogCaptureFixture) -> None:
    write(redis, "evil", ["os.system", None, ["true"], {}])
    redis.rpush(waiting_key(DRAIN), "evil")

    with caplog.at_level(logging.ERROR), pytest.raises(JobRefused):
        ReceiverJob.fetch("evil", connection=redis, serializer="json")

    assert "job.refused id='evil'" in caplog.text
    assert "os.system" not in caplog.text
    assert redis.hget(keys.COUNTERS, counters.JOBS_REFUSED) == b"1"
    assert redis.exists("rq:job:evil", waiting_key(DRAIN)) == 0


def test_a_job_of_another_queue_is_refused_and_stays_with_its_owner(redis: Redis) -> None:
    write(redis, "theirs", ["their.function", None, [], {}], origin="theirs")

    assert ReceiverJob.fetch_many(["theirs", "not an id", "missing"], connection=redis) == [None, None, None]
    assert redis.exists("rq:job:theirs") == 1


def test_only_the_status_of_our_job_is_read(redis: Redis) -> None:
    write(redis, "drain-1", DRAIN.call, status="started", failure_callback_name="os.abort", webhooks="[]", timeout="5",
          retries_left="9", meta="{}", description="theirs")  # fmt: skip

    job = ReceiverJob.fetch("drain-1", connection=redis, serializer="json")

    assert (job.get_status(refresh=False), job.failure_callback, job.timeout) == ("started", None, -1)
    assert (job.retries_left, job.meta, job.description) == (None, {}, DRAIN.description)


@pytest.mark.parametrize("function", [jobs.drain, jobs.reconcile])
def test_our_functions_refuse_to_run_in_a_plain_rq_worker(function: object) -> None:
    with pytest.raises(jobs.NotOurWorker, match="run `hitl-receiver work`"):
        function()  # type: ignore[operator]


def test_enqueueing_imports_no_drain() -> None:
    heavy = ("workers.handlers.drain", "workers.jobs")
    program = f"import sys, workers.queue; print([name for name in {heavy} if name in sys.modules])"

    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout == "[]\n"
