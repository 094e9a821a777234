"""The record of a question: what was asked, of which loops, and how far that has come. Pure."""

from typing import Literal

import msgspec

from hitlsh.api.questions.new_question import NewQuestion
from hitlsh.asking.ask_outcomes import Cancelled, Lost

#: Places in the queue of two priorities are this far apart; no time in seconds is as large.
_RANK = 1e11
_RANKS = {"critical": 0, "high": 1, "medium": 2, "low": 3}


class QuestionStep(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One loop, asked or to be asked. Times are seconds since 1970 by the clock of the host that asked."""

    loop: str
    timeout_seconds: int | None = None
    #: Set while a request is being created, or while it is not known whether one was: the intent.
    begun_at: float | None = None
    #: Ids of the callback tokens with which it was tried; a request with one of them is this step's.
    token_ids: tuple[str, ...] = ()
    #: HITL.sh's, once it is known.
    request_id: str | None = None
    asked_at: float | None = None
    timeout_at: float | None = None
    outcome: Literal["timed_out"] | None = None


class QuestionRecord(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One question. Only the asking service changes it, by compare-and-set."""

    id: str
    question: NewQuestion
    created_at: float
    #: Where HITL.sh reaches the receiver, as the process that asked was told: others need not be told.
    public_url: str
    steps: tuple[QuestionStep, ...]
    #: Number of the current step.
    current: int = 0
    #: Set while it waits for calls to HITL.sh, or for HITL.sh to be reachable: when to try again.
    retry_at: float | None = None
    #: How often it had to wait so.
    waits: int = 0
    #: Somebody wants it cancelled, and it is not known yet whether HITL.sh has it.
    wants_cancel: bool = False
    #: HITL.sh has accepted a cancellation.
    cancelled_at: float | None = None
    #: How it ended where HITL.sh never had it.
    ended: Cancelled | Lost | None = None
    #: Of the trace in which it was asked; empty without tracing.
    traceparent: str = ""

    @property
    def step(self) -> QuestionStep:
        """The current one."""
        return self.steps[self.current]

    @property
    def is_unfinished(self) -> bool:
        """A create began, and its end is not known."""
        return self.step.request_id is None and self.step.begun_at is not None

    @property
    def is_unasked(self) -> bool:
        """No request was created for it, as far as is known."""
        return self.current == 0 and self.step.request_id is None

    @property
    def is_rejected(self) -> bool:
        """HITL.sh has never had it, nor will: the same question may be asked anew."""
        return self.is_unasked and isinstance(self.ended, Lost)

    @property
    def is_last_step(self) -> bool:
        return self.current == len(self.steps) - 1

    @property
    def place(self) -> float | None:
        """Its place in the queue of questions that wait for calls; None where it does not wait."""
        if self.retry_at is None or self.ended is not None:
            return None
        return _RANKS[self.question.priority] * _RANK + self.created_at

    def with_step(self, **changes: object) -> "QuestionRecord":
        """The record with changes to the current step."""
        step = msgspec.structs.replace(self.step, **changes)
        steps = (*self.steps[: self.current], step, *self.steps[self.current + 1 :])
        return msgspec.structs.replace(self, steps=steps)

    def changed(self, **changes: object) -> "QuestionRecord":
        return msgspec.structs.replace(self, **changes)


class StoredQuestion(msgspec.Struct, frozen=True, kw_only=True):
    """A record as it was read."""

    record: QuestionRecord
    #: For compare-and-set; 0 before it is saved first.
    revision: int
    #: Grows with each change that a waiter can see.
    version: int


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(QuestionRecord).decode


def encode_record(record: QuestionRecord) -> bytes:
    return _encode(record)


def stored_question(fields: dict[bytes, bytes]) -> StoredQuestion | None:
    """The question whose hash has these fields; None where there is none."""
    if b"record" not in fields:
        return None
    return StoredQuestion(
        record=_decode(fields[b"record"]),
        revision=int(fields.get(b"revision", 0)),
        version=int(fields.get(b"version", 0)),
    )
