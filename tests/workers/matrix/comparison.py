"""Compares two decisions, except for their `missing` fields, and prints the table for the documents."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tests.workers.matrix.cells import ORIGINS, Cell, Channel
from tests.workers.matrix.deciding import Given
from workers import Decision

PAGE = Path(__file__).parents[3] / "docs" / "handlers.md"
BEGIN, END = "<!-- matrix: begin -->", "<!-- matrix: end -->"
_NAMES: dict[Channel, str] = {"callback URL": "callback URL", "account webhook": "account webhook", "poll": "API list"}

#: All that a handler may decide by, but how we came to know it (trust, variant) and when; with the name in
#: `Decision.missing` that excuses a difference.
FIELDS: dict[str, str] = {
    "event": "",
    "event_key": "",
    "request_id": "",
    "status": "",
    "outcome": "",
    "source": "",
    "response": "response",
    "labels": "response",
    "response_type": "response_type",
    "default_response": "default_response",
    "loop_id": "loop_id",
    "loop_name": "loop_name",
    "state": "state",
    "metadata": "context",
    "was_edited": "was_edited",
    "refund_info": "refund_info",
    "question": "question",
    "unexpected": "",
    "late": "",
    "conflict": "",
    "overrules": "",
    "reviewer.id": "reviewer.id",
    "reviewer.name": "reviewer.name",
    "reviewer.email": "reviewer.email",
}


def value(decision: Decision, field: str) -> Any:
    if field == "event_key":
        # A second spelling of an option, which came before the question was known, is kept under a key of its own.
        return decision.event_key.partition("#")[0]
    owner, _, name = field.rpartition(".")
    read = getattr(getattr(decision, owner) if owner else decision, name, None)
    if field == "question":
        return (read.text, read.options, read.context) if read is not None else None
    return read


def differences(one: Decision, other: Decision) -> list[str]:
    """Fields in which two decisions of one request differ, and that neither lists as missing."""
    excused = {*one.missing, *other.missing}
    # Of an answer whose question is not known, the labels are those of the delivery.
    excused |= {"labels"} if "question" in excused else set()
    return [
        field
        for field, name in FIELDS.items()
        if value(one, field) != value(other, field) and name not in excused and field not in excused
    ]


def matrix_table(given: Given) -> str:
    """What a route misses, by how the request was asked and by which delivery came first; over all outcomes."""
    rows = [
        f"| {origin} | {_NAMES[first]} | {_missing(given, origin, first, 'audit')} | "
        f"{_missing(given, origin, first, 'full')} |"
        for origin in ORIGINS
        for first in _NAMES
        if any(_is_of(cell, origin, first) for cell in given)
    ]
    heads = ["asked", "delivered first", "a route that needs nothing may miss", "a route that needs all may miss"]
    return "\n".join([f"| {' | '.join(heads)} |", "|---|---|---|---|", *rows])


def _is_of(cell: Cell, origin: str, first: Channel) -> bool:
    return cell.origin == origin and cell.order[0] == first


def _missing(given: Given, origin: str, first: Channel, route: str) -> str:
    decisions = [routes[route][0] for cell, routes in given.items() if _is_of(cell, origin, first)]
    return _listed({name for decision in decisions for name in decision.missing})


def _listed(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in sorted(names)) or "nothing"
