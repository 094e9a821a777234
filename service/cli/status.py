"""`hitl-receiver status`: how the inbox and its reconciliation stand."""

import textwrap
from collections.abc import Mapping
from typing import Any, cast

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
from workers.inbox import keys
from workers.inbox.operations import pausing
from workers.queue import REFUSED
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
    return {
        "due": redis.zcard(keys.DUE),
        "in hand": redis.hlen(keys.LEASES),
        "failed": redis.zcard(keys.FAILED),
        "held": redis.zcard(keys.HELD),
        "quarantined": redis.zcard(keys.QUARANTINE),
        "over quota": int(cast("bytes | None", redis.hget(keys.COUNTERS, "over_quota")) or 0),
        "events kept": redis.zcard(keys.EVENTS),
        "drains": redis.zcard(keys.DRAINS),
        f"waiting in {keys.QUEUE}": redis.llen(keys.RQ_QUEUE),
        f"waiting in {keys.RECONCILE_QUEUE}": redis.llen(keys.RQ_RECONCILE_QUEUE),
        "jobs refused": int(redis.hget(keys.COUNTERS, REFUSED) or 0),
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
