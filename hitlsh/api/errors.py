"""The exceptions of the API client. Their tree is drawn in `hitlsh.api`."""

import json
from datetime import datetime
from typing import Any, ClassVar

from hitlsh.errors import HitlshError


class ApiError(HitlshError):
    """A call to HITL.sh did not return what it was made for."""


class ClientMisconfigured(ApiError, ValueError):
    """The API key or the address cannot be used."""


class ArgumentInvalid(ApiError, ValueError):
    """An argument breaks a documented limit; no call was made."""

    def __init__(self, field: str | None, problem: str) -> None:
        super().__init__(field, problem)
        #: The field of the API that the argument fills, such as ``default_response``; None where it is none of them.
        self.field = field
        #: What is wrong with its value, without the field's name.
        self.problem = problem

    def __str__(self) -> str:
        return self.problem if self.field is None else f"{self.field} {self.problem}"


class BudgetExhausted(ApiError):
    """The client's own budget refused the call; no call was made."""

    def __init__(self, message: str, reset_at: datetime | None = None) -> None:
        super().__init__(message, reset_at)
        self.message = message
        #: When calls are available again: aware; None if that is unknown.
        self.reset_at = reset_at

    def __str__(self) -> str:
        return self.message


class Unreachable(ApiError):
    """No reply was received."""

    def __init__(self, method: str, path: str, reason: str, sent: bool) -> None:
        super().__init__(method, path, reason, sent)
        self.method = method
        self.path = path
        self.reason = reason
        #: Whether HITL.sh may have acted on the call. False only when no byte of it was sent.
        self.sent = sent

    def __str__(self) -> str:
        message = f"{self.method} {self.path} got no reply ({self.reason})"
        if self.sent and self.method != "GET":
            return f"{message}: HITL.sh may have acted on it, so check before you repeat it"
        return f"{message}: check the network and the base URL, then try again"


class UnexpectedReply(ApiError):
    """A reply is not in the documented form. The call itself may have succeeded."""

    def __init__(self, method: str, path: str, status: int, reason: str, body: str) -> None:
        super().__init__(method, path, status, reason, body)
        self.method = method
        self.path = path
        self.status = status
        self.reason = reason
        #: The beginning of the body, for a person to read.
        self.body = body

    def __str__(self) -> str:
        return (
            f"{self.method} {self.path} answered {self.status} with an unexpected body ({self.reason}): "
            "compare `body` with the documents; the call itself may have succeeded"
        )


class StatusError(ApiError):
    """HITL.sh answered with an error status, or with ``error: true``."""

    #: What to do about the error.
    advice: ClassVar[str] = "see the HITL.sh documents for this call"

    def __init__(
        self,
        method: str,
        path: str,
        status: int,
        msg: str,
        data: Any = None,
        reset_at: datetime | None = None,
    ) -> None:
        super().__init__(method, path, status, msg, data, reset_at)
        self.method = method
        self.path = path
        self.status = status
        #: The message of HITL.sh; a description of the reply when its body was not JSON.
        self.msg = msg
        #: The envelope's ``data``: validation text, the usage figures of a 429, or None.
        self.data = data
        #: When to call again, from ``X-RateLimit-Reset``, the body or ``Retry-After``: aware; None if not given.
        self.reset_at = reset_at
        #: The failure after which this call was repeated, when HITL.sh may have carried out the first attempt:
        #: a 404 for a repeated DELETE can mean that the first one deleted the resource.
        self.earlier_failure: ApiError | None = None

    def __str__(self) -> str:
        message = f"{self.method} {self.path} answered {self.status}: {self.msg}{self._detail()} ({self.advice})"
        if self.earlier_failure is None:
            return message
        return f"{message}; an earlier attempt may have been carried out: {self.earlier_failure}"

    def _detail(self) -> str:
        if self.data is None:
            return ""
        detail = self.data if isinstance(self.data, str) else json.dumps(self.data, ensure_ascii=False)
        return f": {detail[:300]}"


class BadRequest(StatusError):
    """400: the id, the body or the state of the resource does not allow it."""

    advice = "correct what the message names; the same call would fail again"


class Unauthorized(StatusError):
    """401: the key is missing, unknown or inactive."""

    advice = "check the API key, HITL_API_KEY in the environment"


class Forbidden(StatusError):
    """403: the resource belongs to another key or user."""

    advice = "only the key that created a request can use it, and only its creator a loop"


class NotFound(StatusError):
    """404: no such resource, or not for this key."""

    advice = "check the id, the base URL and that this key created the resource"


class Conflict(StatusError):
    """409: already decided, or not possible in the current state."""

    advice = "read the resource again before you decide"


class RateLimited(StatusError):
    """429: the API key has no call left until ``reset_at``."""

    @property
    def advice(self) -> str:  # type: ignore[override]  # the one class whose advice depends on the reply
        until = f"after {self.reset_at.isoformat()}" if self.reset_at is not None else "in a minute"
        return f"call again {until}, or raise max_wait to let the client wait"


class ServerError(StatusError):
    """5xx: HITL.sh or a gateway before it failed."""

    advice = "try again later; after a create, check first whether the request exists"


#: The class of each error status; other 4xx and redirects are a plain `StatusError`.
BY_STATUS: dict[int, type[StatusError]] = {
    400: BadRequest,
    401: Unauthorized,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    429: RateLimited,
}


def status_error_class(status: int) -> type[StatusError]:
    """Return the class of an error status."""
    return ServerError if status >= 500 else BY_STATUS.get(status, StatusError)
