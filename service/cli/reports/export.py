"""`hitl-receiver export`: decisions and their effects, for other programs."""

from typing import Any, Literal

import click

from service.cli.connection import connect
from service.cli.inbox.event_fields import full_event_fields, without_personal_data
from service.cli.inbox.filter_values import check_values
from service.cli.inbox.selection import filter_options
from service.cli.options import NameChoice
from service.cli.output import print_json_line
from service.cli.reports.csv_cells import CsvWriter
from service.cli.reports.decision_scan import DecidedEvent, scan_decisions
from workers.inbox.queries.search import Filter
from workers.telemetry.error_text import error_summary

_OPTION = "--personal-data"
#: The columns of CSV: those of the decision, then those of one effect.
COLUMNS = (
    "key", "event", "request_id", "loop_id", "loop_name", "outcome", "source", "response_type", "response",
    "reviewer_id", "reviewer_name", "reviewer_email", "trust", "state", "conflict", "overruled", "late", "deliveries",
    "occurred_at", "received_at", "accepted_at", "finished_at",
    "handler", "effect_state", "attempts", "errors", "started_at", "settled_at", "seconds", "error",
)  # fmt: skip


@click.command()
@click.option("--format", "format_name", default="jsonl", show_default=True, type=NameChoice(["jsonl", "csv"]),
              help="One JSON object a decision, or one row an effect.")  # fmt: skip
@filter_options("state", "event", "loop", "handler", "request", "since", "until")
@click.option(_OPTION, "personal_data", is_flag=True, help="Include free text, names and e-mail addresses.")
def export(format_name: Literal["jsonl", "csv"], personal_data: bool, **filters: Any) -> None:
    """Write decisions with their effects to standard output, oldest first.

    JSON objects have the fields of `events --json`. In CSV, a decision without effects has one row, and text that a
    spreadsheet would take for a formula begins with an apostrophe. Where two outcomes of a request differ, the
    one that is not the decision has conflict or overruled set. Reads REDIS_URL, or the `dev` stack in this folder.

    \b
    hitl-receiver export --since 30d > decisions.jsonl
    hitl-receiver export --format csv --handler pay_out > payments.csv
    """
    conditions = Filter(**filters)
    with connect() as redis:
        writer = CsvWriter(COLUMNS) if format_name == "csv" else None
        is_empty = True
        for decided in scan_decisions(redis, conditions, label="Export", prints=True):
            is_empty = False
            fields = _fields(decided, personal_data=personal_data)
            if writer is None:
                print_json_line(fields)
                continue
            for effect in fields["effects"] or [{}]:
                writer.write(_row(decided, fields, effect))
        if is_empty:
            check_values(redis, conditions)


def _fields(decided: DecidedEvent, *, personal_data: bool) -> dict[str, Any]:
    fields = full_event_fields(decided.event)
    if not personal_data:
        fields["content"] = without_personal_data(decided.event, fields["content"], option=_OPTION)
    return fields


def _row(decided: DecidedEvent, fields: dict[str, Any], effect: dict[str, Any]) -> list[Any]:
    content = fields["content"]
    reviewer = content.get("reviewer") or {}
    columns = {
        **effect,
        "effect_state": effect.get("state"),
        "error": error_summary(effect.get("error") or ""),
        **content,
        "event": content["name"],
        # An answer may be empty, false or 0: `source` distinguishes it from none.
        "response": content.get("response") if decided.content.source == "human" else None,
        **{f"reviewer_{name}": reviewer.get(name) for name in ("id", "name", "email")},
        **fields,
    }
    return [columns.get(name) for name in COLUMNS]
