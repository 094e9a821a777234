"""Checks of plain fields against the documented limits. They raise ArgumentInvalid, which names field and limit."""

import math
from collections.abc import Collection
from typing import Any, TypeGuard

from hitlsh.api.errors import ArgumentInvalid
from hitlsh.api.http.credentials import is_loopback, split


def check_length(field: str, text: Any, minimum: int, maximum: int) -> None:
    """Check that a value is a text with so many characters."""
    if not isinstance(text, str):
        raise ArgumentInvalid(field, f"is {text!r}: give a text")
    if not minimum <= len(text) <= maximum:
        raise ArgumentInvalid(field, f"has {len(text)} characters: give {minimum} to {maximum}")


def check_integer(field: str, value: Any, minimum: int, maximum: int) -> None:
    """Check that a value is a whole number in a range."""
    if not isinstance(value, int) or isinstance(value, bool) or not minimum <= value <= maximum:
        raise ArgumentInvalid(field, f"is {value!r}: give a whole number from {minimum} to {maximum}")


def is_number(value: Any) -> TypeGuard[float]:
    """Whether a value is a number that a float can hold: no bool, infinity or NaN, nor an integer of 400 digits."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:
        return False


def check_one_of(field: str, value: Any, allowed: Collection[str]) -> None:
    """Check that a value is one of the documented words."""
    if value not in allowed:
        raise ArgumentInvalid(field, f"is {value!r}: give one of {', '.join(allowed)}")


def check_url(field: str, address: Any) -> bool:
    """Check that a value is an absolute URL; returns whether it is https or loopback."""
    parts = split(address) if isinstance(address, str) else None
    if parts is None:
        raise ArgumentInvalid(field, f"is {address!r}: give an absolute address, such as https://example.com/x")
    return parts.scheme == "https" or is_loopback(parts.hostname or "")
