"""An asked request as the receiver shows it, in Python and as JSON (``GET /requests/{id}``)."""

from datetime import datetime
from typing import Literal

import msgspec

from hitlsh.asking.ask_outcomes import AskOutcome
from hitlsh.events import Trust

#: ``queued``: waits until calls to HITL.sh are available. ``asking``: is being created at HITL.sh, or whether it was is
#: being found out. ``open``: HITL.sh has it. ``ended``: it has an outcome.
AskStatus = Literal["queued", "asking", "open", "ended"]


class AskStep(msgspec.Struct, frozen=True, kw_only=True):
    """One loop that was asked, or will be when the loop before it times out."""

    #: As it was given: id or name.
    loop: str
    #: HITL.sh's id; None until it is created.
    request_id: str | None = None
    asked_at: datetime | None = None
    timeout_at: datetime | None = None
    #: ``timed_out`` where the next loop was asked instead; None otherwise.
    outcome: Literal["timed_out"] | None = None


class AskedRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A question that was asked, or will be, and its outcome. Times are aware."""

    #: Ours, from the moment of asking: ``ask_`` and 22 characters.
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
    #: None until it has ended with the trust that is demanded.
    outcome: AskOutcome | None = None
    #: Answers that do not count: to a loop that had timed out, or in conflict with the outcome.
    late_answers: tuple[AskOutcome, ...] = ()
    #: The least trust that its outcome must have.
    trust: Trust = "callback"
    #: While it waits for calls: when it is tried again, if that is known.
    retry_at: datetime | None = None
    #: Grows with each change.
    version: int


def encode_asked(request: AskedRequest) -> bytes:
    """The JSON of an asked request; every field is always present."""
    return msgspec.json.encode(request)


def decode_asked(body: bytes) -> AskedRequest:
    """The asked request of a JSON object; fields that are not known are ignored. Raises ``msgspec.ValidationError``."""
    return msgspec.json.decode(body, type=AskedRequest)
