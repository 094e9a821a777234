"""Lines for a terminal: what it is called, its figure, and a word about it, each in a column of its own."""

import textwrap
from collections.abc import Iterable
from typing import NamedTuple

from service.cli.output import echo

_NAME, _FIGURE = 14, 8
_GAP = "   "
#: Columns that a long word about it may take.
_WIDTH = 110


class Line(NamedTuple):
    """One of them; without a figure, the word stands alone."""

    name: str
    figure: int | None = None
    note: str = ""


def print_lines(lines: Iterable[Line]) -> None:
    for line in lines:
        figure = "" if line.figure is None else f"{line.figure:,}"
        begin = f"{line.name:<{_NAME}}{figure:>{_FIGURE}}{_GAP}"
        for text in _folded(begin, line.note):
            echo(text.rstrip())


def _folded(begin: str, note: str) -> list[str]:
    """Words that are too many go on below, in their own column."""
    behind = " " * len(begin)
    return textwrap.wrap(note, _WIDTH, initial_indent=begin, subsequent_indent=behind) or [begin]
