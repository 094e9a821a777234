"""Loops and their members."""

from typing import Any

from starlette.routing import Route

from hitl_sandbox.api.access import own_loop, visible_loop
from hitl_sandbox.api.call import ApiCall, ApiReply, endpoint
from hitl_sandbox.api.resources import loop_object, member_object
from hitl_sandbox.clock import iso
from hitl_sandbox.errors import Refusal
from hitl_sandbox.model.invitation import invitation, invitation_object
from hitl_sandbox.model.records import StoredLoop, StoredMember
from hitl_sandbox.model.request_spec import invalid


async def create_loop(call: ApiCall) -> ApiReply:
    body = await call.body()
    name, icon = _read_name(body), _read_icon(body)
    loop = call.parts.loops.create(call.key, name=name, icon=icon, description=_read_description(body))
    invited = invitation_object(invitation(loop, call.origin))
    data = {"loop": loop_object(loop, call.settings, call.origin), **invited}
    return ApiReply(status=201, msg="Loop created successfully with QR code", data=data)


async def list_loops(call: ApiCall) -> ApiReply:
    loops = [
        loop_object(loop, call.settings, call.origin)
        for loop in call.parts.state.store.find(StoredLoop)
        if any(member.user_id == call.key.user_id for member in loop.members)
    ]
    return ApiReply(msg="Loops retrieved successfully", data={"loops": loops, "count": len(loops)})


async def get_loop(call: ApiCall) -> ApiReply:
    loop = visible_loop(call, call.object_id("loop_id", "loop"))
    return ApiReply(msg="Loop retrieved successfully", data={"loop": loop_object(loop, call.settings, call.origin)})


async def update_loop(call: ApiCall) -> ApiReply:
    loop_id = call.object_id("loop_id", "loop")
    loop = own_loop(call, loop_id, "Only loop creator can update the loop")
    body = await call.body()
    readers = {"name": _read_name, "description": _read_description, "icon": _read_icon}
    changes = {field: read(body) for field, read in readers.items() if field in body}
    if not changes:
        raise Refusal(400, "At least one field must be provided for update")
    changed = call.parts.loops.change(loop, **changes)
    return ApiReply(msg="Loop updated successfully", data={"loop": loop_object(changed, call.settings, call.origin)})


async def delete_loop(call: ApiCall) -> ApiReply:
    loop_id = call.object_id("loop_id", "loop")
    loop = own_loop(call, loop_id, "Only loop creator can delete the loop")
    requests = call.parts.loops.delete(loop)
    data: dict[str, Any] = {"loop_id": loop.id}
    if call.settings.r1_replies:
        data["deleted_at"] = iso(call.parts.state.now())
        data["deleted_data"] = {
            "members_removed": len(loop.members),
            "requests_deleted": len(requests),
            "responses_deleted": sum(request.status == "completed" for request in requests),
        }
    return ApiReply(msg="Loop deleted successfully", data=data)


async def list_members(call: ApiCall) -> ApiReply:
    loop = visible_loop(call, call.object_id("loop_id", "loop"))
    active = len(loop.active())
    data: dict[str, Any] = {
        "loop_id": loop.id,
        "members": [member_object(member, r1=call.settings.r1_replies) for member in loop.members],
        "member_count": len(loop.members),
        "total_count": len(loop.members),
        "active_count": active,
        "pending_count": len(loop.members) - active,
    }
    if call.settings.r1_replies:
        data["statistics"] = _statistics(loop.active(), loop.created_at)
    return ApiReply(msg="Loop members retrieved successfully", data=data)


def _statistics(members: tuple[StoredMember, ...], created_at: float) -> dict[str, Any]:
    joined = sorted(member.joined_at for member in members if member.joined_at is not None)
    if not joined:
        return {"avg_join_time_days": None, "newest_member_joined": None, "oldest_member_joined": None}
    average = sum(moment - created_at for moment in joined) / len(joined) / 86400
    return {
        "avg_join_time_days": round(average, 1),
        "newest_member_joined": iso(joined[-1]),
        "oldest_member_joined": iso(joined[0]),
    }


async def remove_member(call: ApiCall) -> ApiReply:
    loop_id = call.object_id("loop_id", "loop")
    loop = own_loop(call, loop_id, "Only loop creator can remove members")
    user_id = call.object_id("user_id", "user")
    call.parts.loops.remove_member(loop, user_id)
    data = {"loop_id": loop.id, "user_id": user_id}
    if not call.settings.r1_replies:
        return ApiReply(msg="Member removed successfully", data=data)
    data["removed_at"] = iso(call.parts.state.now())
    return ApiReply(msg="Member removed from loop successfully", data=data)


def _read_name(body: dict[str, Any]) -> str:
    name = body.get("name")
    if name is None or name == "":
        raise Refusal(400, "Loop name is required")
    if not isinstance(name, str) or len(name) > 100:
        raise invalid("name must be between 1 and 100 characters")
    return name


def _read_icon(body: dict[str, Any]) -> str:
    icon = body.get("icon")
    if icon is None or icon == "":
        raise Refusal(400, "Loop icon is required")
    if not isinstance(icon, str) or len(icon) > 100:
        raise invalid("icon must be between 1 and 100 characters")
    return icon


def _read_description(body: dict[str, Any]) -> str | None:
    description = body.get("description")
    if description is not None and (not isinstance(description, str) or len(description) > 500):
        raise invalid("description must be between 0 and 500 characters")
    return description


routes = [
    Route("/loops", endpoint(create_loop), methods=["POST"]),
    Route("/loops", endpoint(list_loops)),
    Route("/loops/{loop_id}", endpoint(get_loop)),
    Route("/loops/{loop_id}", endpoint(update_loop), methods=["PUT"]),
    Route("/loops/{loop_id}", endpoint(delete_loop), methods=["DELETE"]),
    Route("/loops/{loop_id}/members", endpoint(list_members)),
    Route("/loops/{loop_id}/members/{user_id}", endpoint(remove_member), methods=["DELETE"]),
]
