"""Webhook bodies and API objects in, events out: no payload, however odd, raises.

Follows the vendor's "Webhooks" pages, all of them: a body is recognised by its keys, not by the page
it came from.
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

_NO_NOTES: Json = {"context": None, "metadata": None}


def _float(written: str) -> float:
    # msgspec's own takes up to 300 times as long for numbers made to be slow.
    value = float(written)
    if math.isinf(value):
        raise ValueError(f"{written} is out of range")
    return value


_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
#: Of a body that is read by the slower parser.
_LARGEST_LENIENT = 128 << 10
_decode = msgspec.json.Decoder(float_hook=_float).decode


def parse(body: bytes) -> Event | Unreadable:
    """Read a verified body into the event it tells of; whatever the bytes are, nothing is raised.

    A body with more than ``structure.LARGEST_STRUCTURE`` bytes outside of its strings is unreadable: reading
    it would keep the process from everything else.
    """
    written = body.removeprefix(_BYTE_ORDER_MARK)
    if is_too_large(written):
        return _unread(written, body)
    try:
        payload = _decode(written)
    except (msgspec.ValidationError, RecursionError):
        # JSON all the same, with a number or a nesting that nothing here could write again.
        return _unreadable("unknown_shape", body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return _parse_leniently(written, body) if len(written) <= _LARGEST_LENIENT else _unread(written, body)
    return _event(payload, body)


def event_from_request(request: dict[str, object]) -> Event | None:
    """Return what a request of the API (whole or summary) ended with, or None while it is open.

    Key and fingerprint are those of the webhook that tells of the same end.
    """
    word = text(request.get("status"))
    if word is None or outcome(status(word)) is None:
        return None
    try:
        settled = _replace_half_surrogates(request)
    except (ValueError, RecursionError):
        settled = None
    return _ended_request(settled) if isinstance(settled, dict) else None


def _ended_request(request: Json) -> Event | None:
    if not nests_within(request):
        # The asker's own notes may nest as they like; the outcome does not depend on them.
        request = request | _NO_NOTES
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


def _parse_leniently(written_text: bytes, body: bytes) -> Event | Unreadable:
    """Read what RFC 8259 allows and msgspec refuses: half a surrogate pair."""
    try:
        written = json.loads(written_text.decode(), parse_constant=_refuse_constant)
    except ValueError:
        return _unreadable("not_json", body)
    except RecursionError:
        return _unreadable("unknown_shape", body)
    try:
        return _event(_replace_half_surrogates(written), body)
    except (ValueError, RecursionError):
        return _unreadable("unknown_shape", body)


def _refuse_constant(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")


def _replace_half_surrogates(written: object) -> Any:
    """Return the same JSON with half surrogate pairs, which no UTF-8 can hold, replaced."""
    whole = json.dumps(written, ensure_ascii=False, allow_nan=False)
    return _decode(whole.encode("utf-8", "surrogatepass").decode("utf-8", "replace"))


def _event(payload: Any, body: bytes) -> Event | Unreadable:
    if not isinstance(payload, dict):
        return _unreadable("unknown_shape", body)
    # Counting brackets is many times cheaper than walking, and nearly every body has few.
    if body.count(b"{") + body.count(b"[") > DEEPEST and not nests_within(payload):
        return _unreadable("unknown_shape", body)
    return payload_forms.recognise(payload, body) or _unreadable("unknown_shape", body)


def _unread(written: bytes, body: bytes) -> Unreadable:
    """Refuse a body by how it begins: to read it would take too long."""
    return _unreadable("unknown_shape" if written.lstrip()[:1] in (b"{", b"[") else "not_json", body)


def _unreadable(reason: Literal["not_json", "unknown_shape"], body: bytes) -> Unreadable:
    return Unreadable(reason=reason, key=event_keys.unreadable_key(body))
