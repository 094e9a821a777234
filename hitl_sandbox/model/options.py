"""The choices of a select question: plain strings or objects, found by value, label or slug."""

import re
from typing import Any

import msgspec


class Option(msgspec.Struct, frozen=True, kw_only=True):
    value: str
    label: str
    description: str = ""
    color: str = ""
    #: Written as a plain string, which the vendor returns unchanged.
    plain: bool


def slug(text: str) -> str:
    """``Approve with Warning`` -> ``approve_with_warning``."""
    return re.sub(r"[^a-z0-9]+", "_", text.lower()).strip("_")


def read_option(raw: Any) -> Option | None:
    """The option, or None when it breaks the documented limits."""
    if isinstance(raw, str):
        return Option(value=raw, label=raw, plain=True) if 0 < len(raw) <= 200 else None
    if not isinstance(raw, dict):
        return None
    value = raw.get("value")
    label = raw.get("label", value)
    if not isinstance(value, str) or not isinstance(label, str):
        return None
    if not 0 < len(value) <= 100 or not 0 < len(label) <= 200:
        return None
    described = {name: str(raw.get(name) or "") for name in ("description", "color")}
    return Option(value=value, label=label, plain=False, **described)


def options_of(config: dict[str, Any]) -> list[Option]:
    """The options of a validated configuration."""
    read = (read_option(raw) for raw in config.get("options", []))
    return [option for option in read if option is not None]


def find_option(options: list[Option], text: Any) -> Option | None:
    """The option meant by a value, a label or a slug, in this order of preference."""
    if not isinstance(text, str):
        return None
    by_value = {option.value: option for option in reversed(options)}
    by_label = {option.label: option for option in reversed(options)}
    by_slug = {slug(option.label): option for option in reversed(options)}
    return by_value.get(text) or by_label.get(text) or by_slug.get(text)
