"""The control a reviewer answers with, and what its form sends back."""

import math
from collections.abc import Sequence
from typing import Any, Protocol

import msgspec

from hitl_sandbox.errors import Refusal
from hitl_sandbox.model.options import options_of
from hitl_sandbox.model.questions import (
    Scale,
    boolean_labels,
    number_scale,
    rating_scale,
    selection_limits,
    text_limits,
)
from hitl_sandbox.model.records import Ask

#: A rating with more steps than this is a slider.
MOST_TILES = 11


class Tile(msgspec.Struct, frozen=True, kw_only=True):
    """One thing to choose."""

    value: str
    label: str
    description: str = ""
    color: str = ""


class Control(msgspec.Struct, frozen=True, kw_only=True):
    """What the template needs to draw; ``shape`` is tiles, scale, slider, number or text."""

    shape: str
    legend: str
    tiles: tuple[Tile, ...] = ()
    several: bool = False
    low: str = ""
    high: str = ""
    step: str = ""
    prefix: str = ""
    suffix: str = ""
    placeholder: str = ""
    text: str = ""
    longest: int = 0
    shortest: int = 0
    required: bool = True
    low_label: str = ""
    high_label: str = ""


def control_for(ask: Ask) -> Control:
    config = ask.response_config
    match ask.response_type:
        case "single_select":
            return Control(shape="tiles", legend="Choose one", tiles=_tiles(config))
        case "multi_select":
            return Control(shape="tiles", legend=_how_many(config), tiles=_tiles(config), several=True)
        case "boolean":
            return Control(shape="tiles", legend="Decide", tiles=_yes_and_no(config))
        case "rating":
            return _rating(config)
        case "number":
            return _number(config)
        case _:
            return _text(ask.response_type, config)


def _tiles(config: dict[str, Any]) -> tuple[Tile, ...]:
    return tuple(
        Tile(value=option.value, label=option.label, description=option.description, color=option.color)
        for option in options_of(config)
    )


def _how_many(config: dict[str, Any]) -> str:
    fewest, most = selection_limits(config)
    if fewest == most:
        return f"Choose {most}"
    return f"Choose {fewest} to {most}" if fewest > 0 else f"Choose up to {most}"


def _yes_and_no(config: dict[str, Any]) -> tuple[Tile, ...]:
    labels = boolean_labels(config)
    colors = {True: config.get("true_color", "#16a34a"), False: config.get("false_color", "#dc2626")}
    return tuple(
        Tile(value=str(value).lower(), label=labels[value], color=str(colors[value])) for value in (True, False)
    )


def _rating(config: dict[str, Any]) -> Control:
    scale = rating_scale(config)
    step = scale.step or 1
    values = [f"{round(scale.low + place * step, 6):g}" for place in range(_steps(scale, step))]
    labels = config.get("labels")
    names = [str(labels.get(value, "")) if isinstance(labels, dict) else "" for value in values]
    if len(values) > MOST_TILES:
        return Control(
            shape="slider",
            legend="Rate",
            low=_written(scale.low),
            high=_written(scale.high),
            step=_written(step),
            low_label=names[0],
            high_label=str(labels.get(_written(scale.high), "")) if isinstance(labels, dict) else "",
        )
    tiles = (Tile(value=value, label=value, description=name) for value, name in zip(values, names, strict=True))
    return Control(shape="scale", legend="Rate", tiles=tuple(tiles))


def _steps(scale: Scale, step: float) -> int:
    """How many values there are; no more are counted than make a difference to how they are drawn."""
    return min(int((scale.high - scale.low) / step + 1e-9) + 1, MOST_TILES + 1)


def _number(config: dict[str, Any]) -> Control:
    scale = number_scale(config)
    return Control(
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


def _text(response_type: str, config: dict[str, Any]) -> Control:
    editable = response_type == "editable_text"
    shortest, longest = text_limits(config)
    return Control(
        shape="text",
        legend="Revise the draft" if editable else "Write an answer",
        text=str(config["draft_text"]) if editable else "",
        placeholder=str(config.get("placeholder") or ""),
        shortest=shortest,
        longest=longest,
        required=config.get("required") is True or shortest > 0,
    )


class Fields(Protocol):
    """A submitted form."""

    def getlist(self, key: Any) -> Sequence[Any]: ...


def read_form(ask: Ask, form: Fields) -> Any:
    """The answer a form holds; the desk checks whether it fits."""
    sent = [str(value) for value in form.getlist("answer")]
    if ask.response_type == "multi_select":
        return sent
    if not sent:
        raise Refusal(400, "Invalid response", "choose an answer first")
    text = sent[0]
    match ask.response_type:
        case "boolean":
            return text == "true"
        case "rating" | "number":
            return _read_number(text)
        case _:
            # Browsers send line breaks as CR LF whatever the text held before.
            return text.replace("\r\n", "\n")


def _read_number(text: str) -> Any:
    try:
        number = float(text)
    except ValueError:
        raise Refusal(400, "Invalid response", "enter a number") from None
    return int(number) if number.is_integer() else number
