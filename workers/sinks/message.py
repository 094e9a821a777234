"""The JSON that sinks send: one decision, documented and versioned (docs/decision.schema.json)."""

import hashlib
from datetime import datetime
from typing import Any, Literal

import msgspec

from hitlsh.events import Outcome, Reviewer, Source, Trust
from workers.decision import ATTRIBUTES, Decision


class LoopReference(msgspec.Struct, frozen=True, kw_only=True):
    """A loop; id or name may be null, not both."""

    id: str | None
    name: str | None


class ReviewerReference(msgspec.Struct, frozen=True, kw_only=True):
    """A reviewer; each field may be null."""

    id: str | None
    name: str | None
    email: str | None


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """One decision for one sink. Every key is always present; within version 1 keys are only added."""

    version: Literal[1] = 1
    #: The vendor's event name.
    type: str
    #: The same each time a decision is sent to the same sink: a receiver deduplicates by it.
    id: str
    #: The same for all sinks.
    event_key: str
    request_id: str | None
    loop: LoopReference | None
    outcome: Outcome | None
    source: Source | None
    trust: Trust
    response: Any
    response_type: str | None
    labels: tuple[str, ...]
    default_response: Any
    reviewer: ReviewerReference | None
    state: Any
    metadata: dict[str, Any] | None
    occurred_at: datetime | None
    received_at: datetime
    late: bool
    conflict: bool
    overrules: bool

    @classmethod
    def of(cls, decision: Decision, *, target: str) -> "Message":
        """The message for one sink. `target` identifies the sink; the id does not disclose it."""
        shared = {name: getattr(decision, name) for name in cls.__struct_fields__ if name in _SHARED}
        return cls(
            type=decision.event,
            id=_message_id(decision.event_key, target),
            loop=_loop(decision),
            reviewer=_reviewer(decision.reviewer),
            **shared,
        )

    @property
    def body(self) -> bytes:
        """The message as JSON in UTF-8."""
        return msgspec.json.encode(self)


#: Keys that equal an attribute of `Decision`.
_SHARED = frozenset(ATTRIBUTES) - {"reviewer"}


def _message_id(event_key: str, target: str) -> str:
    return f"msg_{hashlib.sha256(f'{target}|{event_key}'.encode()).hexdigest()[:32]}"


def _loop(decision: Decision) -> LoopReference | None:
    if decision.loop_id is None and decision.loop_name is None:
        return None
    return LoopReference(id=decision.loop_id, name=decision.loop_name)


def _reviewer(reviewer: Reviewer | None) -> ReviewerReference | None:
    if reviewer is None:
        return None
    return ReviewerReference(id=reviewer.id, name=reviewer.name, email=reviewer.email)
