"""The documented limits of plain fields; the messages name the field and the limit."""

from collections.abc import Collection
from typing import Any

from hitlsh.api.errors import ArgumentInvalid
from hitlsh.api.http.credentials import is_loopback, split


def check_length(field: str, words: Any, least: int, most: int) -> None:
    """A text of so many characters."""
    if not isinstance(words, str):
        raise ArgumentInvalid(field, f"is {words!r}: give a text")
    if not least <= len(words) <= most:
        raise ArgumentInvalid(field, f"has {len(words)} characters: give {least} to {most}")


def check_integer(field: str, value: Any, least: int, most: int) -> None:
    """A whole number in a range."""
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise ArgumentInvalid(field, f"is {value!r}: give a whole number from {least} to {most}")


def check_one_of(field: str, word: Any, words: Collection[str]) -> None:
    """One of the documented words."""
    if word not in words:
        raise ArgumentInvalid(field, f"is {word!r}: give one of {', '.join(words)}")


def check_url(field: str, address: Any) -> bool:
    """An absolute web address; tells whether it is safe, that is, https or this machine."""
    parts = split(address) if isinstance(address, str) else None
    if parts is None:
        raise ArgumentInvalid(field, f"is {address!r}: give an absolute address, such as https://example.com/x")
    return parts.scheme == "https" or is_loopback(parts.hostname or "")
