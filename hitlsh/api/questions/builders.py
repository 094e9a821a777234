"""Builders of questions: one for each response type. They raise ArgumentInvalid for what breaks a limit.

Follows https://docs.hitl.sh, "Response types"; the messages name the field and the limit.
"""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Generic

import msgspec

from hitlsh.api.answers import Answer, read_answer
from hitlsh.api.errors import ArgumentInvalid
from hitlsh.api.operations import without_none
from hitlsh.api.questions.defaults import check_boolean, check_choice, check_choices, check_number, check_text_default
from hitlsh.api.questions.limits import check_integer, is_number
from hitlsh.slugs import slug

if TYPE_CHECKING:
    from typing_extensions import TypeVar

    #: The Python type of the answer; a bare ``Question`` is one of any type.
    Response = TypeVar("Response", default=Any)
else:  # a default of a type variable is known to Python 3.13, and to type checkers
    from typing import TypeVar

    Response = TypeVar("Response")


class Option(msgspec.Struct, frozen=True, kw_only=True):
    """An option with a value and a label of its own. For an option that is a plain string, both are that string."""

    #: At most 100 characters.
    value: str
    #: What the reviewer sees, at most 200 characters.
    label: str
    description: str | None = None
    color: str | None = None


class Question(msgspec.Struct, Generic[Response], frozen=True, kw_only=True):
    """A response type with its configuration, as a builder of this module returns it; generic in the answer's type."""

    response_type: str
    response_config: dict[str, Any]
    check: Callable[[Mapping[str, Any], Any], Any]

    def default(self, default_response: Any) -> Any:
        """Return the default response in the form that HITL.sh expects; raises ArgumentInvalid if it does not fit."""
        if default_response is None:
            raise ArgumentInvalid(
                "default_response", "is missing: give the response that holds when nobody answers in time"
            )
        return self.check(self.response_config, default_response)

    def answer(self, response_data: Any) -> Answer | None:
        """Read an answer to this question; None when nobody answered."""
        return read_answer(response_data, self.response_type, self.response_config)


def single_select(*options: str | Option, required: bool = False) -> Question[str]:
    """Ask for one of 1 to 20 options; HITL.sh recommends two to ten."""
    config = {"options": _options(options), "required": required}
    return Question(response_type="single_select", response_config=config, check=check_choice)


def multi_select(
    *options: str | Option,
    min_selections: int = 1,
    max_selections: int | None = None,
    required: bool = False,
) -> Question[list[str]]:
    """Ask for several of 1 to 20 options; without ``max_selections`` all may be chosen."""
    choices = _options(options)
    max_choices = len(choices) if max_selections is None else max_selections
    check_integer("max_selections", max_choices, 1, len(choices))
    check_integer("min_selections", min_selections, 0, max_choices)
    config = {
        "options": choices,
        "min_selections": min_selections,
        "max_selections": max_choices,
        "required": required,
    }
    return Question(response_type="multi_select", response_config=config, check=check_choices)


def rating(
    scale_min: float = 1,
    scale_max: float = 5,
    *,
    scale_step: float = 1,
    labels: Mapping[int, str] | None = None,
    required: bool = False,
) -> Question[float]:
    """Ask for a rating from ``scale_min`` to ``scale_max``; ``labels`` name points of the scale."""
    _ordered("scale_min", scale_min, "scale_max", scale_max)
    if not is_number(scale_step) or scale_step <= 0:
        raise ArgumentInvalid("scale_step", f"is {scale_step!r}: it must be above 0")
    config: dict[str, Any] = {
        "scale_min": scale_min,
        "scale_max": scale_max,
        "scale_step": scale_step,
        "required": required,
    }
    if labels is not None:
        points: Any = labels
        if not isinstance(points, Mapping) or not all(isinstance(label, str) for label in points.values()):
            raise ArgumentInvalid("labels", f"is {points!r}: give a text for each point, such as {{'1': 'Poor'}}")
        config["labels"] = {str(point): label for point, label in labels.items()}
    return Question(response_type="rating", response_config=config, check=check_number)


def number(
    min_value: float,
    max_value: float,
    *,
    decimal_places: int = 2,
    prefix: str | None = None,
    suffix: str | None = None,
    placeholder: str | None = None,
    required: bool = False,
) -> Question[float]:
    """Ask for a number in a range with 0 to 10 decimal places; negative ones only if ``min_value`` is negative."""
    _ordered("min_value", min_value, "max_value", max_value)
    check_integer("decimal_places", decimal_places, 0, 10)
    config = {
        "min_value": min_value,
        "max_value": max_value,
        "decimal_places": decimal_places,
        "allow_negative": min_value < 0,
        "required": required,
    }
    config |= without_none(prefix=prefix, suffix=suffix, placeholder=placeholder)
    return Question(response_type="number", response_config=config, check=check_number)


