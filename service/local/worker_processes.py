"""Runs workers as processes."""

from typing import Literal

from service.local.checked_redis import IS_CHECKED, check_redis_once
from service.local.supervisor import Child, Supervisor, command
from workers import jobs
from workers.queue import DRAIN_QUEUE, RECONCILE_QUEUE
from workers.settings import Settings, SettingsInvalid

#: Seconds: the drain's own grace and a little more.
WORKER_GRACE = 30.0

QueueName = Literal["hitl", "hitl-reconcile"]


def run(settings: Settings, *, processes: int, queue: QueueName | None = None) -> None:
    """Workers for this queue, or for both: in this process if one suffices, else below it.

    One process serves reconcile runs, however many run handlers: a lease lets only one of them run at a time.
    """
    if queue == RECONCILE_QUEUE:
        _see_that_api_key_is_set(settings)
        check_redis_once(settings.redis_url)
        jobs.serve_reconcile_runs(settings)
        return
    work = jobs.Work.from_settings(settings)  # a mistake in the handlers is told first, and once
    check_redis_once(settings.redis_url)
    reconciles = queue is None and settings.api_key is not None
    if processes == 1 and not reconciles:
        jobs.work(work)
        return
    children = [_worker(f"worker-{number}", DRAIN_QUEUE) for number in range(1, processes + 1)]
    if reconciles:
        children.append(_worker("reconcile", RECONCILE_QUEUE))
    # Together: one that still waits for its turn to stop would go on taking work in.
    Supervisor(children, together=True).run()


def _worker(name: str, queue: str) -> Child:
    return Child(name=name, argv=command("work", "--queue", queue), environ=IS_CHECKED, grace=WORKER_GRACE)


def _see_that_api_key_is_set(settings: Settings) -> None:
    if settings.api_key is None:
        raise SettingsInvalid(
            ["HITL_API_KEY is not set, and reconcile runs ask the API: set it to the API key of your account"]
        )
