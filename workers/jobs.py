"""The RQ half: the queue, the drain job, and a fork worker that tells its work-horse when to finish."""

import asyncio
import contextlib
import gc
import logging
import os
import signal
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from types import FrameType

from redis import Redis
from redis.exceptions import OutOfMemoryError, RedisError
from rq import Queue, Worker
from rq.exceptions import StopRequested
from rq.job import Job

from workers.drain import DRAIN_JOB, Drain, Terms
from workers.inbox import keys
from workers.inbox.inbox import Inbox, LeaseKeeper
from workers.inbox.memory import release_reserve
from workers.loading import load_router
from workers.redis_clients import drain_client, hurry, keeper_client, worker_client
from workers.router import Router
from workers.settings import Settings
from workers.start_checks import check_confirmation_is_possible, say_if_nothing_is_swept
from workers.sweeps import running

logger = logging.getLogger("hitl.workers")

#: RQ job ids of sweeps begin so.
SWEEP_JOB = "sweep-"
#: Seconds that a worker waits before it tries again while Redis is full.
FULL_SECONDS = 1.0
_STOPS = (signal.SIGTERM, signal.SIGINT)


def queue(redis: Redis) -> Queue:
    """The queue named ``hitl``; JSON, because whoever can write to Redis must not be able to run code."""
    return Queue(keys.QUEUE, connection=redis, serializer="json")


def enqueue_drain(redis: Redis) -> bool:
    """Ask for a drain, unless one waits already; answers whether it did."""
    return _enqueue(redis, DRAIN_JOB, "workers.jobs.drain", "work the inbox")


def enqueue_sweep(redis: Redis) -> bool:
    """Ask for a sweep, unless one waits already; answers whether it did."""
    return _enqueue(redis, SWEEP_JOB, "workers.jobs.sweep", "ask HITL.sh for what the webhooks missed")


def _enqueue(redis: Redis, kind: str, function: str, description: str) -> bool:
    waiting = queue(redis)
    if any(job.startswith(kind) for job in waiting.get_job_ids(0, 100)):
        return False
    waiting.enqueue(
        function,
        job_id=f"{kind}{uuid.uuid4().hex}",
        description=description,
        # Both bound themselves: a drain by its life, each route's timeout and the watch over its loop, a sweep
        # by its slice of time and the client's timeout.
        job_timeout=-1,
        result_ttl=0,
        failure_ttl=3_600,
    )
    return True


@dataclass(frozen=True, slots=True)
class Work:
    """What the parent prepares once, so that every work-horse it forks finds it in memory."""

    settings: Settings
    router: Router
    terms: Terms

    @classmethod
    def from_settings(cls, settings: Settings) -> "Work":
        """Imports the user's handlers; raises `HandlersInvalid`, `SettingsInvalid` and what their module raises."""
        assert settings.handlers is not None
        terms = Terms(
            concurrency=settings.handler_concurrency,
            threads=settings.handler_threads,
            lease=settings.lease_seconds,
        )
        router = load_router(settings.handlers)
        check_confirmation_is_possible(settings, router)
        return cls(settings, router, terms)


_prepared: Work | None = None
#: The pid of the worker that prepared it: asked for before the fork, since a parent that is gone has no pid.
_worker: int | None = None


def prepare(work: Work) -> None:
    """Called in the parent before it forks."""
    global _prepared, _worker
    _prepared, _worker = work, os.getpid()


def drain() -> None:
    """The RQ job: work the inbox until told to stop. Nothing is lost if it never ends well."""
    # A plain `rq worker hitl --serializer json` works too: it reads the environment here, in the fork.
    work = _prepared or Work.from_settings(Settings.from_env(handles=True))
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(_drain(work, parent=_worker or os.getppid()))


def sweep() -> None:
    """The RQ job: ask HITL.sh for what the webhooks missed. Whoever takes over goes on from its last page."""
    settings = _prepared.settings if _prepared else Settings.from_env()
    stopping = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stopping.set())
    redis = worker_client(settings.redis_url)
    try:
        if settings.api_key is None:
            logger.error("sweep.impossible: the clock has an API key, this worker has none: set HITL_API_KEY here too")
            redis.set(keys.SWEEPING, 0, nx=True, px=60_000)  # not asked for again every second
            return
        running.run(settings, redis, stopping=stopping)
    except Exception:
        redis.set(keys.SWEEPING, 0, nx=True, px=60_000)  # the clock would ask for the same again at once
        raise
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        redis.close()


