"""Events of HITL.sh as values: one shape for every payload form of the vendor's documents.

Follows https://docs.hitl.sh, "Webhooks", "Global webhooks" and the pages that print other payloads.
"""

import hashlib
from datetime import datetime
from typing import Any, Literal

import msgspec

#: How a request ended.
Outcome = Literal["completed", "timeout", "cancelled"]
#: Who decided: a person, HITL.sh with the default response, or nobody.
Source = Literal["human", "vendor_default", "cancelled"]
#: How the sender of an event is proven: our token in the callback URL, an HMAC, or a read of the API.
Trust = Literal["signed", "callback", "confirmed"]


class Reviewer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The person who answered or claimed a request. HITL.sh sends any of the three fields."""

    id: str | None = None
    name: str | None = None
    email: str | None = None


class LoopMember(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The member that an event of a loop is about."""

    id: str | None = None
    email: str | None = None
    name: str | None = None
    #: ``pending`` until the person has joined in the app, then ``active``.
    status: str | None = None
    #: ``admin`` or ``member``.
    role: str | None = None
    #: Aware, UTC.
    joined_at: datetime | None = None


class RefundInfo(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Whether the cancellation of a request gave one call of the API key's hour back."""

    refunded: bool | None = None
    #: A sentence of HITL.sh, such as ``Request cancelled before processing began``.
    reason: str | None = None


class Event(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Something that happened at HITL.sh: one event, however often and in whichever form it is delivered."""

    #: The payload form: ``callback-v2``, ``nested``, ``intro-flat``, ``data-flat``, ``global``, ``n8n-doc``,
    #: ``make-flat``, ``make-workflow``, ``turn.resolved``, ``handoff``, ``legacy-r0``, ``n8n-resume``, ``api``.
    variant: str
    #: HITL.sh's name of the event, such as ``request.completed``. Names that are not documented are kept.
    name: str
    #: Equal for every delivery of one event, in whichever form; at most 256 characters.
    key: str
    request_id: str | None = None
    loop_id: str | None = None
    loop_name: str | None = None
    #: The status of the request with aliases mapped (``timed_out`` is ``timeout``). An unknown status is kept; it does
    #: not end the request.
    status: str | None = None
    #: Set only when this event ends its request.
    outcome: Outcome | None = None
    source: Source | None = None
    #: str, list, int, float or bool; None when nobody answered. ``False``, ``0``, ``""`` and ``[]`` are answers.
    response: Any = None
    #: ``text``, ``single_select``, ``multi_select``, ``rating``, ``number``, ``boolean`` or ``editable_text``.
    response_type: str | None = None
    #: The labels that the reviewer saw for the response, where the payload has them.
    labels: tuple[str, ...] = ()
    #: What holds when nobody answers in time, where the payload has it. Never an answer.
    default_response: Any = None
    reviewer: Reviewer | None = None
    #: The request's own metadata or context, when the payload carries it.
    metadata: dict[str, Any] | None = None
    #: When it happened: aware, UTC.
    occurred_at: datetime | None = None
    #: When the request was created: aware, UTC.
    created_at: datetime | None = None
    #: When the request times out or has timed out: aware, UTC.
    timeout_at: datetime | None = None
    #: Digest of the outcome, equal for the same answer in every payload form; two digests for one request are a
    #: conflict. None where the form does not hold enough to compare.
    fingerprint: str | None = None
    #: For editable text: whether the reviewer changed the draft. None where the payload does not say.
    was_edited: bool | None = None
    #: The workflow and its execution that ``execution.*`` events are about (`make-workflow`).
    workflow_id: str | None = None
    execution_id: str | None = None
    #: The session of a coding agent to which a turn belongs (`turn.resolved`).
    session_id: str | None = None
    #: The member who joined or left (``loop.member_joined`` and ``loop.member_left`` of the account webhook).
    member: LoopMember | None = None
    #: Only in ``request.cancelled`` of the account webhook.
    refund_info: RefundInfo | None = None


class Unreadable(msgspec.Struct, frozen=True, kw_only=True):
    """A verified body that holds no known event."""

    #: ``not_json`` is answered with 400, ``unsupported_*`` (declared by the headers) with 415, and ``unknown_shape``
    #: with 202: HITL.sh may have added the form since.
    reason: Literal["not_json", "unknown_shape", "unsupported_type", "unsupported_encoding"]
    #: ``unreadable:`` and the SHA-256 of the body, so that a repeated delivery is kept once.
    key: str

    @classmethod
    def of(
        cls,
        body: bytes,
        reason: Literal["not_json", "unknown_shape", "unsupported_type", "unsupported_encoding"],
    ) -> "Unreadable":
        """Return the value for a body."""
        return cls(reason=reason, key=f"unreadable:{hashlib.sha256(body).hexdigest()}")
