"""Fills a text with fields of a decision, for people to read."""

import string
from typing import Any

import msgspec

from workers.errors import RouteInvalid
from workers.sinks.message import Message
from workers.telemetry.name_suggestions import closest_or_all

#: Characters of one value; Slack cuts a message off at 40,000.
_LONGEST_VALUE = 2_000
#: Shown for a value that is None.
NOTHING = "none"


class Template:
    """A text such as ``"{reviewer} chose {response} for {state.invoice}"`` with keys of a `Message` and nested keys.

    Fields are looked up in the JSON, never as attributes, and values are never parsed as templates.
    """

    def __init__(self, text: Any) -> None:
        """Raises `RouteInvalid` for an empty text or an unknown field."""
        if not isinstance(text, str) or not text.strip():
            raise RouteInvalid("Slack(text=...): give the text to post, such as '{reviewer}: {response}'")
        try:
            self._pieces = tuple(_piece(*parsed) for parsed in string.Formatter().parse(text))
        except ValueError as error:
            raise RouteInvalid(f"Slack(text={text!r}): {error}; write {{{{ and }}}} for braces") from None

    def fill(self, message: Message) -> str:
        """The text with all fields replaced; values are escaped, the text itself is not."""
        document = msgspec.to_builtins(message)
        return "".join(literal + _value(document, path) for literal, path in self._pieces)


def _piece(literal: str, field: str | None, form: str | None, conversion: str | None) -> tuple[str, tuple[str, ...]]:
    if field is None:
        return literal, ()
    path = tuple(field.split("."))
    fields = Message.__struct_fields__
    if path[0] not in fields:
        raise RouteInvalid(f"Slack(text=...): {{{field}}} is no field: {closest_or_all(path[0], fields)}")
    if form or conversion or not all(path):
        raise RouteInvalid(f"Slack(text=...): {{{field}}} stands alone, as in {{state.invoice}}: no format, no index")
    return literal, path


def _value(document: dict[str, Any], path: tuple[str, ...]) -> str:
    if not path:
        return ""
    value: Any = document
    for key in path:
        value = value.get(key) if isinstance(value, dict) else None
    if len(path) == 1 and path[0] in _NAMED_OBJECTS:
        value = _display_name(value)
    return _escaped(_text(value))


#: Objects that are shown by one of their keys: the first of name, e-mail and id that is set.
_NAMED_OBJECTS = ("loop", "reviewer")


def _display_name(value: Any) -> Any:
    if value is None:
        return None
    return next((value[key] for key in ("name", "email", "id") if value.get(key) is not None), None)


def _text(value: Any) -> str:
    if value is None:
        return NOTHING
    if isinstance(value, str) and value.strip():
        return value
    if isinstance(value, list | tuple) and value:
        return ", ".join(map(_text, value))
    # An empty answer is an answer, and Slack refuses a message without text.
    return msgspec.json.encode(value).decode()


def _escaped(text: str) -> str:
    """https://docs.slack.dev/messaging/formatting-message-text#escaping"""
    cut = text if len(text) <= _LONGEST_VALUE else f"{text[:_LONGEST_VALUE]}…"
    return cut.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
