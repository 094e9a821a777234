"""An asked request as the receiver shows it, in Python and as JSON (``GET /requests/{id}``)."""

from datetime import datetime
from typing import Literal

import msgspec

from hitlsh.asking.ask_outcomes import AskOutcome
from hitlsh.events import Trust

#: ``queued``: waits for the call budget or for HITL.sh. ``asking``: is being created at HITL.sh, or it is being checked
#: whether it was. ``open``: exists at HITL.sh. ``ended``: has an outcome.
AskStatus = Literal["queued", "asking", "open", "ended"]


class AskStep(msgspec.Struct, frozen=True, kw_only=True):
    """One loop that was asked, or will be when the loop before it times out."""

    #: Id or name, as given.
    loop: str
    #: HITL.sh's id; None until it is created.
    request_id: str | None = None
    asked_at: datetime | None = None
    timeout_at: datetime | None = None
    #: ``timed_out`` if the next loop was asked instead; else None.
    outcome: Literal["timed_out"] | None = None


class AskedRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A question that was or will be asked, and its outcome. Times are aware."""

    #: The receiver's id, known at once: ``ask_`` and 22 characters.
    id: str
    #: The idempotency key.
    key: str | None = None
    status: AskStatus
    #: HITL.sh's id of the request of the current step.
    request_id: str | None = None
    text: str
    response_type: str
    #: When HITL.sh was asked in the current step, and when that times out.
    asked_at: datetime | None = None
    timeout_at: datetime | None = None
    steps: tuple[AskStep, ...] = ()
    #: None until the request has ended with the demanded trust.
    outcome: AskOutcome | None = None
    #: Answers that do not count: to a loop that had timed out, or in conflict with the outcome.
    late_answers: tuple[AskOutcome, ...] = ()
    #: The least trust that its outcome must have.
    trust: Trust = "callback"
    #: For a queued request: when it is tried again, if known.
    retry_at: datetime | None = None
    #: Incremented by each change.
    version: int


def encode_asked(request: AskedRequest) -> bytes:
    """The JSON of an asked request; every field is always present."""
    return msgspec.json.encode(request)


def decode_asked(body: bytes) -> AskedRequest:
    """The asked request of a JSON object; unknown fields are ignored. Raises ``msgspec.ValidationError``."""
    return msgspec.json.decode(body, type=AskedRequest)
