"""Errors of asking, raised by the receiver and by its clients. The tree is drawn in `hitlsh`."""

from collections.abc import Sequence
from datetime import datetime

import msgspec

from hitlsh.errors import HitlshError


class AskError(HitlshError):
    """Base of all errors of asking: a question was not asked, or a request could not be read or cancelled."""


class FieldProblem(msgspec.Struct, frozen=True, kw_only=True):
    """The problem of one field of a question."""

    #: Such as ``default_response`` or ``escalate_to[0].loop``; empty for the question as a whole.
    field: str
    #: Without the field's name.
    problem: str

    def __str__(self) -> str:
        return f"{self.field} {self.problem}".strip()


class QuestionInvalid(AskError, ValueError):
    """A question breaks a limit; nothing was asked."""

    def __init__(self, problems: Sequence[FieldProblem]) -> None:
        super().__init__(tuple(problems))
        self.problems = tuple(problems)

    def __str__(self) -> str:
        return "The question was not asked: " + "; ".join(map(str, self.problems))


class KeyConflict(AskError):
    """Another question was asked with the same key; nothing was asked."""

    def __init__(self, key: str, fields: Sequence[str], request_id: str) -> None:
        super().__init__(key, tuple(fields), request_id)
        self.key = key
        #: Names of the fields that differ, sorted.
        self.fields = tuple(fields)
        #: Our own id of the request that has the key.
        self.request_id = request_id

    def __str__(self) -> str:
        return (
            f"The key {self.key!r} belongs to {self.request_id}, whose {', '.join(self.fields)} differ"
            f"{'s' if len(self.fields) == 1 else ''}: ask the same question again, or choose another key"
        )


class AskRefused(AskError):
    """The question cannot be asked now; nothing was asked or stored."""

    def __init__(self, reason: str, retry_at: datetime | None = None) -> None:
        super().__init__(reason, retry_at)
        self.reason = reason
        #: When to ask again: aware; None if that is unknown.
        self.retry_at = retry_at

    def __str__(self) -> str:
        time = "later" if self.retry_at is None else f"after {self.retry_at.isoformat(timespec='seconds')}"
        return f"Not asked: {self.reason}. Ask again {time}"


class AskUnknown(AskError):
    """No asked request has this id, or it has expired."""

    def __init__(self, request_id: str) -> None:
        super().__init__(request_id)
        self.request_id = request_id

    def __str__(self) -> str:
        return f"No request that was asked here has the id {self.request_id!r}, or it is no longer kept"


class CannotCancel(AskError):
    """The request can no longer be cancelled, or not yet."""

    def __init__(self, request_id: str, reason: str) -> None:
        super().__init__(request_id, reason)
        self.request_id = request_id
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.request_id} was not cancelled: {self.reason}"
