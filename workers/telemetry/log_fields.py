"""Fields of log lines beside those of their message: what they belong to, and many lines in one record."""

import logging
from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar
from typing import TypeAlias

Fields: TypeAlias = Mapping[str, str | int | float]

#: The attribute of a record that holds `Fields` for each of its lines.
ROWS = "hitl_rows"

_bound: ContextVar[Callable[[], Fields]] = ContextVar("hitl_log_fields", default=dict)


def bind(fields: Callable[[], Fields]) -> None:
    """Add these fields to every line that is logged from here on, in this task or thread.

    `fields` is called for each line that is written.
    """
    _bound.set(fields)


def bound() -> Fields:
    """The fields that apply here."""
    return _bound.get()()


def log_each(logger: logging.Logger, level: int, event: str, rows: Sequence[Fields]) -> None:
    """Log one line of the same event for each row, at the cost of little more than one record.

    On the way of every decision, a record for each would cost more than all else that is logged. A formatter that does
    not know of rows writes how many there are.
    """
    if rows:
        logger.log(level, "%s count=%d", event, len(rows), extra={ROWS: rows})
