"""The exceptions of the API client. Their tree is drawn in `hitlsh.api`."""

import json
from datetime import datetime
from typing import Any, ClassVar

from hitlsh.errors import HitlshError


class ApiError(HitlshError):
    """A call to HITL.sh did not give what was asked."""


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
    """The client-side budget refused the call; HITL.sh was not asked."""

    def __init__(self, message: str, reset_at: datetime | None = None) -> None:
        super().__init__(message, reset_at)
        self.message = message
        #: When there will be calls again, if known.
        self.reset_at = reset_at

    def __str__(self) -> str:
        return self.message


class Unreachable(ApiError):
    """No reply came. ``sent`` says whether HITL.sh may nevertheless have acted."""

    def __init__(self, method: str, path: str, reason: str, sent: bool) -> None:
        super().__init__(method, path, reason, sent)
        self.method = method
        self.path = path
        self.reason = reason
        #: False only when no byte of the request can have reached HITL.sh.
        self.sent = sent

    def __str__(self) -> str:
        told = f"{self.method} {self.path} got no reply ({self.reason})"
        if self.sent and self.method != "GET":
            return f"{told}: HITL.sh may have acted on it, so look before you repeat it"
        return f"{told}: check the network and the base URL, then try again"


class UnexpectedReply(ApiError):
    """HITL.sh answered, but not in the documented form; the call itself may have succeeded."""

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
        #: The server's own words; a short description when the body was not JSON.
        self.msg = msg
        #: The envelope's ``data``: validation text, the usage figures of a 429, or None.
        self.data = data
        #: When to ask again, from ``X-RateLimit-Reset``, the body or ``Retry-After``.
        self.reset_at = reset_at
        #: The failure after which this call was repeated, when HITL.sh may have carried out the first attempt:
        #: a 404 for a repeated DELETE can mean that the first one deleted the resource.
        self.earlier_failure: ApiError | None = None

    def __str__(self) -> str:
        told = f"{self.method} {self.path} answered {self.status}: {self.msg}{self._detail()} ({self.advice})"
        if self.earlier_failure is None:
            return told
        return f"{told}; an earlier attempt may have been carried out: {self.earlier_failure}"

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
    """403: the resource belongs to somebody else."""

    advice = "requests are open to the key that created them, loops to their creator"


class NotFound(StatusError):
    """404: no such resource, or not for this key."""

    advice = "check the id, the base URL and that this key created the resource"


class Conflict(StatusError):
    """409: already decided, or not possible in this state."""

    advice = "read the resource again before you decide"


class RateLimited(StatusError):
    """429: the key's calls for this window are used up; ``reset_at`` says until when."""

    @property
    def advice(self) -> str:  # type: ignore[override]  # the one class whose advice depends on the reply
        until = f"after {self.reset_at.isoformat()}" if self.reset_at is not None else "in a minute"
        return f"ask again {until}, or let the client wait by raising max_wait"


class ServerError(StatusError):
    """5xx: HITL.sh or a gateway before it is in trouble."""

    advice = "try again later; after a create, look whether the request exists first"


#: Which class tells which status apart; other 4xx and redirects are plain `StatusError`.
BY_STATUS: dict[int, type[StatusError]] = {
    400: BadRequest,
    401: Unauthorized,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    429: RateLimited,
}


def refusal_class(status: int) -> type[StatusError]:
    """The class for an error status."""
    return ServerError if status >= 500 else BY_STATUS.get(status, StatusError)
