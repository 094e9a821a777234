"""The options of a select question: plain strings or objects, looked up by value, label or slug."""

import re
from typing import Any

import msgspec


class SelectOption(msgspec.Struct, frozen=True, kw_only=True):
    value: str
    label: str
    description: str = ""
    color: str = ""
    #: Sent as a plain string, which the vendor returns unchanged.
    is_plain: bool


def slug(text: str) -> str:
    """``Approve with Warning`` -> ``approve_with_warning``."""
    return re.sub(r"[^a-z0-9]+", "_", text.lower()).strip("_")


def read_option(raw: Any) -> SelectOption | None:
    """Read an option; None when it breaks the documented limits."""
    if isinstance(raw, str):
        return SelectOption(value=raw, label=raw, is_plain=True) if 0 < len(raw) <= 200 else None
    if not isinstance(raw, dict):
        return None
    value = raw.get("value")
    label = raw.get("label", value)
    if not isinstance(value, str) or not isinstance(label, str):
        return None
    if not 0 < len(value) <= 100 or not 0 < len(label) <= 200:
        return None
    details = {name: str(raw.get(name) or "") for name in ("description", "color")}
    return SelectOption(value=value, label=label, is_plain=False, **details)


def options_of(config: dict[str, Any]) -> list[SelectOption]:
    """The options of a validated configuration."""
    options = (read_option(raw) for raw in config.get("options", []))
    return [option for option in options if option is not None]


def find_option(options: list[SelectOption], text: Any) -> SelectOption | None:
    """Look an option up by its value, then by its label, then by its slug."""
    if not isinstance(text, str):
        return None
    by_value = {option.value: option for option in reversed(options)}
    by_label = {option.label: option for option in reversed(options)}
    by_slug = {slug(option.label): option for option in reversed(options)}
    return by_value.get(text) or by_label.get(text) or by_slug.get(text)
