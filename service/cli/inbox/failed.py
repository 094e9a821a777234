"""`hitl-receiver failed`: the dead letters."""

from typing import Any

import click

from service.cli.connection import connect
from service.cli.inbox.event_fields import effect_fields, event_fields
from service.cli.inbox.filter_values import check_values
from service.cli.inbox.selection import filter_options, report_truncation
from service.cli.options import json_option, limit_option
from service.cli.output import cut, echo, print_json, print_table
from workers.inbox.queries import search
from workers.inbox.queries.search import Failure, Filter
from workers.telemetry.error_text import error_summary


@click.command()
@filter_options("handler", "event", "loop", "request", "since", "until")
@limit_option
@json_option
def failed(limit: int, json_wanted: bool, **filters: Any) -> None:
    """List dead letters (effects that gave up), latest first.

    --since and --until select by the time of failure. Reads REDIS_URL, or the `dev` stack in this folder.
    """
    conditions = Filter(**filters)
    with connect() as redis:
        page = search.failures(redis, conditions, limit=limit)
        if not page.failures:
            check_values(redis, conditions)
    if json_wanted:
        print_json([_fields(failure) for failure in page.failures])
    elif page.failures:
        print_table(("FAILED", "HANDLER", "ATTEMPTS", "REASON", "EVENT KEY"), map(_row, page.failures))
    else:
        echo("No matching dead letters.", err=True)
    report_truncation(page.cursor is not None, limit)


def _row(failure: Failure) -> tuple[Any, ...]:
    effect = failure.effect
    handler = effect.handler or "(routing)"
    return (
        failure.failed_at,
        handler,
        effect.attempts,
        cut(error_summary(effect.error or "") or None),
        failure.event.key,
    )


def _fields(failure: Failure) -> dict[str, Any]:
    """One dead letter as JSON; `key` is what `retry` and `discard` take."""
    return {
        "key": failure.member,
        "failed_at": failure.failed_at.isoformat(),
        **effect_fields(failure.effect),
        "event": event_fields(failure.event),
    }
