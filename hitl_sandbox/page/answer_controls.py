"""The form control of each response type, and the reading of submitted forms."""

import math
from collections.abc import Sequence
from typing import Any, Protocol

import msgspec

from hitl_sandbox.errors import Refusal
from hitl_sandbox.model.options import options_of
from hitl_sandbox.model.records import RequestSpec
from hitl_sandbox.model.response_configs import (
    NumberScale,
    boolean_labels,
    number_scale,
    rating_scale,
    selection_limits,
    text_limits,
)

#: A rating with more values than this is a slider.
MAX_TILES = 11


class ChoiceTile(msgspec.Struct, frozen=True, kw_only=True):
    """One choice of a control."""

    value: str
    label: str
    description: str = ""
    color: str = ""


class AnswerControl(msgspec.Struct, frozen=True, kw_only=True):
    """A form control; `shape` is tiles, scale, slider, number or text."""

    shape: str
    legend: str
    tiles: tuple[ChoiceTile, ...] = ()
    is_multiple: bool = False
    low: str = ""
    high: str = ""
    step: str = ""
    prefix: str = ""
    suffix: str = ""
    placeholder: str = ""
    text: str = ""
    max_length: int = 0
    min_length: int = 0
    required: bool = True
    low_label: str = ""
    high_label: str = ""


def control_for(spec: RequestSpec) -> AnswerControl:
    config = spec.response_config
    match spec.response_type:
        case "single_select":
            return AnswerControl(shape="tiles", legend="Choose one", tiles=_tiles(config))
        case "multi_select":
            return AnswerControl(
                shape="tiles", legend=_selection_legend(config), tiles=_tiles(config), is_multiple=True
            )
        case "boolean":
            return AnswerControl(shape="tiles", legend="Decide", tiles=_boolean_tiles(config))
        case "rating":
            return _rating(config)
        case "number":
            return _number(config)
        case _:
            return _text(spec.response_type, config)


def _tiles(config: dict[str, Any]) -> tuple[ChoiceTile, ...]:
    return tuple(
        ChoiceTile(value=option.value, label=option.label, description=option.description, color=option.color)
        for option in options_of(config)
    )


def _selection_legend(config: dict[str, Any]) -> str:
    minimum, maximum = selection_limits(config)
    if minimum == maximum:
        return f"Choose {maximum}"
    return f"Choose {minimum} to {maximum}" if minimum > 0 else f"Choose up to {maximum}"


def _boolean_tiles(config: dict[str, Any]) -> tuple[ChoiceTile, ...]:
    labels = boolean_labels(config)
    colors = {True: config.get("true_color", "#16a34a"), False: config.get("false_color", "#dc2626")}
    return tuple(
        ChoiceTile(value=str(value).lower(), label=labels[value], color=str(colors[value])) for value in (True, False)
    )


def _rating(config: dict[str, Any]) -> AnswerControl:
    scale = rating_scale(config)
    step = scale.step or 1
    values = [f"{round(scale.low + index * step, 6):g}" for index in range(_steps(scale, step))]
    labels = config.get("labels")
    names = [str(labels.get(value, "")) if isinstance(labels, dict) else "" for value in values]
    if len(values) > MAX_TILES:
        return AnswerControl(
            shape="slider",
            legend="Rate",
            low=_written(scale.low),
            high=_written(scale.high),
            step=_written(step),
            low_label=names[0],
            high_label=str(labels.get(_written(scale.high), "")) if isinstance(labels, dict) else "",
        )
    tiles = (ChoiceTile(value=value, label=value, description=name) for value, name in zip(values, names, strict=True))
    return AnswerControl(shape="scale", legend="Rate", tiles=tuple(tiles))


def _steps(scale: NumberScale, step: float) -> int:
    """Count the values of a scale, at most one more than fit on tiles."""
    return min(int((scale.high - scale.low) / step + 1e-9) + 1, MAX_TILES + 1)


def _number(config: dict[str, Any]) -> AnswerControl:
    scale = number_scale(config)
    return AnswerControl(
        shape="number",
        legend="Enter a number",
        low=_written(scale.low),
        high=_written(scale.high),
        step=_written(scale.step or 10 ** -(scale.places or 0)),
        prefix=str(config.get("prefix") or ""),
        suffix=str(config.get("suffix") or config.get("unit") or ""),
        placeholder=str(config.get("placeholder") or ""),
    )


def _written(value: float) -> str:
    return f"{value:.10g}" if math.isfinite(value) else ""


def _text(response_type: str, config: dict[str, Any]) -> AnswerControl:
    editable = response_type == "editable_text"
    minimum, maximum = text_limits(config)
    return AnswerControl(
        shape="text",
        legend="Revise the draft" if editable else "Write an answer",
        text=str(config["draft_text"]) if editable else "",
        placeholder=str(config.get("placeholder") or ""),
        min_length=minimum,
        max_length=maximum,
        required=config.get("required") is True or minimum > 0,
    )


class FormFields(Protocol):
    """A submitted form."""

    def getlist(self, key: Any) -> Sequence[Any]: ...


def read_form(spec: RequestSpec, form: FormFields) -> Any:
    """Read the answer of a form; the request lifecycle validates it."""
    values = [str(value) for value in form.getlist("answer")]
    if spec.response_type == "multi_select":
        return values
    if not values:
        raise Refusal(400, "Invalid response", "choose an answer first")
    text = values[0]
    match spec.response_type:
        case "boolean":
            return text == "true"
        case "rating" | "number":
            return _read_number(text)
        case _:
            # Browsers send every line break as CR LF.
            return text.replace("\r\n", "\n")


def _read_number(text: str) -> Any:
    try:
        number = float(text)
    except ValueError:
        raise Refusal(400, "Invalid response", "enter a number") from None
    return int(number) if number.is_integer() else number
