"""Prints what HITL.sh sent: a table of a few columns, or the JSON as it came."""

import json
from collections.abc import Sequence
from typing import Any

import click

from hitlsh.api.models.requests import RequestSummary
from hitlsh.api.resource import Resource
from service.cli.output import cut, print_json, print_table

raw_json_option = click.option("--json", "json_wanted", is_flag=True, help="Output the JSON that HITL.sh sent.")


def print_resource(
    resource: Resource | Sequence[Resource],
    heads: Sequence[str],
    rows: Sequence[Sequence[Any]],
    json_wanted: bool,
) -> None:
    """Print the rows below their heads, or the resources as JSON."""
    if json_wanted:
        print_json(resource.raw if isinstance(resource, Resource) else [each.raw for each in resource])
        return
    print_table(heads, rows)


def print_requests(
    resource: RequestSummary | Sequence[RequestSummary], requests: Sequence[RequestSummary], json_wanted: bool
) -> None:
    """Print a row for each request, or the resource as JSON."""
    heads = ("ID", "STATUS", "ANSWER", "BY", "CREATED", "TEXT")
    print_resource(resource, heads, [_request_row(request) for request in requests], json_wanted)


def _request_row(request: RequestSummary) -> tuple[Any, ...]:
    reviewer = request.reviewer
    by = None if reviewer is None else reviewer.name or reviewer.email or reviewer.id
    answer = None if request.answer is None else json.dumps(request.answer.value, ensure_ascii=False)
    return request.id, request.status, cut(answer), cut(by), request.created_at, cut(request.request_text)
