"""Records as the API's reply objects."""

from typing import Any

from hitl_sandbox.clock import iso, iso_or_none
from hitl_sandbox.model.answers import write_answer
from hitl_sandbox.model.invitation import invitation
from hitl_sandbox.model.records import OPEN, Loop, Member, Request
from hitl_sandbox.settings import Settings


def member_object(member: Member, *, r1: bool = False) -> dict[str, Any]:
    shown = {
        "user_id": member.user_id,
        "email": member.email,
        "name": member.name,
        "status": member.status,
        "joined_at": iso_or_none(member.joined_at),
    }
    return shown | {"role": member.role, "last_active": iso_or_none(member.last_active)} if r1 else shown


def loop_object(loop: Loop, settings: Settings, origin: str) -> dict[str, Any]:
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


def response_data(request: Request, settings: Settings) -> Any:
    if request.status == "timeout" and settings.fill_timeout:
        return request.ask.default_response
    if request.status != "completed":
        return None
    return write_answer(request.ask, request.answer, settings.response_form)


def request_summary(request: Request, settings: Settings) -> dict[str, Any]:
    return {
        "id": request.id,
        "loop_id": request.loop_id,
        "processing_type": request.ask.processing_type,
        "type": request.ask.type,
        "priority": request.ask.priority,
        "request_text": request.ask.request_text,
        "response_type": request.ask.response_type,
        **_outcome(request, settings),
        "timeout_at": iso(request.timeout_at),
        "created_at": iso(request.created_at),
        "updated_at": iso(request.updated_at),
    }


def _outcome(request: Request, settings: Settings) -> dict[str, Any]:
    return {
        "status": request.status,
        "response_data": response_data(request, settings),
        "response_by": request.response_by,
        "response_at": iso_or_none(request.response_at),
        "response_time_seconds": request.response_time_seconds(),
    }


def request_object(request: Request, settings: Settings, reviewer: Member | None) -> dict[str, Any]:
    """The full object; ``response_by_user`` appears beside ``response_by`` once somebody answered."""
    ask = request.ask
    shown: dict[str, Any] = {
        "id": request.id,
        "loop_id": request.loop_id,
        "creator_id": request.creator_id,
        "api_key_id": request.api_key_id,
        "processing_type": ask.processing_type,
        "type": ask.type,
        "priority": ask.priority,
        "request_text": ask.request_text,
        "image_url": ask.image_url,
        **ask.attachments,
        **ask.extras,
        "context": ask.context,
        "platform": ask.platform,
        "platform_version": ask.platform_version,
        "response_type": ask.response_type,
        "response_config": ask.response_config,
        "default_response": ask.default_response,
        "timeout_at": iso(request.timeout_at),
        "callback_url": ask.callback_url,
        "broadcasted_to": [
            {name: getattr(notified, name) for name in notified.__struct_fields__} for notified in request.broadcast
        ],
        "broadcasted_at": iso(request.created_at),
        **_outcome(request, settings),
        "created_at": iso(request.created_at),
        "updated_at": iso(request.updated_at),
    }
    if settings.claims:
        shown |= {"claimed_by": request.claimed_by, "claimed_at": iso_or_none(request.claimed_at)}
    if (person := _response_by_user(request, reviewer)) is not None:
        shown["response_by_user"] = person
    if request.feedback is not None:
        shown["feedback"] = request.feedback
    return shown


def _response_by_user(request: Request, reviewer: Member | None) -> dict[str, Any] | None:
    if reviewer is None or request.status != "completed":
        return None
    return {"id": reviewer.user_id, "name": reviewer.name, "email": reviewer.email}


def execution_object(request: Request, settings: Settings, reviewer: Member | None) -> dict[str, Any]:
    """A workflow execution, with the id of the request that asks for its human answer."""
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
