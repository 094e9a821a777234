"""A reviewer's answer: one plain value for every documented form, and a digest to compare answers.

Follows https://docs.hitl.sh, "Response types" and "Webhooks", which write the same answer in several forms:
``"Approve with Warning"``, ``"approve_with_warning"`` and ``{"selected_value": …, "selected_label": …}``.
"""

import hashlib
import re
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
#: Items of a list that are compared one by one: a question has 20 options or fewer.
_LONGEST_LIST = 50
#: A whole number as JSON writes it.
_NUMBER = re.compile(r"0|-?[1-9]\d{0,17}")
#: Characters of a text that its snake_case form omits, except separators of words.
_SIGN = re.compile(r"[^\w\s-]|-(?!\w)|(?<!\w)-")
#: Commas in an answer that is compared in any order of its items.
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
    """Return how an outcome and its answer are spelled, to compare the forms of one answer.

    It is the digest of the answer; of a select, the digest of its value and, behind ``/``, that of its label where
    the form has both and they differ; of a list, such items between brackets. Two answers agree when each item of one
    has a digest in common with an item of the other, or names the same option of the question. None where forms cannot
    be compared: without an answer, and for values and labels that cannot be paired.
    """
    if outcome != "completed":
        return _digest(outcome)
    if answer.value is None:
        return None
    labels = answer.labels if answer.type in _SELECTIONS else ()
    if not isinstance(answer.value, list):
        return _item(answer.value, labels[0] if labels else None) if len(labels) < 2 else None
    if labels and len(labels) != len(answer.value):
        return None
    if len(answer.value) > _LONGEST_LIST:
        return spelling(answer.value)
    items = sorted(map(_item, answer.value, labels or [None] * len(answer.value)))
    return f"[{','.join(items)}]"


def spelling(value: Any) -> str:
    """Return the digest of one value; for the text of an option, that of its snake_case form.

    Where that leaves out more than case and blanks, the digest of the text itself follows behind ``-``: ``"A+"`` and
    ``"A-"`` differ, while ``"Approve it!"`` and ``"approve_it"`` have the same first digest.
    """
    digest = _digest(f"completed {_comparable_form(value)}")
    if not isinstance(value, str) or len(value) > _LONGEST_OPTION or slug(value) == value or not _SIGN.search(value):
        return digest
    return f"{digest}-{_digest(value)[:8]}"


def _item(value: Any, label: str | None) -> str:
    spellings = [spelling(value)]
    if label is not None:
        spellings.append(spelling(label))
    elif isinstance(value, str) and _NUMBER.fullmatch(value):
        # Some forms write a number as a string.
        spellings.append(spelling(int(value)))
    return "/".join(dict.fromkeys(spellings))


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
