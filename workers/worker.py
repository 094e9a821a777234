"""RQ's fork worker for our jobs: it tells them of a warm shutdown, and lets drains hand over."""

import contextlib
import logging
import os
import select
import signal
import time
import uuid
from collections.abc import Iterator
from types import FrameType
from typing import Any, cast

from redis import Redis, exceptions
from redis.client import PubSubWorkerThread
from rq import Queue, Worker
from rq.exceptions import StopRequested
from rq.executions import Execution
from rq.job import Job
from rq.utils import now
from rq.worker import WorkerStatus

from workers.handlers import handover
from workers.inbox.maintenance.memory import release_reserve
from workers.queue import JobKind, ReceiverJob, ReceiverQueue, queue
from workers.redis_clients import limit_retries, worker_client

logger = logging.getLogger("hitl.workers")

#: Seconds that a worker waits before it tries again while Redis is full.
FULL_SECONDS = 1.0
_STOPS = (signal.SIGTERM, signal.SIGINT)
#: SIGALRM is how RQ interrupts its own waiting for a work-horse.
_INTERRUPTIONS = (*_STOPS, signal.SIGALRM)


class HitlWorker(Worker):
    """RQ's fork worker for one of our queues.

    RQ waits for the running job and does not tell it of a shutdown (https://python-rq.org/docs/workers/): a drain
    would go on for ever. Nor does it know of successors: to RQ, a drain and its successors are one job.
    """

    shutdown_asked = False
    job_class = ReceiverJob
    queue_class = ReceiverQueue

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._forked_for: tuple[Job, Queue] | None = None
        #: The pipe of the current work-horse: where this worker reads, and where the work-horse writes.
        self._pipe: tuple[int, int] | None = None
        #: Work-horses whose successor runs.
        self._predecessors: set[int] = set()

    # -- work-horses ---------------------------------------------------------------------------------

    def fork_work_horse(self, job: Job, queue: Queue) -> None:
        # Signals that arrive during the fork wait until both processes have their handlers.
        with _uninterrupted():
            pipe = os.pipe()
            before, self._pipe = self._pipe, pipe
            try:
                super().fork_work_horse(job, queue)
            except OSError:
                os.close(pipe[0])
                self._pipe = before
                raise
            finally:
                os.close(pipe[1])
            if before is not None:
                os.close(before[0])
            self._forked_for = (job, queue)
        if self.shutdown_asked:  # asked before there was a work-horse to stop
            self._stop_work_horses()

    def setup_work_horse_signals(self) -> None:
        super().setup_work_horse_signals()
        assert self._pipe is not None
        handover.connect(self._pipe[1])
        # Until the job installs its own handler.
        signal.signal(signal.SIGTERM, self._note_early_stop)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _INTERRUPTIONS)

    def _note_early_stop(self, _signum: int, _frame: FrameType | None) -> None:
        handover.note_stop()
        limit_retries(self.connection)

    def wait_for_horse(self) -> tuple[int | None, int | None, Any]:
        """Wait until the work-horse ends, and fork a successor for one that asks for it."""
        while self._pipe is not None:
            readable, _, _ = select.select([self._pipe[0]], [], [], 1.0)
            with _uninterrupted():
                message = os.read(self._pipe[0], 1) if readable else None
                if message == handover.SUCCESSOR_WANTED:
                    self._fork_successor()
                elif message == handover.READY:
                    self._retire_predecessors()
                self._reap_predecessors()
            if message == b"":
                break  # its end is closed: it ended, or is about to
            if message is None and not _runs(self.horse_pid):
                break  # a process that it started holds its end
        self._retire_predecessors()
        return super().wait_for_horse()

    def _fork_successor(self) -> None:
        if self.shutdown_asked:
            return
        assert self._forked_for is not None
        predecessor = self.horse_pid
        try:
            self.fork_work_horse(*self._forked_for)
        except OSError as error:
            logger.warning("drain.successor_failed error=%s: the drain goes on and asks again", error)
            return
        self._predecessors.add(predecessor)
        logger.info("drain.handed_over from=%d to=%d", predecessor, self.horse_pid)

    def _retire_predecessors(self) -> None:
        """The successor claims, or died before it could; then the clock enqueues another drain."""
        for pid in self._predecessors:
            _send(pid, handover.RETIRE)

    def _reap_predecessors(self, options: int = os.WNOHANG) -> None:
        for pid in list(self._predecessors):
            ended, status, _ = os.wait4(pid, options)
            if ended:
                self._predecessors.discard(pid)
                if status:
                    _log_killed(self.queues[0].name, status)

    def handle_work_horse_killed(self, job: Job, retpid: int, ret_val: int, rusage: object) -> None:
        _log_killed(job.origin, ret_val)
        super().handle_work_horse_killed(job, retpid, ret_val, rusage)

    # -- signals ---------------------------------------------------------------------------------------

    def subscribe(self) -> None:
        # The thread that RQ starts here must not take the signals that the main thread holds back.
        with _uninterrupted():
            super().subscribe()

    # -- stopping ------------------------------------------------------------------------------------

    def handle_warm_shutdown_request(self) -> None:
        super().handle_warm_shutdown_request()
        self.shutdown_asked = True
        limit_retries(self.connection)
        self._stop_work_horses()

    def kill_horse(self, sig: signal.Signals = signal.SIGKILL) -> None:
        super().kill_horse(sig)
        for pid in tuple(self._predecessors):  # RQ's own thread may be here, for a command
            _send(pid, sig)

    def end_work_horses(self) -> None:
        """End those that RQ left behind: predecessors, and the current one when RQ's own bookkeeping failed."""
        self._stop_work_horses()
        if self.horse_pid:
            self.wait_for_horse()
        self._reap_predecessors(options=0)
        if self._pipe is not None:
            os.close(self._pipe[0])
            self._pipe = None

    def _stop_work_horses(self) -> None:
        for pid in {self.horse_pid, *self._predecessors} - {0}:
            _send(pid, signal.SIGTERM)

    def handle_execution_ended(self, job: Job, queue: Queue, heartbeat_ttl: int) -> None:
        # In the work-horse, after its job: what RQ writes now is not worth a minute of waiting.
        limit_retries(self.connection)
        super().handle_execution_ended(job, queue, heartbeat_ttl)

    def set_state(self, state: str, pipeline: Any = None) -> None:
        super().set_state(state, pipeline)
        # RQ records a stop that came before this, and then blocks until a job comes.
        if state == WorkerStatus.IDLE and self.shutdown_asked:
            raise StopRequested

    def teardown(self) -> None:
        try:
            super().teardown()
        except exceptions.OutOfMemoryError:
            # RQ could not register the end, and leaves the thread that `subscribe` started. The thread must know that
            # it ends before the reply to UNSUBSCRIBE comes: else it may wait for another minute.
            if thread := cast("PubSubWorkerThread | None", self.pubsub_thread):
                thread.stop()
            self.unsubscribe()
            raise

    # -- maintenance ---------------------------------------------------------------------------------

    def maintain_heartbeats(self, job: Job, execution: Execution) -> None:
        super().maintain_heartbeats(job, execution)
        if self.should_run_maintenance_tasks:  # RQ itself does so between two jobs, and a drain does not end
            self.run_maintenance_tasks()

    def run_maintenance_tasks(self) -> None:
        """Run RQ's own; what others wrote into its registries does not stop the worker."""
        try:
            super().run_maintenance_tasks()
        except (ValueError, TypeError, LookupError, exceptions.ResponseError) as error:
            self.last_cleaned_at = now()  # type: ignore[assignment]
            logger.error(  # noqa: TRY400 - a traceback through RQ tells nothing more
                "rq.unreadable queue=%s error=%s: RQ cannot clean its registries of this queue; the worker goes "
                "on. See who else can write to Redis, and delete the keys rq:*:%s",
                self.queues[0].name, type(error).__name__, self.queues[0].name,
            )  # fmt: skip


