"""`hitl-receiver events`, `show` and `failed`: what the inbox holds, for a person or a program."""

from typing import Any

import click

from service.cli.connection import connected
from service.cli.event_tables import event_fields, event_row, failure_fields, failure_row, print_event
from service.cli.filters import NothingFound, as_json, filtered, look_up
from service.cli.output import echo, print_json, print_table
from service.cli.request_tables import print_entry
from workers.inbox import inbox_clock
from workers.inbox.queries import lookup, search
from workers.inbox.queries.search import Filter, split
from workers.inbox.tracker import tracked_listing

limited = click.option(
    "--limit", default=50, show_default=True, type=click.IntRange(1, 10_000), help="Maximum number of rows."
)


@click.command()
@filtered("state", "event", "loop", "handler", "request", "since", "until")
@limited
@as_json
def events(limit: int, json_wanted: bool, **filters: Any) -> None:
    """List events, newest first, with the state of each effect.

    Reads REDIS_URL, or the `dev` stack in this folder.
    """
    with connected() as redis:
        page = search.events(redis, Filter(**filters), most=limit)
    if not page.events:
        raise NothingFound("No matching events.")
    if json_wanted:
        print_json([event_fields(event) for event in page.events])
    else:
        print_table(("ACCEPTED", "STATE", "EFFECTS", "KEY"), map(event_row, page.events))
    _say_if_more(page.cursor, limit)


@click.command()
@click.argument("key")
@click.option("--body", is_flag=True, help="Include the body as received, and personal data.")
@as_json
def show(key: str, body: bool, json_wanted: bool) -> None:
    """Show an event, or a request and its events: delivery, routing and effects.

    KEY is an event key, a request id, or 'handler|event key'. Of a request, what is
    known of it comes first (for a program: `requests --json`). Bodies, free text and e-mail addresses are shown
    with --body only.
    """
    with connected() as redis:
        request, now = tracked_listing.entry(redis, key), inbox_clock.now(redis)
        names = search.resolve(redis, key) if request is not None else look_up(redis, key)
        found = list(lookup.records(redis, [split(name)[1] if "|" in name else name for name in names]))
    if json_wanted:
        print_json([event_fields(event, body=body) for event in found])
        return
    if request is not None:
        print_entry(request, now)
    for number, event in enumerate(found):
        echo() if number or request is not None else None
        print_event(event, body=body)


@click.command()
@filtered("handler", "event", "loop", "request", "since", "until")
@limited
@as_json
def failed(limit: int, json_wanted: bool, **filters: Any) -> None:
    """List dead letters (effects that gave up), latest first. --since and --until select by the time of failure."""
    with connected() as redis:
        page = search.failures(redis, Filter(**filters), most=limit)
    if not page.failures:
        raise NothingFound("No effect that failed answers to this.")
    if json_wanted:
        print_json([failure_fields(failure) for failure in page.failures])
    else:
        print_table(("FAILED", "HANDLER", "ATTEMPTS", "REASON", "EVENT KEY"), map(failure_row, page.failures))
    _say_if_more(page.cursor, limit)


def _say_if_more(cursor: str | None, limit: int) -> None:
    if cursor is not None:
        echo(f"There are more than {limit}: narrow it down, or give a greater --limit.", err=True)
