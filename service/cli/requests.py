"""`hitl-receiver requests` and `webhook-health`: what is waited for, and whether the webhooks bring it."""

from typing import cast, get_args

import click

from service.cli.connection import connected
from service.cli.filters import NothingFound, as_json
from service.cli.output import echo, print_json, print_table
from service.cli.request_tables import HEADS, entry_fields, entry_row
from service.cli.webhook_health import print_hours, share_lost
from workers.inbox import inbox_clock
from workers.inbox import webhook_health as webhooks
from workers.inbox.tracker import tracked_listing
from workers.inbox.tracker.tracked_listing import State

#: Hours for which the history is kept.
KEPT = 31 * 24


@click.command()
@click.option("--state", type=click.Choice(get_args(State)), default=None,
              help="Open; unreachable: its API key is polled no more; lost: HITL.sh knows it no more; "
                   "unconfirmed: its outcome waits to be confirmed; "
                   "overruled: stronger evidence says otherwise.")  # fmt: skip
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1, 10_000), help="Maximum number of rows.")
@as_json
def requests(state: str | None, limit: int, json_wanted: bool) -> None:
    """List tracked requests: origin, state, and the times of the last and the next check at HITL.sh.

    Newest first. With --state open, in the order of their next check. Reads REDIS_URL, or
    the `dev` stack in this folder.
    """
    with connected() as redis:
        found = tracked_listing.listing(redis, cast("State | None", state), most=limit)
        now = inbox_clock.now(redis)
    if not found.entries:
        raise NothingFound(f"No request is {state}." if state else "No request is known yet.")
    if json_wanted:
        print_json([entry_fields(entry) for entry in found.entries])
    else:
        print_table(HEADS, [entry_row(entry, now) for entry in found.entries])
    if found.more:
        echo(f"There are more than {limit}: narrow it down with --state, or give a greater --limit.", err=True)


@click.command()
@click.option("--hours", default=24, show_default=True, type=click.IntRange(1, KEPT), help="Number of hours.")
@as_json
def webhook_health(hours: int, json_wanted: bool) -> None:
    """Show decisions per hour, by webhook and by reconcile run, and the share that no webhook delivered.

    OVERTAKEN counts decisions whose webhook arrived after a reconcile run had found them. Times are UTC.
    Reads REDIS_URL, or the `dev` stack in this folder.
    """
    with connected() as redis:
        history = webhooks.history(redis, hours)
    if not json_wanted:
        print_hours(history)
        return
    print_json(
        [
            {
                "begins_at": hour.begins_at.isoformat(),
                "webhook": hour.webhook,
                "reconcile": hour.reconcile,
                "overtaken": hour.overtaken,
                "lost": share_lost(hour),
            }
            for hour in history
        ]
    )
