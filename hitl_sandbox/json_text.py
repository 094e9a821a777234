"""JSON as JavaScript writes it.

The vendor's Express sample verifies a signature over ``JSON.stringify(req.body)``, and its pages print whole numbers
without a fraction. So what the sandbox sends must be equal to itself after a round trip through JavaScript.
"""

import math
import re
from typing import Any

import msgspec

#: JavaScript holds every integer up to this one exactly.
MAX_SAFE_INTEGER = 2**53 - 1
#: The largest index of a JavaScript array; object keys up to it are listed first, in numeric order.
MAX_INDEX = 2**32 - 2
INDEX = re.compile(r"0|[1-9][0-9]{0,9}", re.ASCII)


def encode(value: Any) -> bytes:
    """Encode a reply: whole numbers have no fraction, other numbers are spelled as in JavaScript."""
    return msgspec.json.encode(_prepare(value, is_delivery=False))


def encode_delivery(value: Any) -> str:
    """Encode a webhook body byte for byte as ``JSON.stringify(JSON.parse(body))`` returns it.

    Beyond `encode` this rounds integers that JavaScript cannot hold, and puts keys that are array indexes first.
    """
    return msgspec.json.encode(_prepare(value, is_delivery=True)).decode()


def _prepare(value: Any, *, is_delivery: bool) -> Any:
    match value:
        case dict():
            names = sorted(value, key=_index) if is_delivery else value
            return {name: _prepare(value[name], is_delivery=is_delivery) for name in names}
        case list() | tuple():
            return [_prepare(item, is_delivery=is_delivery) for item in value]
        case float():
            return _number(value)
        case int() if is_delivery and not isinstance(value, bool) and abs(value) > MAX_SAFE_INTEGER:
            return _number(_as_double(value))
        case _:
            return value


def _index(name: str) -> float:
    """The position of a key: the number of an array index, infinity (so: order of insertion) for every other key."""
    return int(name) if INDEX.fullmatch(name) and int(name) <= MAX_INDEX else math.inf


def _as_double(value: int) -> float:
    try:
        return float(value)
    except OverflowError:
        return math.inf


def _number(value: float) -> Any:
    """Spell a number as ECMAScript's Number::toString does; infinity becomes null, as in JSON.stringify."""
    if not math.isfinite(value):
        return None
    if value == 0:
        return 0
    sign = "-" if value < 0 else ""
    digits, exponent = _shortest(abs(value))
    point = exponent + 1
    if len(digits) <= point <= 21:
        text = digits + "0" * (point - len(digits))
    elif 0 < point <= 21:
        text = f"{digits[:point]}.{digits[point:]}"
    elif -6 < point <= 0:
        text = f"0.{'0' * -point}{digits}"
    else:
        fraction = f".{digits[1:]}" if len(digits) > 1 else ""
        text = f"{digits[0]}{fraction}e{'+' if exponent >= 0 else '-'}{abs(exponent)}"
    return msgspec.Raw((sign + text).encode())


def _shortest(value: float) -> tuple[str, int]:
    """The fewest digits that identify a positive number, and its decimal exponent."""
    mantissa, _, exponent = f"{float(value)!r}".partition("e")
    whole, _, fraction = mantissa.partition(".")
    fraction = "" if fraction == "0" else fraction
    digits = (whole + fraction).lstrip("0")
    leading = len(whole) if whole != "0" else -(len(fraction) - len(fraction.lstrip("0")))
    return digits.rstrip("0"), leading - 1 + int(exponent or 0)
