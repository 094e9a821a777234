"""`hitl-receiver reconcile`: poll HITL.sh now for the decisions that webhooks missed."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import click
import msgspec
from redis import Redis

from service.cli.connection import connect
from service.cli.durations import duration, iso, since, until
from service.cli.environment import environment
from service.cli.error_messages import CommandError
from service.cli.options import json_option
from service.cli.output import Field, echo, print_fields, print_json
from service.cli.reconciliation.report_fields import (
    calls_fields,
    check_interval_text,
    error_text,
    limit_text,
    report_fields,
)
from workers.inbox.tracker import reconcile_lease, tracked_counts
from workers.reconcile import runner, snapshot, status
from workers.reconcile.snapshot import Snapshot
from workers.reconcile.state import ReconcileReport
from workers.reconcile.status import CallBudgetStatus
from workers.settings import Settings
from workers.stop_flag import StopFlag
from workers.telemetry.escaping import one_line

#: Seconds: longer than a worker's runs, since a person waits and no handler needs the process.
LONGEST_RUN = 120.0
#: The exit status of an interrupted program in a shell: 128 + SIGINT.
INTERRUPTED = 130


@click.command()
@click.option("--dry-run", is_flag=True, help="Show the plan, its cost and its reason. Makes no call.")
@click.option("--now", "checks_all", is_flag=True, help="Check every open request, also those that are not due yet.")
@json_option
def reconcile(dry_run: bool, checks_all: bool, json_wanted: bool) -> None:
    """Poll HITL.sh for missed decisions. Your handlers receive them like webhooks.

    Workers do this by themselves when the clock enqueues a run. This command uses the same plan and the same
    call budget: without --now it makes no call for what is not due. Ctrl+C ends it after the current call. Needs
    HITL_API_KEY and REDIS_URL, or the `dev` stack in this folder. Exit code 1: the run failed, or another run is
    active.
    """
    with connect() as redis:
        settings = Settings.from_env(environment())
        if settings.api_key is None:
            raise CommandError("HITL_API_KEY is not set, so HITL.sh cannot be polled: set it to your API key.")
        if dry_run:
            _show_plan(settings, settings.api_key, redis, json_wanted, checks_all=checks_all)
            return
        with _stop_on_signal() as stopping:
            report = runner.run(settings, redis, is_stopped=stopping.is_set, seconds=LONGEST_RUN, checks_all=checks_all)
        if report is None:
            raise click.ClickException(_active_run_text(redis))
        _show_report(report, redis, json_wanted)
    if not (report.calls or report.trouble or checks_all):
        echo("No call was made, because nothing is due. `hitl-receiver reconcile --now` checks all the same.", err=True)
    click.get_current_context().exit(_exit_status(report, stopped=stopping.is_set()))


# -- a run ----------------------------------------------------------------------------------------------


def _show_report(report: ReconcileReport, redis: Redis, json_wanted: bool) -> None:
    counts = tracked_counts.counts(redis)
    if json_wanted:
        print_json({**report_fields(report), "next_check_at": iso(counts.next_check)})
        return
    fields = [
        Field("calls", report.calls, f"{report.cost} expected" if report.cost else ""),
        Field("found", report.found, "decisions that no webhook delivered"),
        Field("discovered", report.discovered, "requests that were not tracked before"),
        Field("confirmed", report.confirmed, "events that HITL.sh confirms"),
        Field("overruled", report.overruled, "outcomes that HITL.sh disagrees with"),
        Field("lost", report.lost, "requests that HITL.sh no longer knows"),
        Field("reason", None, one_line(report.reason)),
    ]
    if report.trouble is not None:
        fields.append(Field("error", None, error_text(report)))
    print_fields([*fields, Field("next check", None, until(counts.next_check, counts.now))])


def _active_run_text(redis: Redis) -> str:
    active = reconcile_lease.active_run(redis)
    if active is None:
        return "Another reconcile run was active and has ended: try again."
    left = duration(active.seconds)
    if active.held_off:
        return (
            f"A worker could not reconcile, so no run begins for another {left}. Its log says why; is HITL_API_KEY set "
            "for `work`?"
        )
    return f"Another reconcile run is active. Its lease ends in {left}, unless it is renewed."


def _exit_status(report: ReconcileReport, *, stopped: bool) -> int:
    if report.trouble is not None:
        return 1
    return INTERRUPTED if stopped else 0


@contextmanager
def _stop_on_signal() -> Iterator[StopFlag]:
    """Yield a flag that Ctrl+C and SIGTERM set. A second signal ends the program as usual."""
    stopping = StopFlag()
    previous_handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def stop(_number: int, _frame: FrameType | None) -> None:
        stopping.set()
        for number, handler in previous_handlers.items():
            signal.signal(number, handler)

    for number in previous_handlers:
        signal.signal(number, stop)
    try:
        yield stopping
    finally:
        for number, handler in previous_handlers.items():
            signal.signal(number, handler)


# -- a dry run ------------------------------------------------------------------------------------------


def _show_plan(settings: Settings, api_key: str, redis: Redis, json_wanted: bool, *, checks_all: bool) -> None:
    current = snapshot.take(settings, redis, checks_all=checks_all)
    calls = status.calls(redis, settings, api_key, current.now)
    if json_wanted:
        print_json(_plan_fields(current, calls, settings))
        return
    print_fields(_plan_lines(current, calls, settings))
    if reconcile_lease.active_run(redis) is not None:
        echo(f"A run cannot begin now. {_active_run_text(redis)}", prefix="\n")


def _plan_lines(current: Snapshot, calls: CallBudgetStatus, settings: Settings) -> list[Field]:
    open_count, awaiting_confirmation = _count_tracked(current)
    fields = [
        Field("plan", None, _plan_text(current, settings)),
        Field("calls", _planned_calls(current, settings), _cost_text(current, settings)),
        Field("routine calls", calls.routine, f"available for routine checks, {limit_text(calls)}"),
        Field("overdue calls", calls.overdue, "available for requests that are overdue or await confirmation"),
        Field("open requests", open_count),
        Field("awaiting confirmation", awaiting_confirmation, "ended requests whose outcome is not yet confirmed"),
        Field("check interval", None, check_interval_text(current.guaranteed_interval.seconds)),
    ]
    if current.guaranteed_interval.warning is not None:
        fields.append(Field("warning", None, current.guaranteed_interval.warning))
    return [*fields, Field("discovery", None, _discovery_text(current, settings))]


def _plan_fields(current: Snapshot, calls: CallBudgetStatus, settings: Settings) -> dict[str, Any]:
    open_count, awaiting_confirmation = _count_tracked(current)
    return {
        "plan": {
            "kind": "first_run" if _is_first_run(current, settings) else current.plan.kind,
            "reason": _plan_text(current, settings),
            "calls": _planned_calls(current, settings),
            "single_reads": _single_reads(current),
            "retry_at": iso(current.plan.retry_at),
        },
        "budget": calls_fields(calls),
        "open": open_count,
        "awaiting_confirmation": awaiting_confirmation,
        "check_interval": msgspec.to_builtins(current.guaranteed_interval),
        "discovery": {"on": settings.discover, "next_at": iso(_next_discovery(current, settings))},
    }


def _is_first_run(current: Snapshot, settings: Settings) -> bool:
    """Whether the run reads all open requests first: until then, their places in HITL.sh's list are not known."""
    return settings.discover and (current.state.horizon is None or current.state.first is not None)


