"""Reads a reply: the envelope of a success, or the error that the reply stands for.

Follows https://docs.hitl.sh, "Errors". A gateway may answer with a body that is not JSON.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, TypeVar
from urllib.parse import urlsplit

import msgspec

from hitlsh.api.errors import ApiError, StatusError, UnexpectedReply, status_error_class
from hitlsh.api.http.rate_limit import RateLimit, read_rate_limit, retry_after
from hitlsh.api.operations import Envelope, HttpRequest, Operation

T = TypeVar("T")

#: Characters of an unexpected body that an error shows.
_SHOWN_CHARACTERS = 500
#: A shorter key, of a sandbox, could be a common word.
_SHORTEST_MASKED_KEY = 8


class HttpReply(msgspec.Struct, frozen=True, kw_only=True):
    """An HTTP reply, not parsed."""

    status: int
    headers: Mapping[str, str]
    content: bytes


class ParsedReply(msgspec.Struct, frozen=True, kw_only=True):
    """A parsed reply: its body and the call limit in it."""

    #: None when the body is not a JSON object.
    body: dict[str, Any] | None
    #: The beginning of the body.
    text: str
    rate_limit: RateLimit | None
    #: When to call again, for an error that passes.
    reset_at: datetime | None


def read(reply: HttpReply, now: datetime, secret: str) -> ParsedReply:
    """Parse the body and the call limit; masks the API key where a gateway echoes it."""
    text = reply.content.decode(errors="replace")
    body = _object(text)
    if (body is None or reply.status >= 300) and len(secret) >= _SHORTEST_MASKED_KEY:
        text = text.replace(secret, "[api key]")
        body = _object(text)
    usage = _usage(body) if reply.status == 429 else {}
    rate_limit = read_rate_limit(reply.status, reply.headers, usage, now)
    return ParsedReply(
        body=body,
        text=text[:_SHOWN_CHARACTERS],
        rate_limit=rate_limit,
        reset_at=_reset_at(reply, rate_limit, now),
    )


def _reset_at(reply: HttpReply, rate_limit: RateLimit | None, now: datetime) -> datetime | None:
    """Return when to call again. Every reply has the reset time of the call limit; only for a 429 does it matter."""
    retry_time = retry_after(reply.headers, now)
    if reply.status != 429:
        return retry_time if reply.status == 503 else None
    if rate_limit is not None and rate_limit.reset_at is not None:
        return rate_limit.reset_at
    return retry_time if retry_time is not None else now + timedelta(seconds=60)


def status_error(
    operation: Operation[Any], request: HttpRequest, status: int, parsed: ParsedReply
) -> StatusError | None:
    """Return the error of a reply; None for a success."""
    body = parsed.body if parsed.body is not None else {}
    if status in operation.accepts and body.get("error") is not True:
        return None
    if 200 <= status < 300 and body.get("error") is not True:
        return None
    msg = _message(status, parsed)
    return status_error_class(status)(request.method, request.path, status, msg, _detail(body), parsed.reset_at)


def result(operation: Operation[T], request: HttpRequest, status: int, parsed: ParsedReply) -> T | ApiError:
    """Return the result of an operation, or the error when the body is not in the documented form."""
    body = parsed.body
    if body is None and (parsed.text.strip() or operation.method != "DELETE"):
        return UnexpectedReply(request.method, request.path, status, "not a JSON object", parsed.text)
    try:
        return operation.read(_envelope(body if body is not None else {}, status, request))
    except msgspec.ValidationError as error:
        return UnexpectedReply(request.method, request.path, status, str(error), parsed.text)


def _envelope(body: dict[str, Any], status: int, request: HttpRequest) -> Envelope:
    parts = urlsplit(request.url)
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
    """Return the usage figures of a 429: in ``data``, or beside ``msg``."""
    held = (body or {}).get("data")
    return held if isinstance(held, dict) else body or {}


def _message(status: int, parsed: ParsedReply) -> str:
    body = parsed.body if parsed.body is not None else {}
    for key in ("msg", "message", "error"):
        if isinstance(body.get(key), str):
            return str(body[key])
    if 300 <= status < 400:
        return "a redirect, which is not followed because the key would go with it; correct the base URL"
    return "no message" if parsed.body is not None else "a body that is not JSON, from a gateway perhaps"


def _detail(body: dict[str, Any]) -> Any:
    if "data" in body:
        return body["data"]
    rest = {key: value for key, value in body.items() if key not in ("error", "msg")}
    return rest or None
