"""`hitl-receiver requests`: the tracked requests."""

from typing import cast, get_args

import click

from service.cli.connection import connect
from service.cli.options import NameChoice, json_option, limit_option
from service.cli.output import echo, print_json, print_table
from service.cli.reconciliation.request_rows import HEADS, request_fields, request_row
from workers.inbox import inbox_clock
from workers.inbox.tracker import tracked_listing
from workers.inbox.tracker.tracked_listing import State


@click.command()
@click.option("--state", type=NameChoice(get_args(State)), default=None,
              help="Open; unreachable: its API key is no longer polled; lost: HITL.sh no longer knows it; "
                   "unconfirmed: its outcome waits for confirmation; "
                   "overruled: stronger evidence disagrees with an outcome.")  # fmt: skip
@limit_option
@json_option
def requests(state: str | None, limit: int, json_wanted: bool) -> None:
    """List tracked requests.

    Shows their origin, their state, and the times of the last and the next check at HITL.sh. Newest first; with --state
    open, in the order of their next check. LEARNED says how a request became known: asked (through hitl-receiver),
    callback, event (an account webhook) or listing (found at the API). Reads REDIS_URL, or the `dev` stack in this
    folder.
    """
    with connect() as redis:
        listing = tracked_listing.listing(redis, cast("State | None", state), limit=limit)
        now = inbox_clock.now(redis)
    if json_wanted:
        print_json([request_fields(entry) for entry in listing.entries])
    elif listing.entries:
        print_table(HEADS, [request_row(entry, now) for entry in listing.entries])
    else:
        echo("No matching requests." if state else "No tracked requests.", err=True)
    if listing.more:
        echo(f"There are more than {limit}: select with --state, or raise --limit.", err=True)
