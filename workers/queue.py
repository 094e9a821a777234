# ruff: noqa: A005 - nobody imports it by its last name alone
"""The two RQ queues, and jobs that can name nothing but our own two functions.

RQ calls any importable function that a job in Redis names, and imports the names of its callbacks. Here a job is
only the name of one of our two functions: its other fields are ignored, and any other job is refused. RQ
treats a refused job as one that does not exist, wherever it reads jobs: when it dequeues, and when it cleans its
registries, its intermediate queue and the dependents of a job.
"""

import json
import logging
import uuid
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NoReturn, cast

from redis import Redis
from rq import Queue
from rq.command import PUBSUB_CHANNEL_TEMPLATE
from rq.exceptions import NoSuchJobError
from rq.intermediate_queue import IntermediateQueue
from rq.job import Job, JobStatus

from workers.errors import WorkersError
from workers.inbox import counters

logger = logging.getLogger("hitl.workers")

#: Bytes: the call of a job of ours is far shorter.
_LONGEST_CALL = 256


#: RQ's set of the workers of a queue, without the queue's name; and what precedes a worker's name in it.
_WORKERS_OF_QUEUE = "rq:workers:"
_WORKER = b"rq:worker:"


@dataclass(frozen=True, slots=True, kw_only=True)
class JobKind:
    """One of the two functions that RQ runs for us."""

    queue: str
    #: Job ids begin so.
    prefix: str
    function: str
    description: str

    @property
    def call(self) -> list[Any]:
        """As RQ keeps a call: function, instance, positional and named arguments."""
        return [self.function, None, [], {}]


#: The RQ queue of drains, and that of reconcile runs, which never take the place of a drain.
DRAIN_QUEUE = "hitl"
RECONCILE_QUEUE = "hitl-reconcile"

DRAIN = JobKind(queue=DRAIN_QUEUE, prefix="drain-", function="workers.jobs.drain", description="work the inbox")
RECONCILE = JobKind(
    queue=RECONCILE_QUEUE,
    prefix="reconcile-",
    function="workers.jobs.reconcile",
    description="ask HITL.sh for what the webhooks missed",
)
_KINDS = (DRAIN, RECONCILE)


class JobRefused(WorkersError, NoSuchJobError):
    """What Redis holds under this id is not a job of ours."""


class ReceiverJob(Job):
    """A job of which only the status is read from Redis; see the module."""

    def restore(self, raw_data: dict[bytes, bytes]) -> None:
        """Raises `JobRefused` unless the id and the call are those of one of our two functions."""
        kind = next((kind for kind in _KINDS if self.id.startswith(kind.prefix)), None)
        if kind is None or _call(raw_data.get(b"data", b"")) != kind.call:
            refuse(self.connection, self.id, raw_data.get(b"origin"))
        super().restore(
            {
                b"data": json.dumps(kind.call).encode(),
                b"status": _status(raw_data.get(b"status")),
                b"origin": kind.queue.encode(),
                b"description": kind.description.encode(),
                b"timeout": b"-1",
                b"result_ttl": b"0",
                b"failure_ttl": b"3600",
            }
        )

    @classmethod
    def fetch(cls, id: str, connection: Redis | None = None, serializer: Any = None) -> "ReceiverJob":  # noqa: A002
        try:
            job = super().fetch(id, connection=connection, serializer=serializer)
        except ValueError:  # RQ's own check of the id
            refuse(connection, id)
        assert isinstance(job, cls)
        return job

    @classmethod
    def fetch_many(cls, job_ids: Iterable[str], connection: Redis, serializer: Any = None) -> list[Job | None]:
        jobs: list[Job | None] = []
        for job_id in job_ids:
            try:
                jobs.append(cls.fetch(job_id, connection=connection, serializer=serializer))
            except NoSuchJobError:
                jobs.append(None)
        return jobs


class ReceiverQueue(Queue):
    """A queue that passes on the ids of its own kind of job, and removes all others."""

    job_class = ReceiverJob

    @classmethod
    def lmove(cls, connection: Redis, queue_key: str, timeout: int | None) -> tuple[str, str] | None:
        [kind] = [kind for kind in _KINDS if queue_key == waiting_key(kind)]
        while (moved := super().lmove(connection, queue_key, timeout)) is not None:
            job_id = bytes(moved[1])
            if job_id.startswith(kind.prefix.encode()) and job_id.isascii():
                return queue_key, job_id.decode()
            try:
                refuse(connection, job_id)
            except JobRefused:
                continue
        return None


