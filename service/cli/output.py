"""Prints for all commands: lines, tables, fields and JSON.

The linter refuses `click.echo` elsewhere, because this module escapes text that comes from outside.
"""

import json
import textwrap
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import click

from service.escaping import escape, escape_json, one_line

#: The first word of a warning.
WARNING = "WARNING"
_GAP = "  "
#: Columns of a count in a field.
_COUNT_WIDTH = 8
#: Columns of a whole field, with its note; a longer note goes on below.
_FIELD_WIDTH = 120
_LONGEST_CUT = 60


@dataclass(frozen=True, slots=True)
class Field:
    """A labelled line: a count, a note, or both."""

    label: str
    count: int | None = None
    note: str = ""


def echo(text: str = "", *, prefix: str = "", bold: bool = False, err: bool = False) -> None:
    """Print one line of text that may come from outside. `prefix`: text of our own, styled or not."""
    escaped = escape(text)
    click.echo(prefix + (click.style(escaped, bold=True) if bold else escaped), err=err)


def echo_lines(text: str, *, err: bool = False) -> None:
    """Print text of our own that has several lines."""
    for line in text.split("\n"):
        echo(line, err=err)


def warn(text: str) -> None:
    """Print a warning on standard error."""
    echo(text, prefix=f"{click.style(WARNING, fg='yellow', bold=True)}  ", err=True)


def print_json(value: Any) -> None:
    click.echo(escape_json(json.dumps(value, ensure_ascii=False, indent=2)))


def print_table(
    heads: Sequence[str], rows: Iterable[Sequence[Any]], *, right: Collection[str] = (), indent: str = ""
) -> None:
    """Print columns as wide as their widest cell. `right`: the heads of columns that are aligned to the right."""
    table = [[escape(cell(value)) for value in row] for row in (heads, *rows)]
    widths = [max(len(row[column]) for row in table) for column in range(len(heads))]
    for row in table:
        aligned = [
            entry.rjust(width) if head in right else entry.ljust(width)
            for head, entry, width in zip(heads, row, widths, strict=True)
        ]
        click.echo((indent + _GAP.join(aligned)).rstrip())


def print_fields(*groups: Iterable[Field]) -> None:
    """Print labels, counts and notes in three columns, with an empty line between groups."""
    listed = [list(group) for group in groups]
    width = max(len(field.label) for group in listed for field in group)
    for number, group in enumerate(listed):
        if number:
            click.echo()
        for field in group:
            _print_field(field, width)


def cell(value: Any) -> str:
    """The text of a value in a table."""
    if value is None:
        return "-"
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%d %H:%M:%SZ") if value.utcoffset() is not None else str(value)
    return one_line(str(value))


def cut(value: Any) -> str:
    """The same for long text, of which only the beginning is printed."""
    text = cell(value)
    return text if len(text) <= _LONGEST_CUT else f"{text[: _LONGEST_CUT - 1]}…"


def escape_message(error: click.ClickException) -> click.ClickException:
    """Escape what click prints by itself."""
    error.message = escape(error.message, keep="\n")  # type: ignore[misc] # final for subclasses, not in itself
    return error


def _print_field(field: Field, width: int) -> None:
    count = "" if field.count is None else f"{field.count:,}"
    begin = f"{field.label:<{width}}{_GAP}{count:>{_COUNT_WIDTH}}{_GAP}"
    if not field.note:
        echo(begin.rstrip())
        return
    below = " " * len(begin)
    for line in textwrap.wrap(field.note, _FIELD_WIDTH, initial_indent=begin, subsequent_indent=below):
        echo(line)