@contextlib.contextmanager
def _uninterrupted() -> Iterator[None]:
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _INTERRUPTIONS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _runs(pid: int) -> bool:
    """Whether this child has not ended; whoever waits for it still gets its status."""
    try:
        return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None
    except ChildProcessError:
        return False


def _send(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):  # it ended by itself
        os.kill(pid, number)


def _log_killed(queue_name: str, status: int) -> None:
    logger.error("job.killed queue=%s status=%d: its work is due again when its leases run out", queue_name, status)


def _wait_for_room(redis: Redis) -> None:
    """Redis is full and refuses RQ's own writes: release the reserve, and wait a moment."""
    logger.warning("worker.waits: Redis is full and refuses RQ's writes; raise maxmemory, or find what fills it")
    with contextlib.suppress(exceptions.RedisError):
        release_reserve(redis)
    with contextlib.suppress(StopRequested):
        time.sleep(FULL_SECONDS)


def serve(redis_url: str, kind: JobKind) -> None:
    """Run one RQ worker in this process until SIGTERM or SIGINT; start another when RQ ends one by itself."""
    while not _serve_once(redis_url, kind):
        logger.warning("worker.restarting queue=%s", kind.queue)


def _serve_once(redis_url: str, kind: JobKind) -> bool:
    """Run one RQ worker; return whether it was told to stop."""
    redis: Redis = worker_client(redis_url)
    worker = HitlWorker(
        [queue(redis, kind)],
        name=f"{kind.queue}-{os.getpid()}-{uuid.uuid4().hex[:8]}",
        connection=redis,
        serializer="json",
        log_job_description=False,
    )
    worker.log_result_lifespan = False
    try:
        worker.work(logging_level="WARNING")
    except exceptions.OutOfMemoryError:
        if not worker.shutdown_asked:
            _wait_for_room(redis)
    except exceptions.RedisError as error:
        if not worker.shutdown_asked:
            raise
        logger.warning("worker.not_signed_off error=%s", type(error).__name__)
    finally:
        worker.end_work_horses()
        redis.close()
    return worker.shutdown_asked
