"""What HITL.sh tells us, as values: one event shape for every payload form of the vendor's documents."""

import hashlib
from datetime import datetime
from typing import Any, Literal

import msgspec

Outcome = Literal["completed", "timeout", "cancelled"]
Source = Literal["human", "vendor_default", "cancelled"]
Trust = Literal["signed", "callback", "confirmed"]


class Reviewer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The person who answered or claimed; HITL.sh gives any subset of the three."""

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
    """What happened, once, however often and in whichever form it is delivered."""

    #: The payload form: ``callback-v2``, ``nested``, ``intro-flat``, ``data-flat``, ``global``, ``n8n-doc``,
    #: ``make-flat``, ``make-workflow``, ``turn.resolved``, ``handoff``, ``legacy-r0``, ``n8n-resume``, ``api``.
    variant: str
    #: The vendor's event name, such as ``request.completed``; a new one needs no release.
    name: str
    #: Equal for every delivery of one fact, in whichever form; at most 256 characters.
    key: str
    request_id: str | None = None
    loop_id: str | None = None
    loop_name: str | None = None
    #: Aliases mapped (``timed_out`` is ``timeout``); a word we do not know is kept and ends nothing.
    status: str | None = None
    #: Set only when this event ends its request.
    outcome: Outcome | None = None
    source: Source | None = None
    #: str, list, number or bool; None when nobody answered. ``False``, ``0``, ``""`` and ``[]`` are answers.
    response: Any = None
    response_type: str | None = None
    #: What the reviewer saw for the response, when the payload says.
    labels: tuple[str, ...] = ()
    default_response: Any = None
    reviewer: Reviewer | None = None
    #: The request's own metadata or context, when the payload carries it.
    metadata: dict[str, Any] | None = None
    occurred_at: datetime | None = None
    #: When the request itself was created, and when it times out.
    created_at: datetime | None = None
    timeout_at: datetime | None = None
    #: Digest of the outcome, equal across payload forms of the same answer; two different ones for one
    #: request are a conflict. None where the form does not carry enough to compare.
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
    """A verified body that is no event we know: kept raw, never guessed at."""

    #: ``not_json`` is answered with 400, ``unsupported_*`` (as its headers declare it) with 415,
    #: ``unknown_shape`` with 202: it may be a form that HITL.sh added since.
    reason: Literal["not_json", "unknown_shape", "unsupported_type", "unsupported_encoding"]
    #: ``unreadable:`` and the SHA-256 of the body, so that a repeated delivery is kept once.
    key: str

    @classmethod
    def of(
        cls,
        body: bytes,
        reason: Literal["not_json", "unknown_shape", "unsupported_type", "unsupported_encoding"],
    ) -> "Unreadable":
        return cls(reason=reason, key=f"unreadable:{hashlib.sha256(body).hexdigest()}")