async def _drain(work: Work, *, parent: int) -> None:
    redis = drain_client(work.settings.redis_url)
    keeper_redis = keeper_client(work.settings.redis_url, work.settings.lease_seconds)
    inbox = Inbox(redis, retention=work.settings.retention, lease=work.settings.lease_seconds)
    keeper = LeaseKeeper(keeper_redis, lease=work.settings.lease_seconds)
    drain = Drain(inbox, work.router, keeper, work.terms, parent=parent)
    _listen_for_stop(drain.stop)
    try:
        settled = await drain.run()
        logger.info("drain.ended settled=%d", settled)
    finally:
        _listen_for_stop(None)
        await redis.aclose()
        keeper_redis.close()


def _listen_for_stop(stop: Callable[[], None] | None) -> None:
    """Let SIGTERM, which the worker sends to its work-horse, reach the drain."""
    loop = asyncio.get_running_loop()
    if stop is None:
        loop.remove_signal_handler(signal.SIGTERM)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    else:
        loop.add_signal_handler(signal.SIGTERM, stop)


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop
    except ImportError:  # no wheel for this platform: the standard loop does
        return None
    return uvloop.new_event_loop


class HitlWorker(Worker):
    """RQ's fork worker, with a warm shutdown that its resident job hears of.

    RQ waits for the running job and does not tell it (https://python-rq.org/docs/workers/): a drain would
    go on until its life is over.
    """

    shutdown_asked = False

    def fork_work_horse(self, job: Job, queue: Queue) -> None:
        # A stop that comes during the fork waits until both sides know what to do with it.
        signal.pthread_sigmask(signal.SIG_BLOCK, _STOPS)
        try:
            super().fork_work_horse(job, queue)
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOPS)
        if self.shutdown_asked:  # it came before there was a work-horse to tell
            self._stop_work_horse()

    def setup_work_horse_signals(self) -> None:
        super().setup_work_horse_signals()
        # Until the drain's own loop listens, a stop means: do not begin.
        signal.signal(signal.SIGTERM, _end_work_horse)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOPS)

    def handle_warm_shutdown_request(self) -> None:
        super().handle_warm_shutdown_request()
        self.shutdown_asked = True
        hurry(self.connection)
        self._stop_work_horse()

    def end_work_horse(self) -> None:
        """End the one that RQ left behind when its own bookkeeping failed, if it did."""
        self._stop_work_horse()
        if self.horse_pid:
            self.wait_for_horse()

    def handle_execution_ended(self, job: Job, queue: Queue, heartbeat_ttl: int) -> None:
        # In the work-horse, after its drain: what RQ writes now is not worth a minute of waiting.
        hurry(self.connection)
        super().handle_execution_ended(job, queue, heartbeat_ttl)

    def _stop_work_horse(self) -> None:
        if self.horse_pid:
            with contextlib.suppress(ProcessLookupError):  # it ended by itself
                os.kill(self.horse_pid, signal.SIGTERM)

    def handle_work_horse_killed(self, job: Job, retpid: int, ret_val: int, rusage: object) -> None:
        logger.error("drain.killed status=%s: its work is due again when its leases run out", ret_val)
        super().handle_work_horse_killed(job, retpid, ret_val, rusage)


def _end_work_horse(_signum: int, _frame: FrameType | None) -> None:
    os._exit(0)


def work(settings: Settings) -> None:
    """Run one RQ worker in this process until SIGTERM or SIGINT; begins again after what RQ gives up on."""
    prepare(Work.from_settings(settings))
    say_if_nothing_is_swept(settings)
    while not _work_until_told(settings):
        logger.warning("worker.restarting")


def _wait_for_room(redis: Redis, worker: HitlWorker) -> None:
    """Redis is full and refuses RQ's own writes: release the reserve, and begin again in a moment."""
    logger.warning("worker.waits: Redis is full and refuses RQ's writes; raise maxmemory or see what fills it")
    with contextlib.suppress(RedisError):
        release_reserve(redis)
    with contextlib.suppress(StopRequested):
        time.sleep(FULL_SECONDS)


def _work_until_told(settings: Settings) -> bool:
    """Answers whether it was told to stop, or RQ gave up."""
    redis = worker_client(settings.redis_url)
    worker = HitlWorker(
        [queue(redis)],
        name=f"hitl-{os.getpid()}-{uuid.uuid4().hex[:8]}",
        connection=redis,
        serializer="json",
        log_job_description=False,
    )
    worker.log_result_lifespan = False
    try:
        worker.work(logging_level="WARNING")
    except OutOfMemoryError:
        if not worker.shutdown_asked:
            _wait_for_room(redis, worker)
    except RedisError as error:
        if not worker.shutdown_asked:
            raise
        logger.warning("worker.not_signed_off error=%s", type(error).__name__)
    finally:
        worker.end_work_horse()
        redis.close()
    return worker.shutdown_asked
