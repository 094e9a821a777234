"""Prints for all commands: lines, tables, fields and JSON.

The linter refuses `click.echo` elsewhere, because this module escapes text that comes from outside.
"""

import json
import math
import os
import shutil
import sys
import textwrap
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime
from itertools import zip_longest
from typing import Any

import click

from workers.telemetry.escaping import escape, escape_json, one_line

#: The first word of a warning.
WARNING = "WARNING"
_GAP = "  "
#: Columns of a count in a field.
_COUNT_WIDTH = 8
#: Columns of a whole field, with its note; a longer note goes on below.
_FIELD_WIDTH = 120
#: The least width of a note, in columns.
_LEAST_NOTE = 15
_LONGEST_CUT = 60
#: Seconds after which work shows its progress.
PROGRESS_AFTER = 0.5


@dataclass(frozen=True, slots=True)
class Field:
    """A labelled line: a count, a note, or both."""

    label: str
    count: int | None = None
    note: str = ""


def echo(text: str = "", *, prefix: str = "", bold: bool = False, err: bool = False) -> None:
    """Print one line of text that may come from outside. `prefix`: text of our own, styled or not."""
    escaped = escape(text)
    click.echo(prefix + (click.style(escaped, bold=True) if bold else escaped), err=err, color=_color())


def echo_lines(text: str, *, err: bool = False) -> None:
    """Print text of our own that has several lines."""
    for line in text.split("\n"):
        echo(line, err=err)


def warn(text: str) -> None:
    """Print a warning on standard error."""
    echo(text, prefix=f"{click.style(WARNING, fg='yellow', bold=True)}  ", err=True)


def print_json(value: Any) -> None:
    click.echo(escape_json(json.dumps(value, ensure_ascii=False, indent=2, default=_json_time)))


def print_json_line(value: Any) -> None:
    """Print a value as one line of JSON Lines."""
    sys.stdout.write(f"{escape_json(json.dumps(value, ensure_ascii=False))}\n")  # click.echo would flush each line


@contextmanager
def progress_bar(length: int | None, label: str, *, prints: bool = False) -> Iterator[Callable[[int], None]]:
    """Show progress on standard error during a block that takes long, if it is a terminal.

    Yields a function that takes how many more records are done. `length`: how many there are, where that is known.
    `prints`: standard output is written meanwhile, so it must be no terminal.
    """
    is_hidden = not sys.stderr.isatty() or (prints and sys.stdout.isatty())
    shown_at = math.inf if is_hidden else time.monotonic() + PROGRESS_AFTER
    early = 0
    bar: Any = None
    unknown = (number for number in range(0)) if length is None else None  # a generator has no length
    with ExitStack() as shown:

        def advance(count: int) -> None:
            nonlocal early, bar
            if bar is None and time.monotonic() >= shown_at:
                bar = shown.enter_context(
                    click.progressbar(
                        unknown, length=length, label=label, file=sys.stderr, show_pos=True, color=_color()
                    )
                )
                bar.update(early)
            if bar is None:
                early += count
            else:
                bar.update(count)

        yield advance


def print_table(
    heads: Sequence[str], rows: Iterable[Sequence[Any]], *, right: Collection[str] = (), indent: str = ""
) -> None:
    """Print columns as wide as their widest cell. `right`: the heads of columns that are aligned to the right.

    On a terminal that is too narrow, text goes on below, as far as words allow.
    """
    table = [[escape(cell(value)) for value in row] for row in (heads, *rows)]
    widths = _widths(table, len(indent))
    for row in table:
        wrapped = [_wrapped(entry, width) for entry, width in zip(row, widths, strict=True)]
        for line in zip_longest(*wrapped, fillvalue=""):
            aligned = [
                entry.rjust(width) if head in right else entry.ljust(width)
                for head, entry, width in zip(heads, line, widths, strict=True)
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


def _wrapped(text: str, width: int) -> list[str]:
    return [text] if len(text) <= width else textwrap.wrap(text, width, break_on_hyphens=False)


def _widths(table: Sequence[Sequence[str]], indent: int) -> list[int]:
    """The width of each column: that of its widest cell, or less if the terminal is too narrow."""
    columns = list(zip(*table, strict=True))
    widths = [max(map(len, column)) for column in columns]
    terminal = _columns()
    if terminal is None:
        return widths
    excess = indent + sum(widths) + len(_GAP) * (len(widths) - 1) - terminal
    shortest = [max(len(word) for entry in column for word in entry.split() or [""]) for column in columns]
    for number in sorted(range(len(widths)), key=widths.__getitem__, reverse=True):
        cut_off = max(0, min(excess, widths[number] - shortest[number]))
        widths[number] -= cut_off
        excess -= cut_off
    return widths


def _columns() -> int | None:
    """The width of the terminal; None if standard output is not a terminal."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def _json_time(value: Any) -> str:
    if not isinstance(value, datetime):
        raise TypeError(f"no JSON for {type(value).__name__}")
    return value.isoformat()


def _color() -> bool | None:
    """False if the user disables colors (https://no-color.org); else None: they depend on the terminal."""
    return False if os.environ.get("NO_COLOR") else None


def _print_field(field: Field, width: int) -> None:
    count = "" if field.count is None else f"{field.count:,}"
    begin = f"{field.label:<{width}}{_GAP}{count:>{_COUNT_WIDTH}}{_GAP}"
    if not field.note:
        echo(begin.rstrip())
        return
    below = " " * len(begin)
    longest = max(len(begin) + _LEAST_NOTE, min(_FIELD_WIDTH, _columns() or _FIELD_WIDTH))
    for line in textwrap.wrap(field.note, longest, initial_indent=begin, subsequent_indent=below):
        echo(line)
