"""Requests and their answers (https://docs.hitl.sh, "Requests")."""

from datetime import datetime
from typing import Any

import msgspec

from hitlsh.api.answers import Answer, outcome_of, read_answer
from hitlsh.api.resource import Resource
from hitlsh.events import Outcome, Reviewer
from hitlsh.webhooks import payload_fields


class Recipient(Resource, frozen=True, kw_only=True):
    """A reviewer to whom a request was sent, and whether the app was notified."""

    user_id: str | None = None
    email: str | None = None
    role: str | None = None
    notification_sent: bool | None = None
    notification_error: str | None = None


class RequestSummary(Resource, frozen=True, kw_only=True):
    """A request as lists hold it."""

    id: str
    loop_id: str | None = None
    processing_type: str | None = None
    type: str | None = None
    priority: str | None = None
    request_text: str | None = None
    response_type: str | None = None
    #: As HITL.sh sent it; see `outcome`.
    status: str | None = None
    #: As HITL.sh sent it; see `answer`.
    response_data: Any = None
    response_by: str | dict[str, Any] | None = None
    response_by_user: dict[str, Any] | None = None
    response_at: datetime | None = None
    completed_at: datetime | None = None
    #: From creation to answer.
    response_time_seconds: float | None = None
    timeout_at: datetime | None = None
    created_at: datetime | None = None
    updated_at: datetime | None = None

    @property
    def outcome(self) -> Outcome | None:
        """The outcome; None while the request is open, and for an unknown status."""
        return outcome_of(self.status)

    @property
    def answer(self) -> Answer | None:
        """The answer of a person; None after a timeout or a cancellation, since nobody decided."""
        if self.outcome in ("timeout", "cancelled"):
            return None
        return read_answer(self.response_data, self.response_type, self._config())

    @property
    def decided_at(self) -> datetime | None:
        """When the request was answered: ``response_at``, else ``completed_at``."""
        return self.response_at if self.response_at is not None else self.completed_at

    @property
    def reviewer(self) -> Reviewer | None:
        """The person who answered."""
        return payload_fields.reviewer(self.response_by, self.response_by_user)

    def _config(self) -> dict[str, Any]:
        return {}


class Request(RequestSummary, frozen=True, kw_only=True):
    """A request with all its fields."""

    creator_id: str | None = None
    api_key_id: str | None = None
    image_url: str | None = None
    context: dict[str, Any] | None = None
    platform: str | None = None
    platform_version: str | None = None
    response_config: dict[str, Any] = msgspec.field(default_factory=dict)
    #: What holds when nobody answers in time. Never an answer of a person.
    default_response: Any = None
    callback_url: str | None = None
    broadcasted_to: tuple[Recipient, ...] = ()
    broadcasted_at: datetime | None = None
    claimed_by: str | None = None
    claimed_at: datetime | None = None
    metadata: dict[str, Any] | None = None
    tags: tuple[str, ...] = ()
    feedback: dict[str, Any] | None = None

    def _config(self) -> dict[str, Any]:
        return self.response_config


class CreatedRequest(Resource, frozen=True, kw_only=True):
    """The reply to a create; the reviewers have been notified."""

    request_id: str
    status: str | None = None
    processing_type: str | None = None
    type: str | None = None
    priority: str | None = None
    timeout_at: datetime | None = None
    #: Number of reviewers; `Request.broadcasted_to` lists them.
    broadcasted_to: int | None = None
    notifications_sent: int | None = None
    #: An absolute URL.
    polling_url: str | None = None
    #: Not documented for this reply; None where HITL.sh does not send it.
    created_at: datetime | None = None


class CancelledRequest(Resource, frozen=True, kw_only=True):
    """The reply to a cancel; only the first two fields are always sent."""

    request_id: str
    status: str | None = None
    cancelled_at: datetime | None = None
    previous_status: str | None = None
    #: ``{refunded, reason}``: whether the cancellation gave a call of the hour back.
    refund_info: dict[str, Any] | None = None


class RequestFeedback(Resource, frozen=True, kw_only=True):
    """The stored feedback."""

    request_id: str
    feedback: dict[str, Any] = msgspec.field(default_factory=dict)
    feedback_id: str | None = None
    submitted_at: datetime | None = None
    reviewer_notified: bool | None = None


class RequestPage(Resource, frozen=True, kw_only=True):
    """One page of a list; an older API sends only ``requests`` and ``count``."""

    requests: tuple[RequestSummary, ...] = ()
    count: int | None = None
    #: Matches on all pages.
    total: int | None = None
    has_more: bool | None = None
    #: ``{limit, offset, next_offset}``.
    pagination: dict[str, Any] | None = None
