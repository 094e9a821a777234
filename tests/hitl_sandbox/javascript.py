"""``JSON.stringify(JSON.parse(text))``, written a second time from ECMAScript's rules."""

import json
from decimal import Decimal
from typing import Any


def reserialise(text: str) -> str:
    return _stringify(json.loads(text, parse_int=float, parse_float=float))


def _stringify(value: Any) -> str:
    match value:
        case dict():
            names = [*sorted(filter(_is_index, value), key=int), *(name for name in value if not _is_index(name))]
            return "{" + ",".join(f"{_stringify(name)}:{_stringify(value[name])}" for name in names) + "}"
        case list():
            return "[" + ",".join(map(_stringify, value)) + "]"
        case float():
            return _number(value)
        case _:
            return json.dumps(value, ensure_ascii=False)


def _is_index(name: str) -> bool:
    return name.isascii() and name.isdigit() and str(int(name)) == name and int(name) < 2**32 - 1


def _number(value: float) -> str:
    if value == 0:
        return "0"
    if value.is_integer() and abs(value) < 1e21:
        return (
            str(Decimal(repr(value)).quantize(Decimal(1))) if abs(value) < 1e16 else format(Decimal(repr(value)), "f")
        )
    if 1e-6 <= abs(value) < 1e21:
        return format(Decimal(repr(value)), "f")
    mantissa, _, exponent = f"{Decimal(repr(value)).normalize():e}".partition("e")
    return f"{mantissa}e{int(exponent):+d}"
