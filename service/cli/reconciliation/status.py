"""`hitl-receiver status`: alarms, the inbox and its reconciliation."""

from collections.abc import Mapping
from typing import Any

import click
import msgspec
from redis.exceptions import RedisError

from service.cli.connection import connect
from service.cli.durations import counted, duration, iso, since, until
from service.cli.environment import environment
from service.cli.options import json_option
from service.cli.output import Field, echo, print_fields, print_json, wrapped
from service.cli.reconciliation.report_fields import (
    calls_fields,
    check_interval_text,
    error_text,
    limit_text,
    report_fields,
)
from workers.alarms import reading as alarm_reading
from workers.alarms.alarm import Alarm, Severity, worst
from workers.alarms.reading import AlarmReading
from workers.alarms.rules import all_rules
from workers.inbox.operations import pausing
from workers.inbox.tracker.reconcile_lease import ActiveRun
from workers.queue import DRAIN, RECONCILE
from workers.reconcile.status import ReconcileStatus
from workers.redis_clients import monitor_client
from workers.settings import Settings
from workers.telemetry.escaping import one_line

#: Of `--check`, by the worst alarm.
_EXIT_STATUS: Mapping[Severity | None, int] = {None: 0, "warning": 1, "critical": 2}
_COLORS: Mapping[Severity, str] = {"warning": "yellow", "critical": "red"}
#: Columns of the severity.
_INDENT = 10
#: What each count of the inbox means.
_NOTES = {
    "due": "work that a worker takes next, now or at its time",
    "running": "work that a worker has claimed",
    "failed": "dead letters: see `hitl-receiver failed`",
    "held": "effects whose handler is paused or does not exist",
    "quarantined": "verified but unreadable deliveries",
    "unrouted": "events that no route matched: add a route, then `hitl-receiver replay --unrouted`",
    "unrouted decisions": "those of them that end a request",
    "over quota": "deliveries that were only counted",
    "events": "stored",
    "queued questions": "asked through hitl-receiver; they wait for calls to HITL.sh",
    "drains": "jobs that process the inbox now",
    f"queued in {DRAIN.queue}": "jobs that wait for a worker",
    f"queued in {RECONCILE.queue}": "jobs that wait for a worker",
    "jobs refused": "RQ jobs that are not ours",
}


@click.command()
@click.option("--check", "checks", is_flag=True,
              help="Show alarms only, and exit with 1 (a warning) or 2 (critical): for a monitor.")  # fmt: skip
@json_option
@click.pass_context
def status(ctx: click.Context, checks: bool, json_wanted: bool) -> None:
    """Show alarms, then the state of the inbox and of reconciliation.

    Each alarm says what to do. Reads REDIS_URL, or the `dev` stack in this folder.

    \b
    hitl-receiver status
    hitl-receiver status --check
    """
    with connect(monitor_client) as redis:
        settings = Settings.from_env(environment())
        try:
            reading = alarm_reading.read(settings, redis)
        except RedisError as error:
            if not checks:
                raise
            alarms, fields = [all_rules.unreachable(error)], {}
        else:
            alarms, fields = all_rules.evaluate(reading), _inbox_json(reading)
    if json_wanted:
        print_json({**fields, "alarms": msgspec.to_builtins(alarms)})
    elif checks:
        _print_alarms(alarms)
        if not alarms:
            echo("No alarm.")
    else:
        _print_alarms(alarms)
        _print_state(reading)
    if checks:
        ctx.exit(_EXIT_STATUS[worst(alarms)])


def _inbox_json(reading: AlarmReading) -> dict[str, Any]:
    counts = {label.replace(" ", "_").replace("-", "_"): count for label, count in _counts(reading).items()}
    return {**counts, "paused": sorted(reading.figures.paused), "reconciliation": _fields(reading.reconciliation)}


def _print_state(reading: AlarmReading) -> None:
    counts = _counts(reading)
    inbox_fields = [Field(label, count, _NOTES[label] if count else "") for label, count in counts.items()]
    paused = sorted(reading.figures.paused)
    names = ", ".join("all handlers" if name == pausing.ALL else name for name in paused)
    print_fields([*inbox_fields, Field("paused", None, names or "-")], _reconciliation(reading.reconciliation))


def _counts(reading: AlarmReading) -> dict[str, int]:
    counts = reading.counts
    return {
        "due": counts.due,
        "running": counts.leased,
        "failed": counts.failed,
        "held": counts.held,
        "quarantined": counts.quarantined,
        "unrouted": counts.unrouted,
        "unrouted decisions": counts.unrouted_decisions,
        "over quota": counts.over_quota,
        "events": counts.events,
        "queued questions": counts.queued_questions,
        "drains": counts.drains,
        f"queued in {DRAIN.queue}": reading.waiting_drains,
        f"queued in {RECONCILE.queue}": reading.waiting_runs,
        "jobs refused": counts.jobs_refused,
    }


def _print_alarms(alarms: list[Alarm]) -> None:
    for one in alarms:
        word = click.style(one.severity.upper(), fg=_COLORS[one.severity], bold=True)
        for number, line in enumerate(wrapped(f"{one.name}: {one.text}", _INDENT)):
            echo(line, prefix=" " * _INDENT if number else f"{word}{' ' * (_INDENT - len(one.severity))}")
        for number, line in enumerate(wrapped(one.remedy, _INDENT + 4)):
            echo(line, prefix=" " * _INDENT + ("    " if number else "->  "))
    if alarms:
        echo()


# -- reconciliation -------------------------------------------------------------------------------------


