"""What HITL.sh sent, for a terminal: a table of a few columns, or the JSON as it came."""

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import click

from hitlsh.api.resource import Resource

_WIDEST = 60


def show(
    found: Resource | Sequence[Resource],
    heads: Sequence[str],
    rows: Sequence[Sequence[Any]],
    json_wanted: bool,
) -> None:
    """Print the rows below their heads, or everything as JSON."""
    if json_wanted:
        raw = found.raw if isinstance(found, Resource) else [one.raw for one in found]
        click.echo(json.dumps(raw, ensure_ascii=False, indent=2))
        return
    table = [list(heads), *([cell(value) for value in row] for row in rows)]
    widths = [max(len(row[column]) for row in table) for column in range(len(heads))]
    for row in table:
        click.echo("  ".join(entry.ljust(width) for entry, width in zip(row, widths, strict=True)).rstrip())


def cell(value: Any) -> str:
    """One field of a table."""
    if value is None:
        return "-"
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%d %H:%M:%SZ") if value.utcoffset() is not None else str(value)
    words = printable(str(value))
    return words if len(words) <= _WIDEST else f"{words[: _WIDEST - 1]}…"


def printable(words: str) -> str:
    """One line without control characters: what others wrote must not steer a terminal."""
    return "".join(character if character.isprintable() else " " for character in words)
