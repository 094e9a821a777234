"""Answers: the validation of answers and of default responses, and the forms in which answers are written."""

from typing import Any

from hitl_sandbox.errors import Refusal
from hitl_sandbox.model.options import SelectOption, find_option, options_of, slug
from hitl_sandbox.model.records import RequestSpec
from hitl_sandbox.model.response_configs import (
    boolean_labels,
    number_scale,
    rating_scale,
    selection_limits,
    text_limits,
)
from hitl_sandbox.settings import ResponseForm

OBJECT_KEYS = ("selected_value", "selected_values", "rating", "number", "boolean", "revised_text")


def read_answer(spec: RequestSpec, raw: Any) -> Any:
    """Read an answer into its stored form: option values, a number, a bool, a text, or the revised text object.

    Accepts the object form and the bare form. Raises ``Refusal`` for an answer that the question does not allow.
    """
    if isinstance(raw, dict):
        raw = next((raw[key] for key in OBJECT_KEYS if key in raw), raw)
    config = spec.response_config
    match spec.response_type:
        case "single_select":
            return _selected(options_of(config), raw).value
        case "multi_select":
            return _read_selections(config, raw)
        case "rating":
            return _number(rating_scale(config).problem(raw), raw)
        case "number":
            return _number(number_scale(config).problem(raw), raw)
        case "boolean":
            return _boolean(config, raw)
        case "editable_text":
            text = _text(config, raw)
            return {"revised_text": text, "was_edited": text != config["draft_text"]}
        case _:
            return _text(config, raw)


def _refuse(issue: str) -> Refusal:
    return Refusal(400, "Invalid response", issue)


def _selected(options: list[SelectOption], raw: Any) -> SelectOption:
    option = find_option(options, raw)
    if option is None:
        raise _refuse(f"{raw!r} is not one of: {', '.join(option.label for option in options)}")
    return option


def _read_selections(config: dict[str, Any], raw: Any) -> list[str]:
    if not isinstance(raw, list):
        raise _refuse("a list of options is expected")
    values = [_selected(options_of(config), item).value for item in raw]
    if len(set(values)) != len(values):
        raise _refuse("an option was selected twice")
    minimum, maximum = selection_limits(config)
    if not minimum <= len(values) <= maximum:
        raise _refuse(f"select between {minimum} and {maximum} options")
    return values


def _number(issue: str | None, raw: Any) -> Any:
    if issue is not None:
        raise _refuse(issue)
    return int(raw) if isinstance(raw, float) and raw.is_integer() else raw


def _boolean(config: dict[str, Any], raw: Any) -> bool:
    if not isinstance(raw, bool):
        raise _refuse("true or false is expected")
    return raw


def _text(config: dict[str, Any], raw: Any) -> str:
    if not isinstance(raw, str):
        raise _refuse("a text is expected")
    minimum, maximum = text_limits(config)
    if not minimum <= len(raw) <= maximum:
        raise _refuse(f"the text must be between {minimum} and {maximum} characters")
    if config.get("required") is True and not raw.strip():
        raise _refuse("the text must not be blank")
    return raw


def check_default(response_type: str, config: dict[str, Any], default: Any) -> None:
    """Raise ``Refusal`` for a default that no answer could equal; label, value and slug, list and scalar are valid."""
    match response_type:
        case "single_select" | "multi_select":
            items = default if isinstance(default, list) else [default]
            is_valid = all(find_option(options_of(config), item) is not None for item in items)
            issue = "default_response must match one of the configured options"
        case "rating" | "number":
            scale = rating_scale(config) if response_type == "rating" else number_scale(config)
            is_valid = scale.problem(default) is None
            issue = f"default_response must be a number that fits the {response_type} configuration"
        case "boolean":
            labels = {label.lower() for label in boolean_labels(config).values()} | {"true", "false"}
            is_valid = isinstance(default, bool) or (isinstance(default, str) and default.lower() in labels)
            issue = "default_response must be true or false"
        case _:
            text = default.get("revised_text") if isinstance(default, dict) else default
            is_valid = isinstance(text, str) and len(text) <= text_limits(config)[1]
            issue = "default_response must be a text within max_length"
    if not is_valid:
        raise Refusal(400, "Invalid default response", issue)


def write_answer(spec: RequestSpec, answer: Any, form: ResponseForm) -> Any:
    """Write a stored answer as ``response_data``; a text is the same in every form."""
    match spec.response_type:
        case "single_select":
            option = find_option(options_of(spec.response_config), answer)
            return answer if option is None else _write_selection(option, form)
        case "multi_select":
            options = [find_option(options_of(spec.response_config), value) for value in answer]
            return _write_selections([option for option in options if option is not None], form)
        case "rating" if form == "object":
            return {"rating": answer, "rating_label": _rating_label(spec.response_config, answer)}
        case "number" if form == "object":
            return {"number": answer, "formatted_value": _format_number(spec.response_config, answer)}
        case "boolean" if form == "object":
            return {"boolean": answer, "boolean_label": boolean_labels(spec.response_config)[answer]}
        case _:
            return answer


def _write_option(option: SelectOption, form: ResponseForm) -> str:
    match form:
        case "label":
            return option.label
        case "slug":
            return slug(option.label) if option.is_plain else option.value
        case _:
            return option.value


def _write_selection(option: SelectOption, form: ResponseForm) -> Any:
    if form != "object":
        return _write_option(option, form)
    # The callback page shows a plain option with its value only; the concepts page adds the label.
    labels = {} if option.is_plain else {"selected_label": option.label}
    return {"selected_value": option.value, **labels}


def _write_selections(options: list[SelectOption], form: ResponseForm) -> Any:
    if form != "object":
        return [_write_option(option, form) for option in options]
    return {
        "selected_values": [option.value for option in options],
        "selected_labels": [option.label for option in options],
    }


def _rating_label(config: dict[str, Any], rating: float) -> str:
    labels = config.get("labels")
    label = labels.get(f"{rating:g}") if isinstance(labels, dict) else None
    return str(label) if label is not None else f"{rating:g} of {rating_scale(config).high:g}"


def _format_number(config: dict[str, Any], number: Any) -> str:
    places = number_scale(config).places or 0
    digits = f"{number:.{places}f}" if isinstance(number, float) else str(number)
    return f"{config.get('prefix') or ''}{digits}{config.get('suffix') or ''}"


def show_answer(spec: RequestSpec, answer: Any) -> str:
    """Write an answer for people."""
    match spec.response_type:
        case "single_select":
            return str(write_answer(spec, answer, "label"))
        case "multi_select":
            return ", ".join(write_answer(spec, answer, "label")) or "nothing selected"
        case "rating":
            return _rating_label(spec.response_config, answer)
        case "number":
            return _format_number(spec.response_config, answer)
        case "boolean":
            return boolean_labels(spec.response_config)[answer]
        case "editable_text":
            return str(answer["revised_text"])
        case _:
            return str(answer)
