"""The record of a question: what is asked, of which loops, and its progress. Pure."""

from typing import Literal

import msgspec

from hitlsh.api.questions.new_question import NewQuestion
from hitlsh.asking.ask_outcomes import Cancelled, Lost

#: Difference of the queue scores of two priorities; no time in seconds is as large.
_RANK = 1e11
_RANKS = {"critical": 0, "high": 1, "medium": 2, "low": 3}


class SearchPosition(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How far HITL.sh's list of requests, newest first, has been searched: the last request that was examined."""

    request_id: str
    #: Seconds since 1970 by HITL.sh's clock; None if it does not show it.
    created_at: float | None = None
    #: Its place in the list.
    offset: int


class QuestionStep(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One loop, asked or to be asked. Times are seconds since 1970 by the clock of the host that asked."""

    loop: str
    timeout_seconds: int | None = None
    #: The intent: set while a request is being created, or while it is unknown whether one was created.
    begun_at: float | None = None
    #: Hash of the API key of the latest attempt; empty before the first.
    api_key: str = ""
    #: Ids of the callback tokens of all attempts; a request with one of them belongs to this step.
    token_ids: tuple[str, ...] = ()
    #: How far the request of the current attempt has been searched for; None before the search.
    searched_to: SearchPosition | None = None
    #: The request at HITL.sh, once it is known.
    request_id: str | None = None
    asked_at: float | None = None
    timeout_at: float | None = None
    outcome: Literal["timed_out"] | None = None


class QuestionRecord(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One question. Only the asking service changes it, by compare-and-set."""

    id: str
    question: NewQuestion
    created_at: float
    #: Public URL of the receiver, from the process that asked; other processes need no HITL_PUBLIC_URL.
    public_url: str
    steps: tuple[QuestionStep, ...]
    #: Number of the current step.
    current: int = 0
    #: When to try again; set while it waits for the call budget or for HITL.sh to be reachable.
    retry_at: float | None = None
    #: How often it was postponed.
    postponements: int = 0
    #: Somebody cancelled it while it was unknown whether HITL.sh has the request.
    wants_cancel: bool = False
    #: HITL.sh has accepted a cancellation.
    cancelled_at: float | None = None
    #: The outcome, if HITL.sh never had the request.
    ended: Cancelled | Lost | None = None
    #: Of the trace in which it was asked; empty without tracing.
    traceparent: str = ""

    @property
    def step(self) -> QuestionStep:
        """The current step."""
        return self.steps[self.current]

    @property
    def is_unfinished(self) -> bool:
        """A call that creates the request began, and its result is unknown."""
        return self.step.request_id is None and self.step.begun_at is not None

    @property
    def unbound_since(self) -> float | None:
        """When the call began whose request is not known yet, if another loop is asked after its timeout."""
        is_passed_on = self.ended is None and not self.is_last_step
        return self.step.begun_at if is_passed_on and self.is_unfinished else None

    @property
    def is_unasked(self) -> bool:
        """No request is known to have been created for it."""
        return self.current == 0 and self.step.request_id is None

    @property
    def is_rejected(self) -> bool:
        """It was refused before HITL.sh had it: the same question may be asked again."""
        return self.is_unasked and isinstance(self.ended, Lost)

    @property
    def is_last_step(self) -> bool:
        """No other loop is asked after the current step."""
        return self.current == len(self.steps) - 1

    @property
    def queue_score(self) -> float | None:
        """Its score in the queue of questions that wait for calls: lower is first; None if it does not wait."""
        if self.retry_at is None or self.ended is not None:
            return None
        return _RANKS[self.question.priority] * _RANK + self.created_at

    def with_step(self, **changes: object) -> "QuestionRecord":
        """The record with changes to the current step."""
        step = msgspec.structs.replace(self.step, **changes)
        steps = (*self.steps[: self.current], step, *self.steps[self.current + 1 :])
        return msgspec.structs.replace(self, steps=steps)

    def with_changes(self, **changes: object) -> "QuestionRecord":
        """A copy with these fields changed."""
        return msgspec.structs.replace(self, **changes)


class StoredQuestion(msgspec.Struct, frozen=True, kw_only=True):
    """A record and its revision."""

    record: QuestionRecord
    #: For compare-and-set; 0 before the first save.
    revision: int
    #: Incremented by each change that a waiter can see.
    version: int


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(QuestionRecord).decode


def encode_record(record: QuestionRecord) -> bytes:
    """The record as JSON."""
    return _encode(record)


def stored_question(fields: dict[bytes, bytes]) -> StoredQuestion | None:
    """The question that this Redis hash holds; None for an empty hash."""
    if b"record" not in fields:
        return None
    return StoredQuestion(
        record=_decode(fields[b"record"]),
        revision=int(fields.get(b"revision", 0)),
        version=int(fields.get(b"version", 0)),
    )
