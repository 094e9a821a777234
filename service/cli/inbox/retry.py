"""`hitl-receiver retry`: run dead letters again."""

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
@filter_options("handler", "event", "loop", "request", "since", "until")
@dry_run_option
@yes_option
@json_option
def retry(
    names: tuple[str, ...], everything: bool, dry_run: bool, yes: bool, json_wanted: bool, **filters: Any
) -> None:
    """Retry failed effects now.

    They get all attempts of their handler's policy again. Each KEY is an event key, a request id, or 'handler|event
    key'. To route events again, use `replay`.
    """
    with connect() as redis:
        selected = select(redis, names, Filter(**filters), everything=everything, verb="retry")
        retention = Settings.from_env(environment()).retention
        carry_out(
            lambda dry, advance: failures.retry(redis, selected, retention=retention, dry_run=dry, advance=advance),
            "retry",
            redis=redis,
            selected=selected,
            dry_run=dry_run,
            yes=yes,
            json_wanted=json_wanted,
        )
