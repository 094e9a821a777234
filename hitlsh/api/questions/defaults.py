"""Whether a default response fits its question, in any form the documents show for it.

The samples give options by label, by value or by snake_case form, and lists as a scalar; what is
sent is always the option's value, and a list where several may be chosen.
"""

import math
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from hitlsh.api.answers import option_names
from hitlsh.api.errors import ArgumentInvalid
from hitlsh.slugs import slug


def check_choice(config: Mapping[str, Any], default: Any) -> str:
    """One option."""
    if isinstance(default, list | tuple) and len(default) == 1:
        default = default[0]
    exactly, loosely = _exactly(config["options"]), _loosely(config["options"])
    if isinstance(default, str) and default in exactly:
        return exactly[default]
    if isinstance(default, str) and slug(default) in loosely:
        return loosely[slug(default)]
    offered = ", ".join(repr(value) for value in dict.fromkeys(exactly.values()))
    raise ArgumentInvalid("default_response", f"is {default!r}: it must be one of the options: {offered}")


def check_choices(config: Mapping[str, Any], default: Any) -> list[str]:
    """Some options, or none: an empty list is a documented default."""
    listed = list(default) if isinstance(default, list | tuple) else [default]
    chosen = [check_choice(config, entry) for entry in listed]
    if len(set(chosen)) < len(chosen):
        raise ArgumentInvalid("default_response", f"is {default!r}: it names an option twice")
    if len(chosen) > config["max_selections"]:
        raise ArgumentInvalid("default_response", f"has {len(chosen)} options: the limit is {config['max_selections']}")
    return chosen


def check_number(config: Mapping[str, Any], default: Any) -> int | float:
    """A number in the range, on a step of the scale, with no more decimals than asked for."""
    if not isinstance(default, int | float) or isinstance(default, bool) or not math.isfinite(default):
        raise ArgumentInvalid("default_response", f"is {default!r}: give a number")
    low, high = (config.get(f"scale_{end}", config.get(f"{end}_value")) for end in ("min", "max"))
    if not low <= default <= high:
        raise ArgumentInvalid("default_response", f"is {default!r}: give a number from {low} to {high}")
    step = config.get("scale_step", 10.0 ** -config.get("decimal_places", 0))
    start = config.get("scale_min", 0)
    if (Decimal(str(default)) - Decimal(str(start))) % Decimal(str(step)) != 0:
        raise ArgumentInvalid("default_response", f"is {default!r}: it is not on a step of {step} from {start}")
    return default


def check_boolean(config: Mapping[str, Any], default: Any) -> bool:
    """True or False, or one of the two labels."""
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


def check_words(config: Mapping[str, Any], default: Any) -> str:
    """Text within the limit; an empty one is an answer."""
    if not isinstance(default, str):
        raise ArgumentInvalid("default_response", f"is {default!r}: give a text")
    if len(default) > config["max_length"]:
        raise ArgumentInvalid("default_response", f"has {len(default)} characters: the limit is {config['max_length']}")
    return default


def _exactly(options: list[Any]) -> dict[str, str]:
    """Labels and values, each with the value it stands for; a value wins over another option's label."""
    names = [option_names(option) for option in options]
    return {label: value for value, label in names} | {value: value for value, _ in names}


def _loosely(options: list[Any]) -> dict[str, str]:
    return {slug(words): value for words, value in _exactly(options).items()}
