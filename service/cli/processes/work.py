"""`hitl-receiver work`: RQ workers for handlers and for reconcile runs."""

from typing import Literal

import click

from service.cli.error_messages import explain_errors
from service.cli.options import NameChoice, insecure_option, processes_option
from service.cli.user_handlers import explain_handlers
from service.local.supervisor import Child, Supervisor, command
from service.start_checks import IS_CHECKED, check_redis_once, is_checked
from workers import jobs
from workers.queue import DRAIN_QUEUE, RECONCILE_QUEUE
from workers.settings import Settings, SettingsInvalid
from workers.startup_checks import warn_of_unsent_fields

#: Seconds: the drain's own grace and a little more.
WORKER_GRACE = 30.0

QueueName = Literal["hitl", "hitl-reconcile"]


@click.command()
@processes_option
@click.option("--queue", default=None, type=NameChoice(["hitl", "hitl-reconcile"]),
              help="Serve this RQ queue only: handlers, or reconcile runs. [default: both]")  # fmt: skip
@insecure_option
def work(processes: int, queue: QueueName | None) -> None:
    """Run workers for your handlers.

    With HITL_API_KEY, one more process serves reconcile runs. Needs REDIS_URL and HITL_HANDLERS (not for reconcile
    runs alone). On SIGTERM, running handlers have 20 seconds to finish. --processes counts the processes for
    handlers.

    \b
    hitl-receiver work --processes 4
    hitl-receiver work --queue hitl-reconcile
    """
    with explain_errors():
        run(Settings.from_env(handles=queue != "hitl-reconcile"), processes=processes, queue=queue)


def run(settings: Settings, *, processes: int, queue: QueueName | None = None) -> None:
    """Run workers for this queue, or for both: in this process if one is enough, else in children.

    One process serves reconcile runs, however many run handlers: a lease lets only one of them run at a time.
    """
    if queue == RECONCILE_QUEUE:
        _check_api_key_is_set(settings)
        check_redis_once(settings.redis_url, until_then="no reconcile run begins, and after a minute this program ends")
        jobs.serve_reconcile_runs(settings)
        return
    with explain_handlers():  # a mistake in the handlers is reported before any process starts
        worker = jobs.PreparedWork.from_settings(settings)
    check_redis_once(settings.redis_url, until_then="no handler runs, and after a minute this program ends")
    if not is_checked():
        warn_of_unsent_fields(settings, worker.router)
    reconciles = queue is None and settings.api_key is not None
    if processes == 1 and not reconciles:
        jobs.work(worker)
        return
    children = [_worker(f"worker-{number}", DRAIN_QUEUE) for number in range(1, processes + 1)]
    if reconciles:
        children.append(_worker("reconcile", RECONCILE_QUEUE))
    # Stopped together: a worker that waited for its turn would go on claiming work.
    Supervisor(children, together=True).run()


def _worker(name: str, queue: str) -> Child:
    return Child(name=name, argv=command("work", "--queue", queue), environ=IS_CHECKED, grace=WORKER_GRACE)


def _check_api_key_is_set(settings: Settings) -> None:
    if settings.api_key is None:
        raise SettingsInvalid(
            ["HITL_API_KEY is not set, and reconcile runs call the API: set it to the API key of your account"]
        )