def _reconciliation(status: ReconcileStatus) -> list[Field]:
    counts = status.counts
    oldest = f"the oldest was asked {since(counts.oldest_at, counts.now)}" if counts.oldest_at is not None else ""
    return [
        Field("open requests", counts.open, oldest),
        *_unreachable(status),
        Field("lost", counts.lost, "requests that HITL.sh no longer knows" if counts.lost else ""),
        Field("unconfirmed", counts.unconfirmed, _unconfirmed_text(status)),
        Field("overruled", counts.overruled, _overruled_text(status)),
        *_calls(status),
        *_webhooks(status),
        *_runs(status),
    ]


def _fields(status: ReconcileStatus) -> dict[str, Any]:
    counts, state, webhooks = status.counts, status.state, status.webhooks
    return {
        "configured": status.calls is not None,
        "open": counts.open,
        "oldest": counts.oldest,
        "oldest_at": iso(counts.oldest_at),
        "unreachable": counts.unreachable,
        "awaiting_confirmation": counts.awaiting_confirmation,
        "unconfirmed": counts.unconfirmed,
        "lost": counts.lost,
        "overruled": counts.overruled,
        "overruled_24h": counts.recently_overruled,
        "next_check_at": iso(counts.next_check),
        "run_is_active": status.active_run is not None and not status.active_run.held_off,
        "last_run": None if state.report is None else report_fields(state.report),
        "failures": state.failures,
        "check_interval": {"seconds": state.guaranteed_interval, "warning": state.warning},
        "calls": None if status.calls is None else calls_fields(status.calls),
        "limited": status.limited,
        "limited_at": iso(status.limited_at),
        "webhooks_24h": {name: count for name, count in msgspec.to_builtins(webhooks).items() if name != "begins_at"},
        "silent_since": iso(status.silent_since),
    }


def _unreachable(status: ReconcileStatus) -> list[Field]:
    if not status.counts.unreachable:
        return []
    note = "requests of an API key that is no longer polled: list that key in HITL_API_KEYS until they have ended"
    return [Field("unreachable", status.counts.unreachable, note)]


def _unconfirmed_text(status: ReconcileStatus) -> str:
    if not status.counts.unconfirmed:
        return ""
    requests = counted(status.counts.awaiting_confirmation, "request")
    return f"effects wait until HITL.sh confirms the outcome of {requests}"


def _overruled_text(status: ReconcileStatus) -> str:
    counts = status.counts
    if not counts.overruled:
        return ""
    return f"outcomes that stronger evidence disagrees with, {counts.recently_overruled:,} of them in the last 24 h"


def _calls(status: ReconcileStatus) -> list[Field]:
    calls = status.calls
    if calls is None:
        return []
    spent = f"{calls.asked} used to ask, {calls.reconciled} by reconcile runs"
    if calls.unverified:
        spent += f" ({calls.unverified} for unverified input)"
    if calls.overcounts:
        spent += f"; {counted(calls.overcounts, 'time')} HITL.sh had fewer left than counted here"
    return [Field("calls left", calls.asking, f"{limit_text(calls)}; {spent}")]


def _webhooks(status: ReconcileStatus) -> list[Field]:
    hours = status.webhooks
    overtaken = f"; the webhook of {hours.overtaken:,} arrived later" if hours.overtaken else ""
    return [
        Field("by webhook", hours.webhook, "decisions in the last 24 h"),
        Field(
            "by reconcile run",
            hours.reconcile,
            f"decisions in the last 24 h that no webhook had delivered{overtaken}" if hours.reconcile else "",
        ),
    ]


def _runs(status: ReconcileStatus) -> list[Field]:
    if status.calls is None and not status.has_run:
        return [Field("reconcile runs", None, "off: HITL_API_KEY is not set, so missed decisions are not found")]
    fields = [] if status.calls is not None else [Field("calls left", None, "unknown: HITL_API_KEY is not set here")]
    fields.append(Field("last reconcile run", None, _last_run_text(status)))
    fields.append(Field("next reconcile run", None, _next_run_text(status)))
    if status.state.guaranteed_interval is not None:
        fields.append(Field("check interval", None, check_interval_text(status.state.guaranteed_interval)))
    if status.state.warning is not None:
        fields.append(Field("warning", None, one_line(status.state.warning)))
    return fields


def _last_run_text(status: ReconcileStatus) -> str:
    report = status.state.report
    if report is None:
        return "none has finished yet" if status.has_run else "none yet"
    text = (
        f"{since(report.ended or report.began, status.counts.now)}: {counted(report.calls, 'call')}, "
        f"{counted(report.found, 'decision')} found"
    )
    return text if report.trouble is None else f"{text}; ended early, {error_text(report)}"


def _next_run_text(status: ReconcileStatus) -> str:
    if status.active_run is not None:
        return _active_run_text(status.active_run)
    counts = status.counts
    if status.is_first_run:
        return "the first one, as soon as `clock` and `work` run"
    if counts.next_check is None:
        return "none is due: no request needs a check"
    overdue = counts.now - counts.next_check
    # A clock and a worker take a second or two.
    late = f"; due for {duration(overdue)}: do `clock` and `work` run?" if overdue > 60 else ""
    return f"{until(counts.next_check, counts.now)}{late}"


def _active_run_text(active: ActiveRun) -> str:
    if active.held_off:
        return (
            f"in {duration(active.seconds)}: a worker could not reconcile, and its log says why; is HITL_API_KEY set "
            "for `work`?"
        )
    return "one is active"
