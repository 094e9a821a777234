"""A reviewer's answer: one plain value for every form it is delivered in, and a digest that compares them.

The forms are those of the vendor's "Response types" and "Webhooks" pages, which differ on the same answer:
``"Approve with Warning"``, ``"approve_with_warning"`` and ``{"selected_value": …, "selected_label": …}``.
"""

import hashlib
from typing import Any, NamedTuple

import msgspec

from hitlsh.events import Outcome
from hitlsh.slugs import slug

#: Value key, label key and response type of each object form, in the order in which they are looked for.
_FORMS = (
    ("selected_value", "selected_label", "single_select"),
    ("selected_values", "selected_labels", "multi_select"),
    ("rating", "rating_label", "rating"),
    ("number", "formatted_value", "number"),
    ("boolean", "boolean_label", "boolean"),
    ("revised_text", "", "editable_text"),
)
_SELECTIONS = frozenset({"single_select", "multi_select"})
#: Of an answer that is spelled out to be compared: documented ones have 20 options or fewer.
_MOST_COMMAS = 200
#: A longer string is prose, not an option: it is compared as it stands.
_LONGEST_OPTION = 200


class ParsedResponse(NamedTuple):
    """What was answered, what the reviewer saw for it, and the response type its form gives away."""

    value: Any
    labels: tuple[str, ...]
    type: str | None
    #: For editable text: whether the reviewer changed the draft; None where the form does not say.
    was_edited: bool | None = None


def parse_response(response_data: Any) -> ParsedResponse:
    """Take the value out of whichever form it came in; an object of no known form is kept as it is."""
    kind = type(response_data)
    if kind is dict:
        return _from_object(response_data)
    if kind is bool:
        return ParsedResponse(response_data, (), "boolean")
    return ParsedResponse(response_data, (), "multi_select" if kind is list else None)


def _from_object(response_data: dict[str, Any]) -> ParsedResponse:
    known = False
    for value_key, label_key, response_type in _FORMS:
        value = response_data.get(value_key)
        if value is not None:
            edited = response_data.get("was_edited")
            was_edited = edited if isinstance(edited, bool) else None
            return ParsedResponse(value, _labels(response_data.get(label_key)), response_type, was_edited)
        known = known or value_key in response_data
    return ParsedResponse(None if known else response_data, (), None)


def _labels(seen: Any) -> tuple[str, ...]:
    if isinstance(seen, str):
        return (seen,)
    if isinstance(seen, list):
        return tuple(label for label in seen if isinstance(label, str))
    return ()


def fingerprint(outcome: Outcome, answer: ParsedResponse) -> str | None:
    """Digest what a request ended with, equal for every form of one answer.

    None where two forms cannot be compared: no answer, or an option whose value and label are different
    words, since a form with only one of the two could not be matched with it.
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
    """Spell a JSON value so that equal answers are equal strings; one that is too large only as it was written."""
    if isinstance(value, list | dict):
        written = _encode_sorted(value)
        if written.count(b",") > _MOST_COMMAS:
            return f"j{written.decode()}"
    return _canonical(value)


def _canonical(value: Any) -> str:
    """Spell a JSON value so that equal answers are equal strings, and ``True`` is not ``1`` nor ``"1"``."""
    if isinstance(value, str):
        return f"s{value if len(value) > _LONGEST_OPTION else slug(value)}"
    if value is None or isinstance(value, bool):
        return f"b{value}"
    if isinstance(value, float) and value.is_integer():
        return f"n{int(value)}"
    if isinstance(value, list):
        return f"l{_spell(sorted(_canonical(item) for item in value))}"
    if isinstance(value, dict):
        return f"d{_spell(sorted([key, _canonical(item)] for key, item in value.items()))}"
    return f"n{value}"


_encode_sorted = msgspec.json.Encoder(order="sorted").encode


def _spell(canonical: list[Any]) -> str:
    return msgspec.json.encode(canonical).decode()
