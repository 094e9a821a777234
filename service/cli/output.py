"""Prints for all commands. The linter refuses `click.echo` elsewhere: what is printed here is escaped."""

import json
from collections.abc import Iterable, Sequence
from typing import Any

import click

from service.escaping import escape, escape_json


def echo(text: str = "", *, prefix: str = "", bold: bool = False, err: bool = False) -> None:
    """Print one line of text that may come from outside. `prefix`: words of our own, styled or not."""
    words = escape(text)
    click.echo(prefix + (click.style(words, bold=True) if bold else words), err=err)


def echo_lines(text: str, *, err: bool = False) -> None:
    """Print text of our own that has several lines."""
    for line in text.split("\n"):
        echo(line, err=err)


def print_json(value: Any) -> None:
    click.echo(escape_json(json.dumps(value, ensure_ascii=False, indent=2)))


def print_table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print columns as wide as they must be; the last may be long."""
    table = [[escape(entry) for entry in row] for row in (heads, *rows)]
    widths = [max(len(row[column]) for row in table) for column in range(len(heads))]
    for row in table:
        click.echo("  ".join(entry.ljust(width) for entry, width in zip(row, widths, strict=True)).rstrip())


def escape_message(error: click.ClickException) -> click.ClickException:
    """Escape what click prints by itself."""
    error.message = escape(error.message, keep="\n")  # type: ignore[misc] # final for subclasses, not in itself
    return error
