"""Questions by HITL.sh's own names of their types and configurations (https://docs.hitl.sh, "Response types")."""

from collections.abc import Callable, Mapping
from typing import Any

from hitlsh.api.errors import ArgumentInvalid
from hitlsh.api.questions import builders
from hitlsh.api.questions.builders import Option, Question

#: Fields of each response configuration, which are the arguments of its builder; `options` and `draft_text` apart.
_SCALE = ("scale_min", "scale_max", "scale_step", "labels")
_RANGE = ("min_value", "max_value", "decimal_places", "prefix", "suffix", "placeholder")
_TEXT = ("max_length", "min_length", "placeholder")
_LABELS = ("true_label", "false_label", "true_color", "false_color")
_BUILDERS: dict[str, tuple[Callable[..., Question], tuple[str, ...]]] = {
    "single_select": (builders.single_select, ()),
    "multi_select": (builders.multi_select, ("min_selections", "max_selections")),
    "rating": (builders.rating, _SCALE),
    "number": (builders.number, _RANGE),
    "text": (builders.text, _TEXT),
    "editable_text": (builders.editable_text, _TEXT),
    "boolean": (builders.boolean, _LABELS),
}
#: Accepted everywhere, and left out: it follows from the smallest value.
_IMPLIED = frozenset({"allow_negative"})


def read_question(response_type: str, config: Mapping[str, Any]) -> Question:
    """The question of a response type and its configuration; raises ArgumentInvalid, which names the field."""
    if response_type not in _BUILDERS:
        raise ArgumentInvalid("response_type", f"is {response_type!r}: give one of {', '.join(_BUILDERS)}")
    builder, names = _BUILDERS[response_type]
    positional = _positional(response_type, config)
    allowed = {*names, "required", *(("options",) if "select" in response_type else ())}
    if response_type == "editable_text":
        allowed.add("draft_text")
    if unknown := sorted(set(config) - allowed - _IMPLIED):
        raise ArgumentInvalid(unknown[0], f"is no field of {response_type}: it has {', '.join(sorted(allowed))}")
    arguments = {name: config[name] for name in (*names, "required") if config.get(name) is not None}
    try:
        return builder(*positional, **arguments)
    except TypeError:
        missing = "min_value and max_value" if response_type == "number" else "another type"
        raise ArgumentInvalid("response_config", f"does not fit {response_type}: it needs {missing}") from None


def _positional(response_type: str, config: Mapping[str, Any]) -> list[Any]:
    if response_type == "editable_text":
        draft = config.get("draft_text", "")
        if not isinstance(draft, str):
            raise ArgumentInvalid("draft_text", f"is {draft!r}: give a text")
        return [draft]
    if "select" not in response_type:
        return []
    options = config.get("options")
    if not isinstance(options, list):
        raise ArgumentInvalid("options", "is missing: give a list of texts, or of objects with value and label")
    return [_option(number, option) for number, option in enumerate(options)]


def _option(number: int, option: Any) -> str | Option:
    if isinstance(option, str):
        return option
    fields = ("value", "label", "description", "color")
    if not isinstance(option, Mapping) or not all(isinstance(option.get(name), str) for name in fields[:2]):
        raise ArgumentInvalid(f"options[{number}]", "is no option: give a text, or an object with value and label")
    texts = {name: option.get(name) for name in fields}
    if any(value is not None and not isinstance(value, str) for value in texts.values()):
        raise ArgumentInvalid(f"options[{number}]", "is no option: its description and color are texts")
    return Option(value=option["value"], label=option["label"], description=texts["description"], color=texts["color"])
