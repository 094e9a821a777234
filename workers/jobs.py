"""The two functions that RQ runs, and what a worker prepares before it forks for them."""

import asyncio
import contextlib
import gc
import logging
import os
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass

from redis.exceptions import RedisError

from workers.asking.asking_service import run_due_questions
from workers.errors import WorkersError
from workers.handlers import handover
from workers.handlers.drain import Drain, DrainOptions
from workers.handlers.loading import load_router
from workers.inbox.alarms.alarm_figures import publish_route_warnings
from workers.inbox.tracker import reconcile_lease
from workers.inbox.worker_inbox import LeaseKeeper, WorkerInbox
from workers.queue import DRAIN, RECONCILE
from workers.reconcile import runner
from workers.redis_clients import drain_client, keeper_client, worker_client
from workers.routing.router import Router
from workers.settings import Settings
from workers.startup_checks import (
    check_confirmation_is_possible,
    unsent_field_warnings,
    warn_if_nothing_is_reconciled,
)
from workers.telemetry import traces
from workers.telemetry.activity import ActivitySender
from workers.worker import serve

logger = logging.getLogger("hitl.workers")

#: Seconds of a reconcile run in which it begins work on questions.
QUESTION_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class PreparedWork:
    """What the worker prepares once, so that each work-horse that it forks finds it in memory."""

    settings: Settings
    router: Router
    options: DrainOptions

    @classmethod
    def from_settings(cls, settings: Settings) -> "PreparedWork":
        """Import the user's handlers; raises `HandlersInvalid`, `SettingsInvalid` and what their module raises."""
        assert settings.handlers is not None
        options = DrainOptions(
            concurrency=settings.handler_concurrency,
            threads=settings.handler_threads,
            lease=settings.lease_seconds,
            can_read=settings.api_key is not None,
        )
        router = load_router(settings.handlers)
        check_confirmation_is_possible(settings, router)
        traces.preload()
        return cls(settings, router, options)


#: What this worker serves, and its pid, which a work-horse cannot read any more once its worker is gone.
_prepared: PreparedWork | Settings | None = None
_worker: int | None = None


def work(prepared: PreparedWork) -> None:
    """Serve the queue of drains in this process until SIGTERM or SIGINT."""
    warn_if_nothing_is_reconciled(prepared.settings)
    _prepare(prepared)
    serve(prepared.settings.redis_url, DRAIN)


def serve_reconcile_runs(settings: Settings) -> None:
    """Serve the queue of reconcile runs in this process until SIGTERM or SIGINT. Loads no handlers."""
    _prepare(settings)
    serve(settings.redis_url, RECONCILE)


def _prepare(prepared: PreparedWork | Settings) -> None:
    global _prepared, _worker
    _prepared, _worker = prepared, os.getpid()


class NotOurWorker(WorkersError):
    """A plain `rq worker` runs this job; it would run anything else in the queue too, so it is refused."""

    def __init__(self) -> None:
        super().__init__("A plain `rq worker` is not supported on hitl-receiver's queues: run `hitl-receiver work`")


def drain() -> None:
    """The RQ job that works off the inbox until it is told to stop. Nothing is lost when it is killed."""
    if not isinstance(_prepared, PreparedWork) or _worker is None:
        raise NotOurWorker
    traces.start(traces_calls=True)
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)
    try:
        with asyncio.Runner(loop_factory=_loop_factory()) as loop_runner:
            retired = loop_runner.run(_drain(_prepared, parent=_worker))
    finally:
        traces.stop()
    if retired:  # RQ must not end the job, which its successor goes on with
        logging.shutdown()
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError):
                stream.flush()
        os._exit(0)


def reconcile() -> None:
    """The RQ job of a reconcile run: asks HITL.sh for what the webhooks missed. The next run continues it."""
    if not isinstance(_prepared, Settings):
        raise NotOurWorker
    settings = _prepared
    signal.signal(signal.SIGTERM, lambda *_: handover.note_stop())
    redis = worker_client(settings.redis_url)
    traces.start()
    try:
        asked = 0 if handover.is_stopped() else asyncio.run(_ask_due_questions(settings))
        # A run that was wanted for questions alone makes no other calls while HITL.sh is to be left alone.
        if not asked or runner.is_due(settings, redis):
            runner.run(settings, redis, is_stopped=handover.is_stopped)
    except Exception:
        reconcile_lease.hold_off(redis)
        raise
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        redis.close()
        traces.stop()


async def _ask_due_questions(settings: Settings) -> int:
    redis = drain_client(settings.redis_url)
    try:
        return await run_due_questions(settings, redis, seconds=QUESTION_SECONDS)
    finally:
        await redis.aclose()


async def _drain(work: PreparedWork, *, parent: int) -> bool:
    """Run a drain; return whether a successor continues in its place."""
    redis = drain_client(work.settings.redis_url)
    keeper_redis = keeper_client(work.settings.redis_url, work.settings.lease_seconds)
    inbox = WorkerInbox(redis, retention=work.settings.retention, lease=work.settings.lease_seconds)
    keeper = LeaseKeeper(keeper_redis, lease=work.settings.lease_seconds)
    activity = ActivitySender.from_environment()
    drain = Drain(
        inbox,
        work.router,
        keeper,
        work.options,
        parent=parent,
        on_ready=handover.announce_ready,
        ask_for_successor=handover.ask_for_successor,
        activity=activity,
    )
    # If Redis is away, the drain waits for it, and a later drain publishes them.
    with contextlib.suppress(RedisError):
        await publish_route_warnings(redis, unsent_field_warnings(work.settings, work.router))
    # The worker sends both signals.
    _listen(signal.SIGTERM, drain.stop)
    _listen(handover.RETIRE, drain.retire)
    if handover.is_stopped():
        drain.stop()
    try:
        settled = await drain.run()
        logger.info("drain.ended settled=%d retired=%s", settled, drain.retired)
        return drain.retired
    finally:
        _listen(signal.SIGTERM, None)
        _listen(handover.RETIRE, None)
        await redis.aclose()
        keeper_redis.close()
        if activity is not None:
            activity.close()


def _listen(number: signal.Signals, callback: Callable[[], None] | None) -> None:
    loop = asyncio.get_running_loop()
    if callback is None:
        loop.remove_signal_handler(number)
        signal.signal(number, signal.SIG_IGN)
    else:
        loop.add_signal_handler(number, callback)


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop
    except ImportError:  # no wheel for this platform
        return None
    return uvloop.new_event_loop
