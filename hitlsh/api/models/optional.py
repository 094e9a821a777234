"""Uploads, approval chains, workflow executions and webhooks."""

from datetime import datetime
from typing import Any

from hitlsh.api.resource import Resource


class Upload(Resource, frozen=True, kw_only=True):
    """A stored file; a request refers to it by its URL."""

    url: str
    file_type: str | None = None
    file_name: str | None = None
    size_bytes: int | None = None


class ChainDecision(Resource, frozen=True, kw_only=True):
    """The decision of one approver."""

    user_id: str | None = None
    decision: str | None = None
    comment: str | None = None
    decided_at: datetime | None = None


class ChainStep(Resource, frozen=True, kw_only=True):
    """One step of an approval chain."""

    step_order: int
    approver_ids: tuple[str, ...] = ()
    require_all: bool = False
    status: str | None = None
    decisions: tuple[ChainDecision, ...] = ()


class ApprovalChain(Resource, frozen=True, kw_only=True):
    """Several approvers for one request. How a chain changes the request is not documented."""

    id: str
    request_id: str | None = None
    org_id: str | None = None
    mode: str | None = None
    #: ``pending``, ``approved``, ``rejected`` or ``skipped``.
    status: str | None = None
    steps: tuple[ChainStep, ...] = ()
    created_at: datetime | None = None
    resolved_at: datetime | None = None


class Execution(Resource, frozen=True, kw_only=True):
    """A workflow execution, as the reply to a trigger describes it; no documented call reads it again.

    Follows https://docs.hitl.sh, "Make" and the vendor's n8n node, which polls `request_id`.
    """

    execution_id: str
    #: The request that the workflow asks; poll it with ``client.requests.get``. None where HITL.sh does not send it.
    request_id: str | None = None
    workflow_id: str | None = None
    status: str | None = None
    #: As HITL.sh sent it.
    response_data: Any = None
    #: ``{id, name, email}`` of the person who answered.
    response_by_user: dict[str, Any] | None = None
    response_time_seconds: float | None = None
    created_at: datetime | None = None
    completed_at: datetime | None = None


class WebhookRegistration(Resource, frozen=True, kw_only=True):
    """A registered webhook. No page shows a reply of these calls, so every field is optional."""

    id: str | None = None
    url: str | None = None
    events: tuple[str, ...] = ()
    type: str | None = None
    enabled: bool | None = None
    loop_id: str | None = None
