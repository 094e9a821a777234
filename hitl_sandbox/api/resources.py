"""The reply objects of records."""

from typing import Any

from hitl_sandbox.clock import iso, iso_or_none
from hitl_sandbox.model.answers import write_answer
from hitl_sandbox.model.invitation import invitation
from hitl_sandbox.model.records import OPEN, StoredLoop, StoredMember, StoredRequest
from hitl_sandbox.settings import SandboxSettings


def member_object(member: StoredMember, *, r1: bool = False) -> dict[str, Any]:
    fields = {
        "user_id": member.user_id,
        "email": member.email,
        "name": member.name,
        "status": member.status,
        "joined_at": iso_or_none(member.joined_at),
    }
    return fields | {"role": member.role, "last_active": iso_or_none(member.last_active)} if r1 else fields


def loop_object(loop: StoredLoop, settings: SandboxSettings, origin: str) -> dict[str, Any]:
    """The loop with its invitation inside, as the quickstart reads it; without a description when it has none."""
    invited = invitation(loop, origin)
    return {
        "id": loop.id,
        "name": loop.name,
        **({} if loop.description is None else {"description": loop.description}),
        "icon": loop.icon,
        "creator_id": loop.creator_id,
        "members": [member_object(member, r1=settings.r1_replies) for member in loop.members],
        "member_count": len(loop.members),
        "pending_count": len(loop.members) - len(loop.active()),
        "created_at": iso(loop.created_at),
        "updated_at": iso(loop.updated_at),
        "invite_code": invited.code,
        "qr_code_url": invited.qr_code_url,
    }


def response_data(request: StoredRequest, settings: SandboxSettings) -> Any:
    if request.status == "timeout" and settings.fill_timeout:
        return request.spec.default_response
    if request.status != "completed":
        return None
    return write_answer(request.spec, request.answer, settings.response_form)


def request_summary(request: StoredRequest, settings: SandboxSettings) -> dict[str, Any]:
    return {
        "id": request.id,
        "loop_id": request.loop_id,
        "processing_type": request.spec.processing_type,
        "type": request.spec.type,
        "priority": request.spec.priority,
        "request_text": request.spec.request_text,
        "response_type": request.spec.response_type,
        **_outcome(request, settings),
        "timeout_at": iso(request.timeout_at),
        "created_at": iso(request.created_at),
        "updated_at": iso(request.updated_at),
    }


def _outcome(request: StoredRequest, settings: SandboxSettings) -> dict[str, Any]:
    return {
        "status": request.status,
        "response_data": response_data(request, settings),
        "response_by": request.response_by,
        "response_at": iso_or_none(request.response_at),
        "response_time_seconds": request.response_time_seconds(),
    }


def request_object(request: StoredRequest, settings: SandboxSettings, reviewer: StoredMember | None) -> dict[str, Any]:
    """The full object; a completed request has ``response_by_user`` beside ``response_by``."""
    spec = request.spec
    fields: dict[str, Any] = {
        "id": request.id,
        "loop_id": request.loop_id,
        "creator_id": request.creator_id,
        "api_key_id": request.api_key_id,
        "processing_type": spec.processing_type,
        "type": spec.type,
        "priority": spec.priority,
        "request_text": spec.request_text,
        "image_url": spec.image_url,
        **spec.attachments,
        **spec.extras,
        "context": spec.context,
        "platform": spec.platform,
        "platform_version": spec.platform_version,
        "response_type": spec.response_type,
        "response_config": spec.response_config,
        "default_response": spec.default_response,
        "timeout_at": iso(request.timeout_at),
        "callback_url": spec.callback_url,
        "broadcasted_to": [
            {name: getattr(recipient, name) for name in recipient.__struct_fields__} for recipient in request.broadcast
        ],
        "broadcasted_at": iso(request.created_at),
        **_outcome(request, settings),
        "created_at": iso(request.created_at),
        "updated_at": iso(request.updated_at),
    }
    if settings.claims:
        fields |= {"claimed_by": request.claimed_by, "claimed_at": iso_or_none(request.claimed_at)}
    if (person := _response_by_user(request, reviewer)) is not None:
        fields["response_by_user"] = person
    if request.feedback is not None:
        fields["feedback"] = request.feedback
    return fields


def _response_by_user(request: StoredRequest, reviewer: StoredMember | None) -> dict[str, Any] | None:
    if reviewer is None or request.status != "completed":
        return None
    return {"id": reviewer.user_id, "name": reviewer.name, "email": reviewer.email}


def execution_object(
    request: StoredRequest, settings: SandboxSettings, reviewer: StoredMember | None
) -> dict[str, Any]:
    """A workflow execution, with the id of the request that a person answers."""
    is_open = request.status in OPEN
    return {
        "execution_id": request.links.execution_id,
        "request_id": request.id,
        "workflow_id": request.links.workflow_id,
        "status": "running" if is_open else request.status,
        "response_data": response_data(request, settings),
        "response_by_user": _response_by_user(request, reviewer),
        "response_time_seconds": request.response_time_seconds(),
        "created_at": iso(request.created_at),
        "completed_at": None if is_open else iso(request.updated_at),
    }
