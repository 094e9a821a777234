"""`hitl-receiver discard`: end dead letters and held effects without running them."""

from typing import Any

import click

from service.cli.connection import connect
from service.cli.environment import environment
from service.cli.inbox.changes import carry_out, dry_run_option, yes_option
from service.cli.inbox.selection import all_option, filter_options, keys_argument, select
from service.cli.options import json_option
from workers.inbox.operations import failures
from workers.inbox.queries.search import Filter
from workers.settings import Settings


@click.command()
@keys_argument
@all_option
@filter_options("state", "handler", "event", "loop", "request", "since", "until")
@click.option("--reason", required=True, metavar="TEXT", help="Stored with each effect.")
@dry_run_option
@yes_option
@json_option
def discard(
    names: tuple[str, ...],
    everything: bool,
    reason: str,
    dry_run: bool,
    yes: bool,
    json_wanted: bool,
    **filters: Any,
) -> None:
    """Discard failed and held effects. They stay on record with the reason.

    Each KEY is an event key, a request id, or 'handler|event key'. --state failed or --state held selects only
    those. Quarantined records are discarded by their key, or with --state quarantined.
    """
    with connect() as redis:
        selected = select(redis, names, Filter(**filters), everything=everything, verb="discard")
        retention = Settings.from_env(environment()).retention
        carry_out(
            lambda dry, advance: failures.discard(
                redis, selected, reason=reason, retention=retention, dry_run=dry, advance=advance
            ),
            "discard",
            redis=redis,
            selected=selected,
            dry_run=dry_run,
            yes=yes,
            json_wanted=json_wanted,
        )
