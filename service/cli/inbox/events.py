"""`hitl-receiver events`: the events in the inbox."""

from typing import Any

import click

from service.cli.connection import connect
from service.cli.inbox.event_fields import FLAGS, event_fields
from service.cli.inbox.filter_values import check_values
from service.cli.inbox.selection import filter_options, report_truncation
from service.cli.options import json_option, limit_option
from service.cli.output import echo, print_json, print_table
from workers.inbox.event_records import EventSummary
from workers.inbox.queries import search
from workers.inbox.queries.search import Filter


@click.command()
@filter_options("state", "event", "loop", "handler", "request", "since", "until")
@limit_option
@json_option
def events(limit: int, json_wanted: bool, **filters: Any) -> None:
    """List events, newest first, with the state of each effect.

    Reads REDIS_URL, or the `dev` stack in this folder.

    \b
    hitl-receiver events --since 2h
    hitl-receiver events --state failed --handler pay_out
    """
    conditions = Filter(**filters)
    with connect() as redis:
        page = search.events(redis, conditions, limit=limit)
        if not page.events:
            check_values(redis, conditions)
    if json_wanted:
        print_json([event_fields(event) for event in page.events])
    elif page.events:
        print_table(("ACCEPTED", "STATE", "EFFECTS", "KEY"), map(_row, page.events))
    else:
        echo("No matching events.", err=True)
    report_truncation(page.cursor is not None, limit)


def _row(event: EventSummary) -> tuple[Any, ...]:
    state = " ".join([event.worst_state, *(flag for flag in FLAGS if getattr(event, flag))])
    effects = ", ".join(f"{effect.handler} {effect.state}" for effect in event.effects)
    return event.accepted_at, state, effects or None, event.key