def _planned_calls(current: Snapshot, settings: Settings) -> int:
    """The least number of calls; a page that shows something new may cause more."""
    if _is_first_run(current, settings):
        return _single_reads(current) + 1
    return _single_reads(current) + current.plan.cost + _discovery_calls(current, settings)


def _plan_text(current: Snapshot, settings: Settings) -> str:
    if _is_first_run(current, settings):
        lookback = duration(settings.lookback)
        return f"first run: read every open request, and what ended in the last {lookback}"
    plan = current.plan
    return plan.reason if plan.kind == "nothing" else f"{plan.kind}: {plan.reason}"


def _cost_text(current: Snapshot, settings: Settings) -> str:
    if _is_first_run(current, settings):
        return "at least: one for each page"
    parts = (
        (current.plan.cost, "for the plan"),
        (_single_reads(current), "for requests that are read one by one"),
        (_discovery_calls(current, settings), "at least for discovery"),
    )
    return ", ".join(f"{count} {purpose}" for count, purpose in parts if count) or "no call is worthwhile now"


def _single_reads(current: Snapshot) -> int:
    """Requests that are read one by one, as far as the calls allow."""
    return len(current.needs_full_fetch) + min(len(current.unverified), current.calls_for_unverified)


def _discovery_text(current: Snapshot, settings: Settings) -> str:
    if not settings.discover:
        return "off (HITL_DISCOVER=0)"
    horizon = current.state.horizon
    last = horizon.discovered_at if horizon is not None else None
    text = f"next {until(_next_discovery(current, settings), current.now)}"
    return text if last is None else f"{text}, last {since(last, current.now)}"


def _next_discovery(current: Snapshot, settings: Settings) -> float | None:
    if not settings.discover:
        return None
    horizon = current.state.horizon
    interval = min(current.intervals.shortest, current.intervals.bound)
    due = 0.0 if horizon is None or current.situation.checks_all else horizon.due_at(interval)
    return max(current.now, due)


def _discovery_calls(current: Snapshot, settings: Settings) -> int:
    due = _next_discovery(current, settings)
    return int(due is not None and due <= current.now)


def _count_tracked(current: Snapshot) -> tuple[int, int]:
    """The number of open requests, and of those that have ended and await confirmation."""
    awaiting_confirmation = sum(request.awaits_confirmation for request in current.tracked.values())
    return len(current.tracked) - awaiting_confirmation, awaiting_confirmation
