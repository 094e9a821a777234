"""`hitl-receiver reconcile`: ask HITL.sh by hand for what the webhooks missed."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event
from types import FrameType

import click
from redis import Redis

from service.cli.columns import print_lines
from service.cli.connection import connected
from service.cli.durations import duration, iso
from service.cli.environment import environment
from service.cli.error_messages import CommandError
from service.cli.filters import as_json
from service.cli.output import echo, print_json
from service.cli.reconcile_tables import account_fields, account_lines, outlook_fields, outlook_lines
from workers.inbox.tracker import reconcile_lease, tracked_counts
from workers.reconcile import runner, snapshot, status
from workers.reconcile.state import ReconcileReport
from workers.settings import Settings

#: Seconds: a person waits, and no handler wants its worker back.
SLICE = 120.0
#: As a shell says that a program was interrupted.
INTERRUPTED = 130


@click.command()
@click.option("--dry-run", is_flag=True, help="Show the plan, its cost and its reason. Makes no call.")
@as_json
def reconcile(dry_run: bool, json_wanted: bool) -> None:
    """Poll HITL.sh now for missed decisions. Your handlers receive them like webhooks.

    Workers do this by themselves when the clock enqueues a run. This command uses the same plan and the same
    call budget. Ctrl+C ends it after the current call. Requires HITL_API_KEY and REDIS_URL, or the `dev` stack
    in this folder. Exit code 1: the run failed, or another run is active.
    """
    with connected() as redis:
        settings = Settings.from_env(environment())
        if settings.api_key is None:
            raise CommandError(
                "HITL_API_KEY is not set, so HITL.sh cannot be asked: set it to the API key of your account."
            )
        if dry_run:
            _say_what_would_be(settings, settings.api_key, redis, json_wanted)
            return
        with _stoppable() as stopping:
            report = runner.run(settings, redis, stopping=stopping, seconds=SLICE)
        if report is None:
            raise click.ClickException(_why_not(redis))
        _say_how_it_went(report, redis, json_wanted)
    click.get_current_context().exit(_status(report, stopped=stopping.is_set()))


def _say_what_would_be(settings: Settings, api_key: str, redis: Redis, json_wanted: bool) -> None:
    seen = snapshot.take(settings, redis)
    calls = status.calls(redis, settings, api_key, seen.now)
    if json_wanted:
        print_json(outlook_fields(seen, calls, settings))
        return
    print_lines(outlook_lines(seen, calls, settings))
    if reconcile_lease.active_run(redis) is not None:
        echo(f"Not now: {_why_not(redis)}", prefix="\n")


def _say_how_it_went(report: ReconcileReport, redis: Redis, json_wanted: bool) -> None:
    counts = tracked_counts.counts(redis)
    if json_wanted:
        print_json({**account_fields(report), "next_look_at": iso(counts.next_check)})
        return
    print_lines(account_lines(report, counts.next_check, counts.now))


def _why_not(redis: Redis) -> str:
    found = reconcile_lease.active_run(redis)
    if found is None:
        return "another reconcile run was under way and has ended by now: try again."
    left = duration(found.seconds)
    if found.held_off:
        return (
            f"a worker could not reconcile, and none begins for another {left}: its log says why; has it HITL_API_KEY?"
        )
    return f"another reconcile run is under way; its lease lasts another {left}, unless it is renewed."


def _status(report: ReconcileReport, *, stopped: bool) -> int:
    if report.trouble is not None:
        return 1
    return INTERRUPTED if stopped else 0


@contextmanager
def _stoppable() -> Iterator[Event]:
    """Set by Ctrl+C and SIGTERM; a second one ends the program as ever."""
    stopping = Event()
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def stop(_number: int, _frame: FrameType | None) -> None:
        stopping.set()
        for number, handler in before.items():
            signal.signal(number, handler)

    for number in before:
        signal.signal(number, stop)
    try:
        yield stopping
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
