"""Checks that a default response fits its question, in every documented form.

The samples of https://docs.hitl.sh give options by label, value or slug, and lists as a scalar. What is sent is the
option's value, and a list where several may be chosen.
"""

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

from hitlsh.api.answers import option_names
from hitlsh.api.errors import ArgumentInvalid
from hitlsh.api.questions.limits import is_number
from hitlsh.slugs import slug


def check_choice(config: Mapping[str, Any], default: Any) -> str:
    """Return the value of one option."""
    if isinstance(default, list | tuple) and len(default) == 1:
        default = default[0]
    by_name, by_slug = _values_by_name(config["options"]), _values_by_slug(config["options"])
    if isinstance(default, str) and default in by_name:
        return by_name[default]
    if isinstance(default, str) and slug(default) in by_slug:
        return by_slug[slug(default)]
    offered = ", ".join(repr(value) for value in dict.fromkeys(by_name.values()))
    raise ArgumentInvalid("default_response", f"is {default!r}: it must be one of the options: {offered}")


def check_choices(config: Mapping[str, Any], default: Any) -> list[str]:
    """Return the values of some options, or none: an empty list is a documented default."""
    listed = list(default) if isinstance(default, list | tuple) else [default]
    chosen = [check_choice(config, entry) for entry in listed]
    if len(set(chosen)) < len(chosen):
        raise ArgumentInvalid("default_response", f"is {default!r}: it names an option twice")
    if len(chosen) > config["max_selections"]:
        raise ArgumentInvalid("default_response", f"has {len(chosen)} options: the limit is {config['max_selections']}")
    return chosen


def check_number(config: Mapping[str, Any], default: Any) -> int | float:
    """Return a number in the range, on a step of the scale, with the allowed decimals."""
    if not is_number(default):
        raise ArgumentInvalid("default_response", f"is {default!r}: give a number")
    low, high = (config.get(f"scale_{end}", config.get(f"{end}_value")) for end in ("min", "max"))
    if not low <= default <= high:
        raise ArgumentInvalid("default_response", f"is {default!r}: give a number from {low} to {high}")
    step = config.get("scale_step", 10.0 ** -config.get("decimal_places", 0))
    start = config.get("scale_min", 0)
    if not _is_on_step(default, start, step):
        raise ArgumentInvalid("default_response", f"is {default!r}: it is not on a step of {step} from {start}")
    return default


def _is_on_step(number: float, start: float, step: float) -> bool:
    try:
        return (Decimal(str(number)) - Decimal(str(start))) % Decimal(str(step)) == 0
    except InvalidOperation:  # the number of steps exceeds the precision
        return False


def check_boolean(config: Mapping[str, Any], default: Any) -> bool:
    """Return True or False, also for one of the two labels."""
    if isinstance(default, bool):
        return default
    for meaning, field in ((True, "true_label"), (False, "false_label")):
        names = {slug(config[field]), str(meaning).lower()}
        if isinstance(default, str) and slug(default) in names:
            return meaning
    raise ArgumentInvalid(
        "default_response",
        f"is {default!r}: give True or False, {config['true_label']!r} or {config['false_label']!r}",
    )


def check_text_default(config: Mapping[str, Any], default: Any) -> str:
    """Return a text within the limit; an empty one is valid."""
    if not isinstance(default, str):
        raise ArgumentInvalid("default_response", f"is {default!r}: give a text")
    if len(default) > config["max_length"]:
        raise ArgumentInvalid("default_response", f"has {len(default)} characters: the limit is {config['max_length']}")
    return default


def _values_by_name(options: list[Any]) -> dict[str, str]:
    """Map labels and values to the option's value; a value takes precedence over another option's label."""
    names = [option_names(option) for option in options]
    return {label: value for value, label in names} | {value: value for value, _ in names}


def _values_by_slug(options: list[Any]) -> dict[str, str]:
    return {slug(name): value for name, value in _values_by_name(options).items()}