def whole_number(
    min_value: int,
    max_value: int,
    *,
    prefix: str | None = None,
    suffix: str | None = None,
    placeholder: str | None = None,
    required: bool = False,
) -> Question[int]:
    """Ask for a whole number in a range, both ends included."""
    ends: tuple[tuple[str, Any], ...] = (("min_value", min_value), ("max_value", max_value))
    for field, value in ends:
        if not isinstance(value, int) or isinstance(value, bool):
            raise ArgumentInvalid(field, f"is {value!r}: give a whole number")
    scale = number(
        min_value,
        max_value,
        decimal_places=0,
        prefix=prefix,
        suffix=suffix,
        placeholder=placeholder,
        required=required,
    )
    return Question(response_type="number", response_config=scale.response_config, check=check_number)


def text(
    *, max_length: int = 1000, min_length: int = 0, placeholder: str | None = None, required: bool = False
) -> Question[str]:
    """Ask for a text of up to ``max_length`` (1 to 5000) characters."""
    config = _lengths(min_length, max_length) | {"required": required} | without_none(placeholder=placeholder)
    return Question(response_type="text", response_config=config, check=check_text_default)


def editable_text(
    draft: str,
    *,
    max_length: int = 5000,
    min_length: int = 0,
    placeholder: str | None = None,
    required: bool = False,
) -> Question[str]:
    """Ask for the revision of a draft, of up to ``max_length`` (1 to 5000) characters."""
    config = _lengths(min_length, max_length) | {"required": required} | without_none(placeholder=placeholder)
    if len(draft) > max_length:
        raise ArgumentInvalid("draft_text", f"has {len(draft)} characters: the limit is {max_length}")
    return Question(
        response_type="editable_text", response_config={"draft_text": draft} | config, check=check_text_default
    )


def boolean(
    true_label: str = "Yes",
    false_label: str = "No",
    *,
    true_color: str | None = None,
    false_color: str | None = None,
    required: bool = False,
) -> Question[bool]:
    """Ask for a yes or a no, with labels of up to 100 characters."""
    config: dict[str, Any] = {"true_label": true_label, "false_label": false_label, "required": required}
    for field in ("true_label", "false_label"):
        _length(field, config[field], 100)
    if true_label == false_label:
        raise ArgumentInvalid(
            "true_label", f"is {true_label!r}, as is the other label: a reviewer cannot tell them apart"
        )
    words = ({"true", "yes", slug(true_label)}, {"false", "no", slug(false_label)})
    if words[0] & words[1]:
        raise ArgumentInvalid(
            "true_label", f"is {true_label!r} and false_label is {false_label!r}: an answer may not tell them apart"
        )
    config |= without_none(true_color=true_color, false_color=false_color)
    return Question(response_type="boolean", response_config=config, check=check_boolean)


def _options(options: tuple[str | Option, ...]) -> list[Any]:
    if not 1 <= len(options) <= 20:
        raise ArgumentInvalid("options", f"has {len(options)} entries: give 1 to 20")
    values = [option.value if isinstance(option, Option) else option for option in options]
    labels = [option.label if isinstance(option, Option) else option for option in options]
    for position, (value, label) in enumerate(zip(values, labels, strict=True)):
        _length(f"options[{position}].value", value, 100)
        _length(f"options[{position}].label", label, 200)
    for field, texts in (("value", values), ("label", labels)):
        duplicate = next((text for text in texts if texts.count(text) > 1), None)
        if duplicate is not None:
            raise ArgumentInvalid("options", f"has the {field} {duplicate!r} twice: every {field} must differ")
    _check_distinct_spellings(list(zip(values, labels, strict=True)))
    return [_as_json(option) for option in options]


def _check_distinct_spellings(options: list[tuple[str, str]]) -> None:
    """Refuse options that an answer may not distinguish: it is the value, the label or a snake_case form."""
    options_by_spelling: dict[str, tuple[str, str]] = {}
    for option in options:
        for spelling in {slug(text) for text in option}:
            other = options_by_spelling.get(spelling)
            if other is not None:
                raise ArgumentInvalid(
                    "options",
                    f"has {_describe(other)} and {_describe(option)}, which an answer may not tell apart: choose "
                    "values and labels that differ in more than case and punctuation, and no label that is another "
                    "option's value",
                )
        options_by_spelling |= dict.fromkeys(map(slug, option), option)


def _describe(option: tuple[str, str]) -> str:
    value, label = option
    return repr(value) if value == label else f"{value!r} ({label!r})"


def _as_json(option: str | Option) -> Any:
    if isinstance(option, str):
        return option
    fields = without_none(description=option.description, color=option.color)
    return {"value": option.value, "label": option.label} | fields


def _lengths(min_length: int, max_length: int) -> dict[str, Any]:
    check_integer("max_length", max_length, 1, 5000)
    check_integer("min_length", min_length, 0, max_length)
    return {"min_length": min_length, "max_length": max_length}


def _length(field: str, text: Any, limit: int) -> None:
    if not isinstance(text, str) or not text.strip():
        raise ArgumentInvalid(field, f"is {text!r}: give some text")
    if len(text) > limit:
        raise ArgumentInvalid(field, f"has {len(text)} characters: the limit is {limit}")


def _ordered(low_field: str, low: float, high_field: str, high: float) -> None:
    if not (is_number(low) and is_number(high) and low < high):
        raise ArgumentInvalid(
            low_field, f"is {low!r} and {high_field} is {high!r}: the first must be the smaller number"
        )
