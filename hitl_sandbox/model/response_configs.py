"""Response configurations: their limits, under every alias that the documents use."""

import math
from typing import Any

import msgspec

from hitl_sandbox.errors import Refusal
from hitl_sandbox.model.options import read_option

RESPONSE_TYPES = ("text", "single_select", "multi_select", "rating", "number", "boolean", "editable_text")

#: Fields that the types page requires and samples leave out: required in strict mode only.
STRICTLY_REQUIRED = {
    "text": ("max_length",),
    "multi_select": ("max_selections",),
    "rating": ("scale_max",),
    "number": ("max_value",),
    "editable_text": ("max_length",),
}


class NumberScale(msgspec.Struct, frozen=True, kw_only=True):
    """The numbers that a rating or number question accepts."""

    low: float
    high: float
    step: float | None
    places: int | None = None

    def problem(self, value: Any) -> str | None:
        """Say why the scale does not accept a value; None when it does."""
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            return "a number is expected"
        if not self.low <= value <= self.high:
            return f"the number must be between {self.low:g} and {self.high:g}"
        if self.step and not _is_whole((value - self.low) / self.step):
            return f"the number must be on a step of {self.step:g}"
        if self.places is not None and not _is_whole(value * 10**self.places):
            return f"at most {self.places} decimal places are allowed"
        return None


def _is_whole(value: float) -> bool:
    return abs(value - round(value)) < 1e-6


def _first_number(config: dict[str, Any], names: tuple[str, ...], default: float) -> float:
    for name in names:
        value = config.get(name)
        if isinstance(value, int | float) and not isinstance(value, bool):
            return value
    return default


def rating_scale(config: dict[str, Any]) -> NumberScale:
    return NumberScale(
        low=_first_number(config, ("scale_min", "min", "min_value"), 1),
        high=_first_number(config, ("scale_max", "max", "max_value"), 5),
        step=_first_number(config, ("scale_step", "step"), 1),
    )


def number_scale(config: dict[str, Any]) -> NumberScale:
    lowest = -math.inf if config.get("allow_negative") is True else 1
    return NumberScale(
        low=_first_number(config, ("min_value", "min"), lowest),
        high=_first_number(config, ("max_value", "max"), math.inf),
        step=_first_number(config, ("step",), 0) or None,
        places=int(_first_number(config, ("decimal_places",), 2)),
    )


def text_limits(config: dict[str, Any]) -> tuple[int, int]:
    """The minimum and maximum length of a text."""
    return int(_first_number(config, ("min_length",), 0)), int(_first_number(config, ("max_length",), 5000))


def selection_limits(config: dict[str, Any]) -> tuple[int, int]:
    """The minimum and maximum number of selections."""
    maximum = int(_first_number(config, ("max_selections",), len(config.get("options", []))))
    return int(_first_number(config, ("min_selections",), 1)), maximum


def boolean_labels(config: dict[str, Any]) -> dict[bool, str]:
    return {True: str(config.get("true_label") or "Yes"), False: str(config.get("false_label") or "No")}


def check_config(response_type: str, config: dict[str, Any], *, strict: bool) -> None:
    """Raise ``Refusal`` for a configuration that no reviewer could answer."""
    if strict:
        for name in STRICTLY_REQUIRED.get(response_type, ()):
            if name not in config:
                raise _invalid(f"{name} is required for {response_type} response type")
    match response_type:
        case "single_select" | "multi_select":
            _check_options(config)
            _check_selections(config)
        case "rating":
            _check_scale(rating_scale(config))
        case "number":
            _check_scale(number_scale(config))
        case "boolean":
            _check_labels(config)
        case _:
            _check_text(response_type, config)


def _invalid(issue: str) -> Refusal:
    return Refusal(400, "Invalid response configuration", issue)


def _check_options(config: dict[str, Any]) -> None:
    options = config.get("options")
    if not isinstance(options, list) or not options:
        raise _invalid("options array required for select response type")
    if len(options) > 20:
        raise _invalid("options array must have between 1 and 20 entries")
    parsed = [read_option(raw) for raw in options]
    values = [option.value for option in parsed if option is not None]
    if len(values) != len(options):
        raise _invalid("each option must be a string or an object with value and label")
    if len(set(values)) != len(values):
        raise _invalid("option values must be unique")


def _check_selections(config: dict[str, Any]) -> None:
    for name in ("min_selections", "max_selections"):
        value = config.get(name, 1)
        if isinstance(value, bool) or not isinstance(value, int) or value < 0:
            raise _invalid(f"{name} must be a whole number, 0 or greater")
    minimum, maximum = selection_limits(config)
    if minimum > maximum:
        raise _invalid("min_selections must not exceed max_selections")


def _check_scale(scale: NumberScale) -> None:
    if scale.low >= scale.high:
        raise _invalid("the minimum must be less than the maximum")
    if scale.step is not None and scale.step <= 0:
        raise _invalid("the step must be greater than 0")
    if scale.places is not None and not 0 <= scale.places <= 10:
        raise _invalid("decimal_places must be between 0 and 10")


def _check_labels(config: dict[str, Any]) -> None:
    for name in ("true_label", "false_label"):
        label = config.get(name, "")
        if not isinstance(label, str) or len(label) > 100:
            raise _invalid(f"{name} must be a string of at most 100 characters")


def _check_text(response_type: str, config: dict[str, Any]) -> None:
    if response_type == "editable_text" and not isinstance(config.get("draft_text"), str):
        raise _invalid("draft_text is required for editable_text response type")
    minimum, maximum = text_limits(config)
    if not 1 <= maximum <= 5000:
        raise _invalid("max_length must be between 1 and 5000")
    if not 0 <= minimum <= maximum:
        raise _invalid("min_length must be between 0 and max_length")
