"""Parses the receiver's replies: an asked request, or the error of a problem document (RFC 9457)."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from hitlsh.api.http.rate_limit import retry_after
from hitlsh.api.http.replies import HttpReply
from hitlsh.api.operations import HttpRequest
from hitlsh.asking.ask_errors import (
    AskError,
    AskRefused,
    AskUnknown,
    CannotCancel,
    FieldProblem,
    KeyConflict,
    QuestionInvalid,
)
from hitlsh.asking.asked_request import AskedRequest, decode_asked
from hitlsh.asking_client.client_errors import ReceiverFailed, TokenRefused

_PASSING_STATUSES = frozenset({408, 500, 502, 503, 504})
_UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
#: Characters of a reply that an error shows.
_SHOWN_CHARACTERS = 300


class _Page(msgspec.Struct, frozen=True, kw_only=True):
    requests: list[AskedRequest]


def is_passing(reply: HttpReply) -> bool:
    """Whether a retry may succeed soon. Used-up calls to HITL.sh do not count: they return with the next hour."""
    if reply.status == 429:
        return not _text(_problem(reply), "type").endswith(":calls-used-up")
    return reply.status in _PASSING_STATUSES


def read_requests(http_request: HttpRequest, reply: HttpReply) -> list[AskedRequest]:
    """The asked requests of a page; raises `ReceiverFailed` for another body."""
    try:
        return msgspec.json.decode(reply.content, type=_Page).requests
    except _UNREADABLE as error:
        raise _not_as_documented(http_request, reply, error) from None


def read_request(http_request: HttpRequest, reply: HttpReply) -> AskedRequest:
    """The asked request of a reply; raises `ReceiverFailed` for another body."""
    try:
        return decode_asked(reply.content)
    except _UNREADABLE as error:
        raise _not_as_documented(http_request, reply, error) from None


def error_of(
    http_request: HttpRequest, reply: HttpReply, *, key: str | None, request_id: str | None
) -> AskError | None:
    """The error of a reply; None for a success. `key`, `request_id`: of the call, for the error."""
    if 200 <= reply.status < 300:
        return None
    problem = _problem(reply)
    detail = _text(problem, "detail") or _text(problem, "title")
    if reply.status in (401, 403):
        return TokenRefused(call_name(http_request), reply.status, detail)
    if reply.status in (400, 422) and (problems := _field_problems(problem)):
        return QuestionInvalid(problems)
    if reply.status == 404 and request_id is not None and problem:
        return AskUnknown(request_id)
    if reply.status == 409 and request_id is not None:
        return CannotCancel(request_id, detail or "the receiver gives no reason")
    if reply.status == 409 and key is not None:
        fields = problem.get("fields")
        names = [name for name in fields if isinstance(name, str)] if isinstance(fields, list) else []
        return KeyConflict(key, names, _text(problem, "request_id") or "another request")
    if reply.status == 429:
        return AskRefused(detail or "the receiver limits the calls of this token", requested_time(reply))
    return _failed(http_request, reply)


def requested_wait(reply: HttpReply) -> float:
    """Seconds that ``Retry-After`` asks for; 0.0 without one."""
    now = datetime.now(UTC)
    until = retry_after(reply.headers, now)
    return 0.0 if until is None else max(0.0, (until - now) / timedelta(seconds=1))


def requested_time(reply: HttpReply) -> datetime | None:
    """The time of ``Retry-After``; None without one."""
    return retry_after(reply.headers, datetime.now(UTC))


def call_name(http_request: HttpRequest) -> str:
    """Method and path, such as ``POST /requests``."""
    return f"{http_request.method} {http_request.path}"


def _not_as_documented(http_request: HttpRequest, reply: HttpReply, error: Exception) -> ReceiverFailed:
    detail = f"the reply is not as documented ({error}): the address may be none of a receiver, or of another version"
    return ReceiverFailed(call_name(http_request), reply.status, detail)


def _failed(http_request: HttpRequest, reply: HttpReply) -> ReceiverFailed:
    problem = _problem(reply)
    detail = _text(problem, "detail") or _text(problem, "title")
    if not detail and reply.status == 404:
        detail = "no such path: check HITL_RECEIVER_URL; a receiver serves /requests with HITL_API_KEY and HITL_TOKENS"
    elif not detail and 300 <= reply.status < 400:
        detail = "a redirect, which is not followed because the token would go with it: correct HITL_RECEIVER_URL"
    return ReceiverFailed(call_name(http_request), reply.status, detail or "no message, from a gateway perhaps")


def _problem(reply: HttpReply) -> Mapping[str, Any]:
    try:
        body = msgspec.json.decode(reply.content)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return {}
    return body if isinstance(body, dict) else {}


def _text(problem: Mapping[str, Any], name: str) -> str:
    value = problem.get(name)
    if not isinstance(value, str):
        return ""
    return "".join(character if character.isprintable() else " " for character in value[:_SHOWN_CHARACTERS])


def _field_problems(problem: Mapping[str, Any]) -> list[FieldProblem]:
    field_problems = problem.get("problems")
    try:
        return msgspec.convert(field_problems, list[FieldProblem])
    except msgspec.ValidationError:
        return []
