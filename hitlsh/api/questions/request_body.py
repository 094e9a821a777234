"""The body of a create, checked against the documented limits (https://docs.hitl.sh, "Create request")."""

import warnings
from collections.abc import Mapping
from typing import Any, Literal

from msgspec import UNSET

from hitlsh.api.errors import ArgumentInvalid
from hitlsh.api.operations import encode_body, without_none
from hitlsh.api.questions.builders import Question
from hitlsh.api.questions.content import Content
from hitlsh.api.questions.limits import check_integer, check_one_of, check_url

Priority = Literal["low", "medium", "high", "critical"]
ProcessingType = Literal["time-sensitive", "deferred"]

PRIORITIES = ("low", "medium", "high", "critical")
_LONGEST_TEXT = 2000
_SHORTEST, _LONGEST = 60, 86_400


class DocumentedLimitWarning(UserWarning):
    """An argument on which HITL.sh's documents disagree: it is sent as it is, and HITL.sh may refuse it."""

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(field, problem)
        #: The field of the API, such as ``request_text``.
        self.field = field
        #: What is wrong with its value, without the field's name.
        self.problem = problem

    def __str__(self) -> str:
        return f"{self.field} {self.problem}"


def create_body(text: str, question: Question, default_response: Any, content: Content, **fields: Any) -> bytes:
    """Return the body of a create; without a processing type, a timeout makes the request time-sensitive."""
    check_text(text)
    seconds, kind = fields["timeout_seconds"], fields["processing_type"]
    if kind is None:
        kind = "deferred" if seconds is None else "time-sensitive"
    check_one_of("priority", fields["priority"], PRIORITIES)
    check_timeout(kind, seconds)
    check_callback(fields["callback_url"])
    check_context(fields["context"])
    return encode_body(
        {
            "processing_type": kind,
            "type": content.type,
            "request_text": text,
            "response_type": question.response_type,
            "response_config": question.response_config,
            "default_response": question.default(default_response),
        }
        | content.fields
        | without_none(**{name: value for name, value in fields.items() if name != "processing_type"})
    )


def check_changes(changes: Mapping[str, Any]) -> None:
    """Check the fields of an update against the same limits; fields that are UNSET or None are not checked."""
    values = {name: value for name, value in changes.items() if value is not None and value is not UNSET}
    if "request_text" in values:
        check_text(values["request_text"])
    if "priority" in values:
        check_one_of("priority", values["priority"], PRIORITIES)
    if "timeout_seconds" in values:
        check_timeout("deferred", values["timeout_seconds"])
    check_callback(values.get("callback_url"))
    check_context(values.get("context"))


def check_text(text: Any) -> None:
    """Check the text; warns above 2000 characters, where the pages disagree."""
    if not isinstance(text, str) or not text.strip():
        raise ArgumentInvalid("request_text", f"is {text!r}: give the question")
    if len(text) > _LONGEST_TEXT:
        _warn("request_text", f"has {len(text)} characters: the API reference allows {_LONGEST_TEXT}")


def check_timeout(processing_type: Any, seconds: Any) -> None:
    """Check the timeout: 60 to 86400 s when time-sensitive; warns otherwise, since samples exceed the reference."""
    check_one_of("processing_type", processing_type, ("time-sensitive", "deferred"))
    if processing_type == "time-sensitive":
        if seconds is None:
            raise ArgumentInvalid("timeout_seconds", "is missing: a time-sensitive request needs one, 60 to 86400")
        check_integer("timeout_seconds", seconds, _SHORTEST, _LONGEST)
    elif seconds is not None:
        check_integer("timeout_seconds", seconds, 1, 10 * 365 * _LONGEST)
        if not _SHORTEST <= seconds <= _LONGEST:
            _warn("timeout_seconds", f"is {seconds}: the API reference allows {_SHORTEST} to {_LONGEST}")


def check_callback(address: Any) -> None:
    """Check the callback URL; warns for plain HTTP, which one page calls unsupported."""
    if address is not None and not check_url("callback_url", address):
        _warn("callback_url", f"{address!r} is not https: HITL.sh may refuse it, and others can read along")


def check_context(context: Any) -> None:
    """Check that the context is a JSON object."""
    if context is not None and not isinstance(context, Mapping):
        raise ArgumentInvalid("context", f"is a {type(context).__name__}: give an object, such as {{'order': 17}}")


def _warn(field: str, problem: str) -> None:
    warnings.warn(DocumentedLimitWarning(field, problem), stacklevel=6)
