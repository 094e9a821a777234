"""Requests of the request tracker for a terminal or a program."""

from typing import Any

import msgspec

from service.cli.api.tables import cell
from service.cli.durations import since, until
from service.cli.output import echo
from service.escaping import one_line
from workers.inbox.tracker.tracked_listing import Entry

HEADS = ("REQUEST", "LEARNED", "CREATED", "TIMES OUT", "CHECKED", "NEXT LOOK", "STATE")


def entry_row(entry: Entry, now: float) -> tuple[str, ...]:
    """A row below `HEADS`; `now`: by the inbox clock."""
    return (
        cell(entry.request_id),
        cell(entry.learned),
        cell(entry.created_at),
        cell(entry.timeout_at),
        _checked(entry, now),
        _next_check(entry, now),
        state_words(entry),
    )


def entry_fields(entry: Entry) -> dict[str, Any]:
    fields: dict[str, Any] = msgspec.to_builtins(entry)
    return fields


def print_entry(entry: Entry, now: float) -> None:
    """What is known of one request; its events follow."""
    echo(f"request {one_line(entry.request_id)}", bold=True)
    rows = {
        "state": state_words(entry),
        "learned": cell(entry.learned),
        "created": cell(entry.created_at),
        "times out": cell(entry.timeout_at),
        "checked": _checked(entry, now),
        "next look": _next_check(entry, now),
    }
    for label, text in rows.items():
        if text != "-":
            echo(f"  {label:<10} {text}")


def state_words(entry: Entry) -> str:
    """The state, and what is to be said of it."""
    words = [entry.state or "unknown"]
    if entry.unconfirmed:
        words.append("unconfirmed")
    if entry.state == "open":
        words += ["refused delivery"] * entry.refused + ["missing at the last look"] * entry.missing
    if entry.overruled is not None:
        words.append(f"overruled: {entry.overruled.event} ({entry.overruled.by})")
    return one_line(", ".join(words))


def _checked(entry: Entry, now: float) -> str:
    return "-" if entry.checked_at is None else since(entry.checked_at.timestamp(), now)


def _next_check(entry: Entry, now: float) -> str:
    return until(None if entry.next_check is None else entry.next_check.timestamp(), now)
