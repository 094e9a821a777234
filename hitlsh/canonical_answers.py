"""One value for an answer, in whichever documented form it came: the option's value as it was asked.

The vendor's pages return the same choice as the option's value, its label, its snake_case form, or an object with
value and label (https://docs.hitl.sh, responses/types and webhooks). With the request's details at hand all of
them become one.
"""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

from hitlsh.request_details import OfferedOption, RequestDetails
from hitlsh.slugs import ascii_slug, slug

_SELECTS = ("single_select", "multi_select")
_TRUE, _FALSE = ("true", "yes"), ("false", "no")


class CanonicalAnswer(NamedTuple):
    """An answer as its question defines it."""

    #: str, list of str, int, float or bool.
    value: Any
    #: What the reviewer saw for it; empty where the question gives no labels.
    labels: tuple[str, ...]
    #: It could be chosen: an offered option, a point of the scale, a value of the type.
    is_offered: bool


def canonical_answer(value: Any, labels: Sequence[str], details: RequestDetails) -> CanonicalAnswer:
    """The answer as the question defines it; one that was never offered stays as it came.

    ``details.response_type`` must be known: without it nothing can be said of an answer.
    """
    response_type = details.response_type
    if response_type in _SELECTS and details.options:
        return _selected(value, labels, details)
    if response_type in ("rating", "number"):
        return _numeric(value, response_type, details)
    if response_type == "boolean":
        return _boolean(value, details)
    if response_type in ("text", "editable_text"):
        return CanonicalAnswer(value, (), is_offered=isinstance(value, str))
    return CanonicalAnswer(whole(value), tuple(labels), is_offered=True)


def whole(value: Any) -> Any:
    """A number without a fraction as an int, in a list too: JSON has one kind of number."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return [whole(item) for item in value] if isinstance(value, list) else value


def _selected(value: Any, labels: Sequence[str], details: RequestDetails) -> CanonicalAnswer:
    items = value if isinstance(value, list) else [value]
    item_labels = list(labels) if len(labels) == len(items) else [None] * len(items)
    options = [_find(item, label, details.options) for item, label in zip(items, item_labels, strict=True)]
    is_single = details.response_type == "single_select"
    if any(option is None for option in options) or (is_single and len(options) != 1):
        return CanonicalAnswer(value, tuple(labels), is_offered=False)
    chosen_options = [option for option in options if option is not None]
    values, shown_labels = [option.value for option in chosen_options], tuple(option.label for option in chosen_options)
    return CanonicalAnswer(values[0] if is_single else values, shown_labels, is_offered=True)


def _find(item: Any, label: str | None, options: Sequence[OfferedOption]) -> OfferedOption | None:
    """The option that an item of an answer names: exactly, by its value before its label; else by its slug."""
    if not isinstance(item, str):
        return None
    candidates = (
        [option for option in options if option.value == item and label in (None, option.label)],
        [option for option in options if option.value == item],
        [option for option in options if option.label == item],
        [option for option in options if slug(item) in (slug(option.value), slug(option.label))],
        [option for option in options if item and item in (ascii_slug(option.value), ascii_slug(option.label))],
    )
    for matches in candidates:
        if len(matches) == 1:
            return matches[0]
    return None


def _numeric(value: Any, response_type: str, details: RequestDetails) -> CanonicalAnswer:
    number = whole(_number(value))
    config = details.response_config or {}
    labels = config.get("labels")
    label = labels.get(str(number)) if response_type == "rating" and isinstance(labels, dict) else None
    return CanonicalAnswer(number, (label,) if isinstance(label, str) else (), is_offered=_is_in_range(number, config))


def _number(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    try:
        number = float(value)
    except ValueError:
        return value
    return number if math.isfinite(number) else value


def _is_in_range(number: Any, config: dict[str, Any]) -> bool:
    if not isinstance(number, int | float) or isinstance(number, bool):
        return False
    # Some pages call a scale's ends as they call a number's.
    ends = (("scale_min", "min_value", "min"), ("scale_max", "max_value", "max"))
    low, high = (next((config[name] for name in names if _is_number(config.get(name))), None) for names in ends)
    return (low is None or number >= low) and (high is None or number <= high)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _boolean(value: Any, details: RequestDetails) -> CanonicalAnswer:
    config = details.response_config or {}
    names = {True: config.get("true_label"), False: config.get("false_label")}
    meaning = value if isinstance(value, bool) else _meaning(value, names)
    if meaning is None:
        return CanonicalAnswer(value, (), is_offered=False)
    label = names[meaning]
    return CanonicalAnswer(meaning, (label,) if isinstance(label, str) else (), is_offered=True)


def _meaning(value: Any, names: dict[bool, Any]) -> bool | None:
    if not isinstance(value, str):
        return None
    word = slug(value)
    for meaning, words in ((True, _TRUE), (False, _FALSE)):
        label = names[meaning]
        if word in (words if not isinstance(label, str) else (*words, slug(label))):
            return meaning
    return None
