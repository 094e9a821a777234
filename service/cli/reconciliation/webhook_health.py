"""`hitl-receiver webhook-health`: decisions per hour, by webhook and by reconcile run."""

from collections.abc import Sequence
from typing import Any

import click

from service.cli.connection import connect
from service.cli.options import json_option
from service.cli.output import print_json, print_table
from workers.inbox import webhook_health as webhooks
from workers.inbox.webhook_health import Hour
from workers.reconcile.status import total

#: Hours for which the history is stored.
LONGEST_HISTORY = 31 * 24
_BAR_WIDTH = 40
_BY_WEBHOOK, _OVERTAKEN, _LOST = "█", "▒", "░"
_COUNTS = ("WEBHOOK", "RECONCILED", "OVERTAKEN", "LOST")


@click.command()
@click.option("--hours", default=24, show_default=True, type=click.IntRange(1, LONGEST_HISTORY),
              help="Number of hours.")  # fmt: skip
@json_option
def webhook_health(hours: int, json_wanted: bool) -> None:
    """Show decisions per hour by how they arrived.

    By webhook, by reconcile run, and the share that no webhook delivered (LOST). OVERTAKEN counts decisions whose
    webhook arrived after a reconcile run had found them. Times are UTC. Reads REDIS_URL, or the `dev` stack in this
    folder.
    """
    with connect() as redis:
        history = webhooks.history(redis, hours)
    if json_wanted:
        print_json([_fields(hour) for hour in history])
        return
    largest = max(hour.webhook + hour.reconcile for hour in history)
    legend = f"{_BY_WEBHOOK} by webhook  {_OVERTAKEN} overtaken  {_LOST} lost" if largest else "no decisions"
    rows = [_row(f"{hour.begins_at:%Y-%m-%d %H:%M}", hour, _bar(hour, largest)) for hour in history]
    print_table(("HOUR", *_COUNTS, ""), [*rows, _row("total", total(history), legend)], right=_COUNTS)


def _row(name: str, hour: Hour, text: str) -> Sequence[str]:
    share = share_lost(hour)
    lost = "-" if share is None else f"{share:.1%}"
    return name, f"{hour.webhook:,}", f"{hour.reconcile:,}", f"{hour.overtaken:,}", lost, text


def _bar(hour: Hour, largest: int) -> str:
    """A bar in proportion to the largest hour; every count above zero has at least one character."""
    if not largest:
        return ""
    overtaken = min(hour.overtaken, hour.reconcile)
    parts = ((_BY_WEBHOOK, hour.webhook), (_OVERTAKEN, overtaken), (_LOST, hour.reconcile - overtaken))
    return "".join(sign * max(1, round(_BAR_WIDTH * count / largest)) for sign, count in parts if count)


def _fields(hour: Hour) -> dict[str, Any]:
    return {
        "begins_at": hour.begins_at.isoformat(),
        "webhook": hour.webhook,
        "reconcile": hour.reconcile,
        "overtaken": hour.overtaken,
        "lost": share_lost(hour),
    }


def share_lost(hour: Hour) -> float | None:
    """The share of decisions that no webhook delivered; None where there were no decisions."""
    decisions = hour.webhook + hour.reconcile
    # A webhook may arrive in a later hour than the reconcile run that overtook it.
    return max(0, hour.reconcile - hour.overtaken) / decisions if decisions else None
