"""What HITL.sh sent, for a terminal: a table of a few columns, or the JSON as it came."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from hitlsh.api.resource import Resource
from service.cli.output import print_json, print_table
from service.escaping import one_line

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
    """One field of a table."""
    if value is None:
        return "-"
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%d %H:%M:%SZ") if value.utcoffset() is not None else str(value)
    words = one_line(str(value))
    return words if len(words) <= _WIDEST else f"{words[: _WIDEST - 1]}…"
