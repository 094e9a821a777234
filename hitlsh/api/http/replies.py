"""ParsedReply what came back: the envelope, or the error that says why there is none."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, TypeVar
from urllib.parse import urlsplit

import msgspec

from hitlsh.api.errors import ApiError, StatusError, UnexpectedReply, refusal_class
from hitlsh.api.http.rate_limit import RateLimit, read_rate_limit, retry_after
from hitlsh.api.operations import Envelope, HttpRequest, Operation

T = TypeVar("T")

_SHOWN = 500
#: A shorter key, of a sandbox, could be a word that means something else.
_TELLING = 8


class HttpReply(msgspec.Struct, frozen=True, kw_only=True):
    """An HTTP reply as it came."""

    status: int
    headers: Mapping[str, str]
    content: bytes


class ParsedReply(msgspec.Struct, frozen=True, kw_only=True):
    """A reply once read: the parsed body (None when not a JSON object) and what it says about the limit."""

    body: dict[str, Any] | None
    text: str
    rate_limit: RateLimit | None
    #: When to ask again, if this is an error that passes.
    reset_at: datetime | None


def read(answered: HttpReply, now: datetime, secret: str) -> ParsedReply:
    """Parse the body and the limit; a key that a gateway echoes does not survive."""
    text = answered.content.decode(errors="replace")
    body = _object(text)
    if (body is None or answered.status >= 300) and len(secret) >= _TELLING:
        text = text.replace(secret, "[api key]")
        body = _object(text)
    usage = _usage(body) if answered.status == 429 else {}
    rate_limit = read_rate_limit(answered.status, answered.headers, usage, now)
    return ParsedReply(
        body=body,
        text=text[:_SHOWN],
        rate_limit=rate_limit,
        reset_at=_reset_at(answered, rate_limit, now),
    )


def _reset_at(answered: HttpReply, rate_limit: RateLimit | None, now: datetime) -> datetime | None:
    """All replies carry the limit's reset, but only a 429 means it."""
    asked = retry_after(answered.headers, now)
    if answered.status != 429:
        return asked if answered.status == 503 else None
    if rate_limit is not None and rate_limit.reset_at is not None:
        return rate_limit.reset_at
    return asked if asked is not None else now + timedelta(seconds=60)


def refusal(operation: Operation[Any], wire: HttpRequest, status: int, reading: ParsedReply) -> StatusError | None:
    """The error this reply is; None for a success."""
    body = reading.body if reading.body is not None else {}
    if status in operation.accepts and body.get("error") is not True:
        return None
    if 200 <= status < 300 and body.get("error") is not True:
        return None
    msg = _words(status, reading)
    return refusal_class(status)(wire.method, wire.path, status, msg, _detail(body), reading.reset_at)


def result(operation: Operation[T], wire: HttpRequest, status: int, reading: ParsedReply) -> T | ApiError:
    """What the operation was for, or the error that the body is not in the documented form."""
    body = reading.body
    if body is None and (reading.text.strip() or operation.method != "DELETE"):
        return UnexpectedReply(wire.method, wire.path, status, "not a JSON object", reading.text)
    try:
        return operation.read(_envelope(body if body is not None else {}, status, wire))
    except msgspec.ValidationError as error:
        return UnexpectedReply(wire.method, wire.path, status, str(error), reading.text)


def _envelope(body: dict[str, Any], status: int, wire: HttpRequest) -> Envelope:
    parts = urlsplit(wire.url)
    msg, held = body.get("msg"), body.get("data", body)
    return Envelope(
        status=status,
        origin=f"{parts.scheme}://{parts.netloc}",
        msg=msg if isinstance(msg, str) else None,
        data=held if isinstance(held, dict) else {},
    )


def _object(text: str) -> dict[str, Any] | None:
    try:
        body = msgspec.json.decode(text)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return None
    return body if isinstance(body, dict) else None


def _usage(body: dict[str, Any] | None) -> dict[str, Any]:
    """The usage figures of a 429: inside ``data``, or beside ``msg``."""
    held = (body or {}).get("data")
    return held if isinstance(held, dict) else body or {}


def _words(status: int, reading: ParsedReply) -> str:
    body = reading.body if reading.body is not None else {}
    for key in ("msg", "message", "error"):
        if isinstance(body.get(key), str):
            return str(body[key])
    if 300 <= status < 400:
        return "a redirect, which is not followed because the key would go with it; correct the base URL"
    return "no message" if reading.body is not None else "a body that is not JSON, from a gateway perhaps"


def _detail(body: dict[str, Any]) -> Any:
    if "data" in body:
        return body["data"]
    rest = {key: value for key, value in body.items() if key not in ("error", "msg")}
    return rest or None