def refuse(connection: Redis | None, job_id: str | bytes, origin: bytes | None = None) -> NoReturn:
    """Remove a job that is not ours from our queues, log and count it; raises `JobRefused`.

    The job itself is deleted only if it says that it is of our queues: others may share this Redis with us.
    """
    logger.error(
        "job.refused id=%s: it is not a job of hitl-receiver, so it was removed and not run. Only hitl-receiver "
        "may enqueue on %s: see who else can write to Redis, and change its password",
        ascii(job_id)[:120], " and ".join(kind.queue for kind in _KINDS),
    )  # fmt: skip
    if connection is not None:
        with connection.pipeline(transaction=False) as pipe:
            for kind in _KINDS:
                for key in queue_keys(kind):
                    pipe.lrem(key, 0, cast("str", job_id))
            counters.add(pipe, {counters.JOBS_REFUSED: 1})
            if isinstance(job_id, str) and origin in {kind.queue.encode() for kind in _KINDS}:
                pipe.delete(ReceiverJob.key_for(job_id))
            pipe.execute()
    raise JobRefused(f"This is not a job of hitl-receiver: {ascii(job_id)[:120]}")


def waiting_key(kind: JobKind) -> str:
    """RQ's key of the jobs that wait for a worker."""
    return f"{Queue.redis_queue_namespace_prefix}{kind.queue}"


def queue_keys(kind: JobKind) -> tuple[str, str]:
    """RQ's keys of the jobs that wait for a worker, and of those that were taken and have not begun."""
    key = waiting_key(kind)
    return key, IntermediateQueue.get_intermediate_queue_key(key)


def count_waiting(redis: Redis, kind: JobKind) -> int:
    """How many jobs wait for a worker."""
    return redis.llen(waiting_key(kind))


def oldest_waiting(redis: Redis, kind: JobKind) -> bytes | None:
    """The id of the job that has waited for a worker the longest."""
    return cast("bytes | None", redis.lindex(waiting_key(kind), -1))


def waiting_seconds(redis: Redis, kind: JobKind) -> float | None:
    """How long the oldest job has waited, by the clock of this host; None if none waits."""
    job_id = oldest_waiting(redis, kind)
    if job_id is None:
        return None
    enqueued = cast("bytes | None", redis.hget(ReceiverJob.key_for(job_id.decode(errors="replace")), "enqueued_at"))
    try:
        moment = datetime.fromisoformat((enqueued or b"").decode())
    except ValueError:  # a worker has taken it, or it is not ours
        return 0.0
    return max(0.0, (datetime.now(UTC) - moment.replace(tzinfo=UTC)).total_seconds())


def queue(redis: Redis, kind: JobKind = DRAIN) -> ReceiverQueue:
    """The RQ queue of this kind of job, in JSON."""
    return ReceiverQueue(kind.queue, connection=redis, serializer="json")


def count_workers(redis: Redis, kind: JobKind) -> int:
    """How many workers of the queue hold a connection now: each subscribes to a channel of its own.

    What RQ has registered is not counted: a worker that was killed stays registered for up to eight minutes.
    """
    registered = cast("set[bytes]", redis.smembers(f"{_WORKERS_OF_QUEUE}{kind.queue}"))
    names = [key.removeprefix(_WORKER).decode(errors="replace") for key in sorted(registered)]
    channels = [PUBSUB_CHANNEL_TEMPLATE % name for name in names]
    counts = cast("list[tuple[bytes, int]]", redis.pubsub_numsub(*channels)) if channels else []
    return sum(count > 0 for _, count in counts)


def enqueue_drain(redis: Redis) -> bool:
    """Ask for a drain, unless one waits already; answers whether it did."""
    return _enqueue(redis, DRAIN)


def enqueue_reconcile(redis: Redis) -> bool:
    """Ask for a reconcile run, unless one waits already; answers whether it did."""
    return _enqueue(redis, RECONCILE)


def _enqueue(redis: Redis, kind: JobKind) -> bool:
    waiting = cast("list[bytes]", redis.lrange(waiting_key(kind), 0, 100))
    if any(job_id.startswith(kind.prefix.encode()) for job_id in waiting):
        return False
    queue(redis, kind).enqueue(
        kind.function,
        job_id=f"{kind.prefix}{uuid.uuid4().hex}",
        description=kind.description,
        # Both bound themselves: a drain by its life, each route's timeout and the watch over its loop, a
        # reconcile run by its slice of time and the client's timeout.
        job_timeout=-1,
        result_ttl=0,
        failure_ttl=3_600,
        at_front=True,  # before anything that others put there
    )
    return True


def _call(data: bytes) -> object:
    """What a job would call; None where it cannot be read."""
    try:
        unpacked = zlib.decompressobj().decompress(data, _LONGEST_CALL)
    except zlib.error:
        unpacked = data[:_LONGEST_CALL]
    try:
        return json.loads(unpacked)
    except (ValueError, RecursionError):
        return None


def _status(raw: bytes | None) -> bytes:
    statuses = {status.value.encode() for status in JobStatus}
    return raw if raw in statuses else JobStatus.QUEUED.value.encode()
