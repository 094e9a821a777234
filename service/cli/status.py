"""`hitl-receiver status`: how the inbox and its reconciliation stand."""

import textwrap
from collections.abc import Mapping
from typing import Any

import click
import msgspec
from redis import Redis

from service.cli.alarms import Alarm, alarms
from service.cli.columns import Line, print_lines
from service.cli.connection import connected
from service.cli.environment import environment
from service.cli.filters import as_json
from service.cli.output import echo, print_json
from service.cli.status_tables import standing_fields, standing_lines
from workers.inbox.operations import pausing
from workers.inbox.queries import inbox_counts
from workers.queue import DRAIN, RECONCILE, count_waiting
from workers.reconcile.status import read_status
from workers.settings import Settings


@click.command()
@as_json
def status(json_wanted: bool) -> None:
    """Show status: due, running and failed effects, pauses, and reconciliation.

    Alarms come first, each with what to do. Reads REDIS_URL, or the `dev` stack in this folder.
    """
    with connected() as redis:
        counts, paused = _counts(redis), sorted(pausing.paused(redis))
        found = read_status(Settings.from_env(environment()), redis)
    raised = alarms(found)
    if json_wanted:
        told = {"reconciliation": standing_fields(found), "alarms": msgspec.to_builtins(raised)}
        print_json({**_named(counts), "paused": paused, **told})
        return
    _print_alarms(raised)
    print_lines(Line(name, count) for name, count in counts.items())
    print_lines([Line("paused", None, ", ".join(paused) or "-")])
    echo()
    print_lines(standing_lines(found))


def _counts(redis: Redis) -> dict[str, int]:
    counts = inbox_counts.read(redis)
    return {
        "due": counts.due,
        "in hand": counts.leased,
        "failed": counts.failed,
        "held": counts.held,
        "quarantined": counts.quarantined,
        "over quota": counts.over_quota,
        "events kept": counts.events,
        "drains": counts.drains,
        **{f"waiting in {kind.queue}": count_waiting(redis, kind) for kind in (DRAIN, RECONCILE)},
        "jobs refused": counts.jobs_refused,
    }


def _named(counts: Mapping[str, int]) -> dict[str, Any]:
    return {name.replace(" ", "_").replace("-", "_"): count for name, count in counts.items()}


def _print_alarms(raised: list[Alarm]) -> None:
    for alarm in raised:
        first, *rest = textwrap.wrap(alarm.text, 100)
        echo(first, prefix=f"{click.style('ALARM', fg='red', bold=True)}  ")
        for line in rest:
            echo(f"       {line}")
    if raised:
        echo()
