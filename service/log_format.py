"""The format of log lines: structlog renders what comes through it and through `logging` the same way.

A message of ours is ``event.name key=%s key=%d: a sentence``. Its fields are read from the template, never from the
text, so that no value can forge a field of a JSON line.
"""

import json
import logging
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Literal, NamedTuple, TypeAlias, cast

import msgspec
import structlog
from structlog.typing import EventDict, WrappedLogger

from workers.telemetry import log_fields
from workers.telemetry.escaping import escape, escape_json

LogStyle: TypeAlias = Literal["console", "json"]

#: Before each further line of a record, so that no line of a traceback looks like a record.
_INDENT = "\n    "
#: Names that a JSON line has for itself. In a message, `event` is an event's key.
_RENAMED = {
    "event": "event_key",
    **{name: f"{name}_" for name in ("timestamp", "level", "logger", "detail", "exception", "stack")},
}

_EVENT = re.compile(r"%s|[a-z_]+\.[a-z_]+")
_FIELD = re.compile(r" ([a-z_][a-z_-]*)=([^\s:]+)")
_CONVERSION = re.compile(r"%[-#0 +]*\d*(?:\.\d+)?[hlL]?([a-zA-Z%])")
_NUMBERS = frozenset("dfgieEFG")

_encode = msgspec.json.Encoder().encode


class _Part(NamedTuple):
    """A name and the template of its value, with how many arguments it takes."""

    name: str
    text: str
    argument_count: int
    is_number: bool


@lru_cache(maxsize=1_024)
def _parts(template: str) -> tuple[_Part, ...]:
    """The event's name (as `event`), the fields and the sentence (`detail`) of a template; else nothing."""
    event = _EVENT.match(template)
    if event is None:
        return ()
    parts, position = [_part("event", event[0])], event.end()
    while field := _FIELD.match(template, position):
        parts.append(_part(_RENAMED.get(field[1], field[1]), field[2]))
        position = field.end()
    sentence = template[position:]
    if sentence and not sentence.startswith(": "):
        return ()
    return (*parts, _part("detail", sentence[2:])) if sentence else tuple(parts)


def _part(name: str, text: str) -> _Part:
    conversions = [match[1] for match in _CONVERSION.finditer(text)]
    count = sum(conversion != "%" for conversion in conversions)
    return _Part(name, text, count, _CONVERSION.fullmatch(text) is not None and conversions[0] in _NUMBERS)


def _values(template: str, arguments: tuple[Any, ...]) -> Iterator[tuple[str, str | float]]:
    position = 0
    for name, text, argument_count, is_number in _parts(template):
        value = text % arguments[position : position + argument_count]
        position += argument_count
        yield name, _number(value) if is_number else value


def _number(text: str) -> str | float:
    """A number as JSON has it; other texts (`nan`) stay."""
    try:
        return cast("float", msgspec.json.decode(text))
    except msgspec.DecodeError:
        return text


def split_message(_logger: WrappedLogger, _method: str, fields: EventDict) -> EventDict:
    """A structlog processor: takes the message of a `logging` record apart."""
    arguments = fields.pop("positional_args", None) or ()
    record = cast("logging.LogRecord", fields["_record"])
    if record.exc_text and not record.exc_info:
        fields["exception"] = record.exc_text
    template: object = record.msg
    if not isinstance(template, str) or not isinstance(arguments, tuple):
        return fields
    if sum(part.argument_count for part in _parts(template)) != len(arguments):
        return fields
    try:
        values = dict(_values(template, arguments))
    except (TypeError, ValueError):
        return fields
    if values and _EVENT.fullmatch(str(values["event"])):
        fields.update(values)
    return fields


def add_bound(_logger: WrappedLogger, _method: str, fields: EventDict) -> EventDict:
    """A structlog processor: adds the handler, event, request and attempt that the line belongs to."""
    for name, value in log_fields.bound().items():
        fields.setdefault(name, value)
    return fields


class LogFormatter(structlog.stdlib.ProcessorFormatter):
    """Writes a record as one line, with its traceback indented below it, or as one JSON object.

    Text from outside is escaped: no character of it controls a terminal or begins a line.
    """

    def __init__(self, style: LogStyle = "console") -> None:
        self.style_name: LogStyle = style
        render = _render_json if style == "json" else _render_console
        super().__init__(
            pass_foreign_args=True,
            foreign_pre_chain=[split_message],
            processors=[
                structlog.contextvars.merge_contextvars,
                add_bound,
                structlog.processors.format_exc_info,
                render,
            ],
        )
        self._begin_row, self._end_row = (_json_start, _json_row) if style == "json" else (_console_start, _console_row)

    def format(self, record: logging.LogRecord) -> str:
        rows = getattr(record, log_fields.ROWS, None)
        if rows is None:
            return super().format(record)
        assert isinstance(record.args, tuple)
        start = self._begin_row(record, str(record.args[0]))
        return "\n".join([self._end_row(start, row) for row in rows])


def _render_console(_logger: WrappedLogger, _method: str, fields: EventDict) -> str:
    record = _record(fields)
    exception, stack = fields.pop("exception", None), fields.pop("stack_info", None)
    detail = fields.pop("detail", None)
    line = _console_row(_console_start(record, str(fields.pop("event"))), fields, escaped=False)
    lines = [line if detail is None else f"{line}: {detail}"]
    for block in (exception, stack):
        lines += str(block).split("\n") if block else ()
    return _INDENT.join(map(escape, lines))


def _console_start(record: logging.LogRecord, event: str) -> str:
    moment = datetime.fromtimestamp(record.created)  # noqa: DTZ006 - as `logging` writes it, in local time
    return f"{moment:%Y-%m-%d %H:%M:%S},{int(record.msecs):03d} {record.levelname} {record.name} {event}"


def _console_row(start: str, fields: Mapping[str, object], *, escaped: bool = True) -> str:
    line = start + "".join([f" {'event' if name == 'event_key' else name}={value}" for name, value in fields.items()])
    return escape(line) if escaped else line


def _render_json(_logger: WrappedLogger, _method: str, fields: EventDict) -> str:
    record = _record(fields)
    if stack := fields.pop("stack_info", None):
        fields["stack"] = stack
    return _json_row(_json_start(record, str(fields.pop("event"))), fields)


def _json_start(record: logging.LogRecord, event: str) -> str:
    moment = datetime.fromtimestamp(record.created, UTC)
    head = {
        "timestamp": f"{moment:%Y-%m-%dT%H:%M:%S}.{int(record.msecs):03d}Z",
        "level": record.levelname.lower(),
        "logger": record.name,
        "event": event,
    }
    return _json(head)[:-1]


def _json_row(start: str, fields: Mapping[str, object]) -> str:
    return f"{start},{_json(fields)[1:]}" if fields else start + "}"


def _json(fields: Mapping[str, object]) -> str:
    try:
        return escape_json(_encode(fields).decode())
    except (TypeError, ValueError, RecursionError):  # not JSON, or a lone surrogate
        return json.dumps({str(name): str(value) for name, value in fields.items()})


def _record(fields: EventDict) -> logging.LogRecord:
    del fields["_from_structlog"]
    return cast("logging.LogRecord", fields.pop("_record"))
