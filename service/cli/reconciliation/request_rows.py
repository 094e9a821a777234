"""Tracked requests as table rows and JSON fields."""

from typing import Any

import msgspec

from service.cli.durations import since, until
from service.cli.output import cell, echo
from workers.inbox.tracker.tracked_listing import TrackedEntry
from workers.telemetry.escaping import one_line

HEADS = ("REQUEST", "LEARNED", "CREATED", "TIMES OUT", "CHECKED", "NEXT CHECK", "STATE")


def request_row(entry: TrackedEntry, now: float) -> tuple[Any, ...]:
    """A row below `HEADS`; `now`: by the inbox clock."""
    return (
        entry.request_id,
        entry.learned,
        entry.created_at,
        entry.timeout_at,
        _checked(entry, now),
        _next_check(entry, now),
        _state(entry),
    )


def request_fields(entry: TrackedEntry) -> dict[str, Any]:
    fields: dict[str, Any] = msgspec.to_builtins(entry)
    return fields


def print_request(entry: TrackedEntry, now: float) -> None:
    """Print what is tracked of one request; its events follow."""
    echo(f"request {one_line(entry.request_id)}", bold=True)
    rows = {
        "state": _state(entry),
        "learned": cell(entry.learned),
        "created": cell(entry.created_at),
        "times out": cell(entry.timeout_at),
        "checked": _checked(entry, now),
        "next check": _next_check(entry, now),
    }
    for label, text in rows.items():
        if text != "-":
            echo(f"  {label:<10} {text}")


def _state(entry: TrackedEntry) -> str:
    """The state, with everything that makes it doubtful."""
    parts = [entry.state or "unknown"]
    if entry.unconfirmed:
        parts.append("unconfirmed")
    if entry.state == "open":
        parts += ["refused delivery"] * entry.refused + ["missing at the last check"] * entry.missing
    if entry.overruled is not None:
        parts.append(f"overruled: {entry.overruled.event} ({entry.overruled.by})")
    return one_line(", ".join(parts))


def _checked(entry: TrackedEntry, now: float) -> str:
    return "-" if entry.checked_at is None else since(entry.checked_at.timestamp(), now)


def _next_check(entry: TrackedEntry, now: float) -> str:
    return until(None if entry.next_check is None else entry.next_check.timestamp(), now)
