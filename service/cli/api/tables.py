"""Replies of HITL.sh for a terminal: a table of a few columns, or the JSON as it came."""

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import click

from hitlsh.api.models.requests import Request, RequestSummary
from hitlsh.api.resource import Resource
from service.cli.output import print_json, print_table
from service.escaping import one_line

as_json = click.option("--json", "json_wanted", is_flag=True, help="Print what HITL.sh sent, as JSON.")

REQUEST_HEADS = ("ID", "STATUS", "ANSWER", "BY", "CREATED", "TEXT")

_WIDEST = 60


def show(
    found: Resource | Sequence[Resource],
    heads: Sequence[str],
    rows: Sequence[Sequence[Any]],
    json_wanted: bool,
) -> None:
    """Print the rows below their heads, or everything as JSON."""
    if json_wanted:
        print_json(found.raw if isinstance(found, Resource) else [one.raw for one in found])
        return
    print_table(heads, [[cell(value) for value in row] for row in rows])


def cell(value: Any) -> str:
    """One field of a table. A long text is cut; an address never is, since half of one cannot be opened."""
    if value is None:
        return "-"
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%d %H:%M:%SZ") if value.utcoffset() is not None else str(value)
    words = one_line(str(value))
    is_address = words.startswith(("https://", "http://"))
    return words if is_address or len(words) <= _WIDEST else f"{words[: _WIDEST - 1]}…"


def show_request(request: Request, json_wanted: bool) -> None:
    """Print one request."""
    show(request, REQUEST_HEADS, [request_row(request)], json_wanted)


def request_row(request: RequestSummary) -> tuple[Any, ...]:
    """The fields of a request under `REQUEST_HEADS`."""
    reviewer = request.reviewer
    by = None if reviewer is None else reviewer.name or reviewer.email or reviewer.id
    answer = None if request.answer is None else json.dumps(request.answer.value, ensure_ascii=False)
    return request.id, request.status, answer, by, request.created_at, request.request_text
