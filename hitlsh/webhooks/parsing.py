"""Parses webhook bodies and requests of the API into events. No payload raises.

Follows https://docs.hitl.sh, "Webhooks", "Global webhooks" and every page that prints a payload: a body is recognised
by its keys.
"""

import json
import math
from typing import Any, Literal, NoReturn

import msgspec

from hitlsh.events import Event, Unreadable
from hitlsh.webhooks import event_keys, outcomes, payload_forms
from hitlsh.webhooks.json_structure import DEEPEST, is_too_large, nests_within
from hitlsh.webhooks.outcomes import Json, RequestReport
from hitlsh.webhooks.payload_fields import identifier, outcome, status, text

_NO_ATTACHMENTS: Json = {"context": None, "metadata": None}


def _float(digits: str) -> float:
    # msgspec takes up to 300 times as long for numbers that are made to be slow.
    value = float(digits)
    if math.isinf(value):
        raise ValueError(f"{digits} is out of range")
    return value


_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
#: Bytes of a body that the slower parser reads.
_LARGEST_LENIENT = 128 << 10
_decode = msgspec.json.Decoder(float_hook=_float).decode


def parse(body: bytes) -> Event | Unreadable:
    """Parse a verified body into an event; returns Unreadable for anything else, and never raises.

    A body with more than ``json_structure.LARGEST_STRUCTURE`` bytes outside of its strings is unreadable: it would take
    too long to parse.
    """
    json_text = body.removeprefix(_BYTE_ORDER_MARK)
    if is_too_large(json_text):
        return _too_large(json_text, body)
    try:
        payload = _decode(json_text)
    except (msgspec.ValidationError, RecursionError):
        # It is JSON, with a number or a nesting that could not be encoded again.
        return _unreadable("unknown_shape", body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return _parse_leniently(json_text, body) if len(json_text) <= _LARGEST_LENIENT else _too_large(json_text, body)
    return _event(payload, body)


def event_from_request(request: dict[str, object]) -> Event | None:
    """Return the event of a request's outcome, from a request or a list row of the API; None while it is open.

    Key and fingerprint equal those of the webhook about the same outcome.
    """
    status_word = text(request.get("status"))
    if status_word is None or outcome(status(status_word)) is None:
        return None
    try:
        readable = _replace_half_surrogates(request)
    except (ValueError, RecursionError):
        readable = None
    return _ended_request(readable) if isinstance(readable, dict) else None


def _ended_request(request: Json) -> Event | None:
    if not nests_within(request):
        # Context and metadata may nest deeply; the outcome does not depend on them.
        request = request | _NO_ATTACHMENTS
    if not nests_within(request):
        return None
    return outcomes.read(
        RequestReport(
            variant="api",
            name=None,
            request=request,
            request_id=identifier(request.get("id"), request.get("request_id")),
            response_data=request.get("response_data"),
            loop=request.get("loop"),
            refund=request.get("refund_info"),
        )
    )


def _parse_leniently(json_text: bytes, body: bytes) -> Event | Unreadable:
    """Parse JSON with half a surrogate pair, which RFC 8259 allows and msgspec refuses."""
    try:
        payload = json.loads(json_text.decode(), parse_constant=_refuse_constant)
    except ValueError:
        return _unreadable("not_json", body)
    except RecursionError:
        return _unreadable("unknown_shape", body)
    try:
        return _event(_replace_half_surrogates(payload), body)
    except (ValueError, RecursionError):
        return _unreadable("unknown_shape", body)


def _refuse_constant(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")


def _replace_half_surrogates(value: object) -> Any:
    """Return the same JSON with half surrogate pairs replaced, which UTF-8 cannot hold."""
    encoded = json.dumps(value, ensure_ascii=False, allow_nan=False)
    return _decode(encoded.encode("utf-8", "surrogatepass").decode("utf-8", "replace"))


def _event(payload: Any, body: bytes) -> Event | Unreadable:
    if not isinstance(payload, dict):
        return _unreadable("unknown_shape", body)
    # To count brackets is far cheaper than to visit every value, and nearly every body has few.
    if body.count(b"{") + body.count(b"[") > DEEPEST and not nests_within(payload):
        return _unreadable("unknown_shape", body)
    return payload_forms.recognise(payload, body) or _unreadable("unknown_shape", body)


def _too_large(json_text: bytes, body: bytes) -> Unreadable:
    """Classify a body that is too large to parse, by its first character."""
    return _unreadable("unknown_shape" if json_text.lstrip()[:1] in (b"{", b"[") else "not_json", body)


def _unreadable(reason: Literal["not_json", "unknown_shape"], body: bytes) -> Unreadable:
    return Unreadable(reason=reason, key=event_keys.unreadable_key(body))
