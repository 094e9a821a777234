"""`hitl-receiver replay`: route events again."""

from typing import Any

import click

from service.cli.connection import connect
from service.cli.environment import environment
from service.cli.error_messages import NoMatch
from service.cli.inbox.changes import carry_out, dry_run_option, yes_option
from service.cli.inbox.selection import all_option, filter_options, keys_argument, select
from service.cli.options import json_option
from service.cli.user_handlers import load_user_router
from workers.inbox.operations import replaying
from workers.inbox.queries.search import Filter
from workers.settings import Settings


@click.command()
@keys_argument
@all_option
@filter_options("handler", "event", "loop", "request", "state", "since", "until")
@click.option("--unrouted", is_flag=True, help="Events that no route matched when they arrived: --state unrouted.")
@click.option(
    "--force",
    is_flag=True,
    help="Also run effects that are done, and handlers that ran for another outcome of the request.",
)
@dry_run_option
@yes_option
@json_option
def replay(
    names: tuple[str, ...],
    everything: bool,
    unrouted: bool,
    force: bool,
    dry_run: bool,
    yes: bool,
    json_wanted: bool,
    **filters: Any,
) -> None:
    """Route events again, with the current handlers. Without --force, effects that are done do not run again.

    Runs handlers that did not exist when the event was routed, and effects that failed, were skipped, held or
    discarded. Quarantined bodies that are readable now become events (not with --handler). Each KEY is an event
    key, a request id, or 'handler|event key'. Needs HITL_HANDLERS.

    \b
    hitl-receiver replay --unrouted --dry-run   # after you added a route
    hitl-receiver replay --since 2h --handler pay_out
    """
    if unrouted:
        if filters["state"] not in (None, "unrouted"):
            raise click.UsageError("--unrouted stands for --state unrouted: give one of the two.")
        filters["state"] = "unrouted"
    with connect() as redis:
        settings = Settings.from_env(environment(), handles=True)
        assert settings.handlers is not None
        router = load_user_router(settings.handlers)
        if filters["handler"] is not None and router.get(filters["handler"]) is None:
            raise NoMatch(f"No handler is named {filters['handler']!r}: list them with `hitl-receiver routes`.")
        selected = select(redis, names, Filter(**filters), everything=everything, verb="replay")
        carry_out(
            lambda dry, advance: replaying.replay(
                redis, router, selected, retention=settings.retention, force=force, dry_run=dry, advance=advance
            ),
            "replay",
            redis=redis,
            selected=selected,
            dry_run=dry_run,
            yes=yes,
            json_wanted=json_wanted,
        )
