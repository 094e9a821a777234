"""A reviewer's answer: one plain value for every documented form, and a digest to compare answers.

Follows https://docs.hitl.sh, "Response types" and "Webhooks", which write the same answer in several forms:
``"Approve with Warning"``, ``"approve_with_warning"`` and ``{"selected_value": …, "selected_label": …}``.
"""

import hashlib
from typing import Any, NamedTuple

import msgspec

from hitlsh.events import Outcome
from hitlsh.slugs import slug

#: Value key, label key and response type of each object form, in the order of the search.
_FORMS = (
    ("selected_value", "selected_label", "single_select"),
    ("selected_values", "selected_labels", "multi_select"),
    ("rating", "rating_label", "rating"),
    ("number", "formatted_value", "number"),
    ("boolean", "boolean_label", "boolean"),
    ("revised_text", "", "editable_text"),
)
_SELECTIONS = frozenset({"single_select", "multi_select"})
#: Commas in an answer whose items are compared one by one: a question has 20 options or fewer.
_MAX_COMMAS = 200
#: Characters of an option. A longer string is free text and is compared as it is.
_LONGEST_OPTION = 200


class ParsedResponse(NamedTuple):
    """An answer, its labels, and the response type that its form implies."""

    value: Any
    labels: tuple[str, ...]
    type: str | None
    #: For editable text: whether the reviewer changed the draft; None where the form does not say.
    was_edited: bool | None = None


def parse_response(response_data: Any) -> ParsedResponse:
    """Return the value in any documented form of ``response_data``; an object of an unknown form is its own value."""
    python_type = type(response_data)
    if python_type is dict:
        return _from_object(response_data)
    if python_type is bool:
        return ParsedResponse(response_data, (), "boolean")
    return ParsedResponse(response_data, (), "multi_select" if python_type is list else None)


def _from_object(response_data: dict[str, Any]) -> ParsedResponse:
    has_value_key = False
    for value_key, label_key, response_type in _FORMS:
        value = response_data.get(value_key)
        if value is not None:
            edited = response_data.get("was_edited")
            was_edited = edited if isinstance(edited, bool) else None
            return ParsedResponse(value, _labels(response_data.get(label_key)), response_type, was_edited)
        has_value_key = has_value_key or value_key in response_data
    return ParsedResponse(None if has_value_key else response_data, (), None)


def _labels(value: Any) -> tuple[str, ...]:
    if isinstance(value, str):
        return (value,)
    if isinstance(value, list):
        return tuple(label for label in value if isinstance(label, str))
    return ()


def fingerprint(outcome: Outcome, answer: ParsedResponse) -> str | None:
    """Return a digest of an outcome and its answer, equal for every form of one answer.

    None where forms cannot be compared: without an answer, and for an option whose value and label differ, since
    another form may hold only one of the two.
    """
    if outcome != "completed":
        return _digest(outcome)
    if answer.value is None or not _comparable(answer):
        return None
    return _digest(f"completed {_comparable_form(answer.value)}")


def _comparable(answer: ParsedResponse) -> bool:
    if answer.type not in _SELECTIONS or not answer.labels:
        return True
    values = answer.value if isinstance(answer.value, list) else [answer.value]
    return _comparable_form(values) == _comparable_form(list(answer.labels))


def _digest(text: str) -> str:
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def _comparable_form(value: Any) -> str:
    """Return a string that is equal for equal answers; a large answer is compared as it is written."""
    if isinstance(value, list | dict):
        encoded = _encode_sorted(value)
        if encoded.count(b",") > _MAX_COMMAS:
            return f"j{encoded.decode()}"
    return _canonical(value)


def _canonical(value: Any) -> str:
    """Return a string that is equal for equal answers, and different for ``True``, ``1`` and ``"1"``."""
    if isinstance(value, str):
        return f"s{value if len(value) > _LONGEST_OPTION else slug(value)}"
    if value is None or isinstance(value, bool):
        return f"b{value}"
    if isinstance(value, float) and value.is_integer():
        return f"n{int(value)}"
    if isinstance(value, list):
        return f"l{_join(sorted(_canonical(item) for item in value))}"
    if isinstance(value, dict):
        return f"d{_join(sorted([key, _canonical(item)] for key, item in value.items()))}"
    return f"n{value}"


_encode_sorted = msgspec.json.Encoder(order="sorted").encode


def _join(parts: list[Any]) -> str:
    return msgspec.json.encode(parts).decode()
