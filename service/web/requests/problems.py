"""The errors of the HTTP API, as problem documents (RFC 9457)."""

import math
from collections.abc import Sequence
from datetime import UTC, datetime

import msgspec

from hitlsh.api.errors import ApiError, ArgumentInvalid, BudgetExhausted, RateLimited, StatusError, Unauthorized
from hitlsh.asking.ask_errors import (
    AskError,
    AskRefused,
    AskUnknown,
    CannotCancel,
    FieldProblem,
    KeyConflict,
    QuestionInvalid,
)
from service.errors import ServiceError

MEDIA_TYPE = b"application/problem+json"
#: Default seconds of ``Retry-After``.
RETRY_SECONDS = 5
_TYPE = "urn:hitl-receiver:problem:"


class Problem(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A problem document."""

    #: The kind of problem, for programs.
    type: str
    title: str
    status: int
    #: What is wrong, and what to do.
    detail: str
    #: For a question or parameters: the problem of each field.
    problems: tuple[FieldProblem, ...] = ()
    #: For a key conflict: the fields in which the questions differ.
    fields: tuple[str, ...] = ()
    #: For a key conflict: the request that has the key.
    request_id: str | None = None


class RequestProblem(ServiceError):
    """A call is answered with a problem."""

    def __init__(self, problem: Problem, *, headers: Sequence[tuple[bytes, bytes]] = ()) -> None:
        super().__init__(problem.status, problem.type)
        self.problem = problem
        self.headers = list(headers)


def token_unknown() -> RequestProblem:
    """401: the token is missing or unknown; the answer does not say which."""
    detail = "Send one of the receiver's HITL_TOKENS as `Authorization: Bearer TOKEN`."
    problem = _document(401, "token-unknown", "Unauthorized", detail)
    return RequestProblem(problem, headers=[(b"www-authenticate", b'Bearer realm="hitl-receiver"')])


def scope_missing(name: str, scope: str) -> RequestProblem:
    """403: the token lacks the scope."""
    detail = f"The token {name} does not have the scope {scope}: add it in HITL_TOKENS, or use another token."
    challenge = f'Bearer realm="hitl-receiver", error="insufficient_scope", scope="{scope}"'
    problem = _document(403, "scope-missing", "Forbidden", detail)
    return RequestProblem(problem, headers=[(b"www-authenticate", challenge.encode())])


def method_not_allowed(method: str, allowed: Sequence[str]) -> RequestProblem:
    """405: the path does not serve this method."""
    names = ", ".join(allowed)
    problem = _document(405, "method-not-allowed", "Method not allowed", f"{method} is not served here: use {names}.")
    return RequestProblem(problem, headers=[(b"allow", names.encode())])


def parameter_invalid(problems: Sequence[FieldProblem]) -> RequestProblem:
    """400: query parameters are invalid."""
    detail = "; ".join(map(str, problems)) + "."
    return RequestProblem(_document(400, "parameter-invalid", "Parameter invalid", detail, problems=tuple(problems)))


def body_refused(status: int) -> RequestProblem:
    """The body was not read: 408, 413 or 415; 503 if too many bodies arrive at once."""
    kind, title, detail = {
        408: ("body-too-slow", "Request timeout", "The body did not arrive in time: send it again."),
        413: ("body-too-large", "Content too large", "The question is too long: shorten its context."),
        415: (
            "media-type-unsupported",
            "Unsupported media type",
            "Send JSON with `Content-Type: application/json` (with curl: `--json`).",
        ),
    }.get(status, ("overloaded", "Unavailable", "Too many bodies arrive at once: try again."))
    headers = _retry_after(RETRY_SECONDS) if status == 503 else []
    return RequestProblem(_document(status, kind, title, detail), headers=headers)


def too_many_calls(name: str, violation: str, seconds: float) -> RequestProblem:
    """429: the token exceeds a limit. `violation`: which one, as in "makes too many calls"."""
    detail = f"The token {name} {violation}: try again after the time in Retry-After."
    return RequestProblem(_document(429, "too-many-calls", "Too many calls", detail), headers=_retry_after(seconds))


def unavailable(reason: str, seconds: float = RETRY_SECONDS) -> RequestProblem:
    """503: a failure on the receiver's side."""
    detail = f"{reason}: try again after the time in Retry-After."
    return RequestProblem(_document(503, "unavailable", "Unavailable", detail), headers=_retry_after(seconds))


def failed() -> RequestProblem:
    """500: an unexpected error."""
    detail = "The receiver could not carry out the call: its log says why. Whether it took effect is not known."
    return RequestProblem(_document(500, "failed", "Internal error", detail))


def of_ask_error(error: AskError) -> RequestProblem:
    """The problem document for an error of asking."""
    match error:
        case QuestionInvalid():
            detail = f"{error}."
            return RequestProblem(
                _document(422, "question-invalid", "Question invalid", detail, problems=error.problems)
            )
        case KeyConflict():
            return RequestProblem(
                _document(
                    409, "key-conflict", "Key conflict", f"{error}.", fields=error.fields, request_id=error.request_id
                )
            )
        case CannotCancel():
            return RequestProblem(_document(409, "not-cancelled", "Not cancelled", f"{error}."))
        case AskUnknown():
            return RequestProblem(_document(404, "request-unknown", "Request unknown", f"{error}."))
        case AskRefused():
            seconds = RETRY_SECONDS if error.retry_at is None else (error.retry_at - datetime.now(UTC)).total_seconds()
            return RequestProblem(
                _document(429, "calls-used-up", "Not asked", f"{error}."), headers=_retry_after(seconds)
            )
    return unavailable(str(error))


def of_api_error(error: ApiError) -> RequestProblem:
    """The problem document for a failed call to HITL.sh."""
    match error:
        case ArgumentInvalid():
            return of_ask_error(QuestionInvalid([FieldProblem(field=error.field or "", problem=error.problem)]))
        case BudgetExhausted() | RateLimited():
            return of_ask_error(AskRefused("no call to HITL.sh is left", error.reset_at))
        case Unauthorized():
            return unavailable("HITL.sh refuses the receiver's API key", 60)
        case StatusError() if error.status < 500:
            return RequestProblem(_document(422, "refused-by-hitl", "Refused by HITL.sh", f"{error}."))
    return unavailable(f"HITL.sh cannot be used now ({type(error).__name__})")


def _document(
    status: int,
    kind: str,
    title: str,
    detail: str,
    *,
    problems: tuple[FieldProblem, ...] = (),
    fields: tuple[str, ...] = (),
    request_id: str | None = None,
) -> Problem:
    return Problem(
        type=_TYPE + kind,
        title=title,
        status=status,
        detail=detail,
        problems=problems,
        fields=fields,
        request_id=request_id,
    )


def _retry_after(seconds: float) -> list[tuple[bytes, bytes]]:
    return [(b"retry-after", str(max(1, math.ceil(seconds))).encode())]
