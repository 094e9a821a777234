"""Sessions: create, list, get, change, pause, resume, complete."""

from typing import Any

from starlette.routing import Route

from hitl_sandbox.api.access import own_loop
from hitl_sandbox.api.call import ApiCall, ApiHandler, ApiReply, endpoint
from hitl_sandbox.errors import Refusal
from hitl_sandbox.model.ids import is_object_id
from hitl_sandbox.model.request_spec import invalid
from hitl_sandbox.model.session_lifecycle import AGENTS, session_object
from hitl_sandbox.model.session_records import StoredSession

SESSION_STATUSES = ("active", "paused", "completed", "abandoned")


async def create_session(call: ApiCall) -> ApiReply:
    body = await call.body()
    agent_type = body.get("agent_type", AGENTS[0])
    if agent_type not in AGENTS:
        raise invalid(f"agent_type must be one of: {', '.join(AGENTS)}")
    context, loop_id, loop = _read_context(body), body.get("loop_id"), None
    if loop_id is not None:
        if not isinstance(loop_id, str) or not is_object_id(loop_id):
            raise Refusal(400, "Invalid loop ID format")
        loop = own_loop(call, loop_id.lower(), "Access denied to this loop")
    session = call.parts.sessions.create(call.key, agent_type=agent_type, loop=loop, context=context)
    return ApiReply(status=201, msg="session created", data={"session": session_object(session)})


def _read_context(body: dict[str, Any]) -> dict[str, Any]:
    context = body.get("context", {})
    if not isinstance(context, dict):
        raise invalid("context must be an object")
    return context


async def list_sessions(call: ApiCall) -> ApiReply:
    query = call.request.query_params
    status, agent = query.get("status"), query.get("agent_type")
    limit, offset = _read_page(query.get("limit", "50"), query.get("offset", "0"))
    if status is not None and status not in SESSION_STATUSES:
        raise invalid(f"status must be one of: {', '.join(SESSION_STATUSES)}")
    sessions = [
        session_object(session)
        for session in reversed(call.parts.state.store.find(StoredSession, owner=call.key.id))
        if status in (None, session.status) and agent in (None, session.agent_type)
    ]
    page = sessions[offset : offset + limit]
    return ApiReply(msg="sessions retrieved", data={"sessions": page, "count": len(page)})


def _read_page(limit: str, offset: str) -> tuple[int, int]:
    if not limit.isdecimal() or not 1 <= int(limit) <= 100:
        raise Refusal(400, "Invalid pagination parameters", "limit must be between 1 and 100")
    if not offset.isdecimal():
        raise Refusal(400, "Invalid pagination parameters", "offset must be 0 or greater")
    return int(limit), int(offset)


async def get_session(call: ApiCall) -> ApiReply:
    return ApiReply(msg="session retrieved", data={"session": session_object(path_session(call))})


async def update_session(call: ApiCall) -> ApiReply:
    """Change the context or the reviewer; an empty reviewer clears it."""
    session, body = path_session(call), await call.body()
    changes: dict[str, Any] = {}
    if "context" in body:
        changes["context"] = _read_context(body)
    if "reviewer_id" in body:
        reviewer_id = body["reviewer_id"]
        if not isinstance(reviewer_id, str):
            raise invalid("reviewer_id must be a string")
        changes["reviewer_id"] = None if reviewer_id == "" else reviewer_id
    session = call.parts.sessions.touch(session, **changes)
    return ApiReply(msg="session updated", data={"session": session_object(session)})


def transition(name: str, participle: str) -> ApiHandler:
    async def move(call: ApiCall) -> ApiReply:
        session = call.parts.sessions.move(path_session(call), name)
        return ApiReply(msg=f"session {participle}", data={"session": session_object(session)})

    return move


def path_session(call: ApiCall) -> StoredSession:
    """Get the session of the path, which the caller's key must have created."""
    session = call.parts.state.store.get(StoredSession, call.object_id("session_id", "session"))
    if session is None or session.api_key_id != call.key.id:
        raise Refusal(404, "session not found")
    return session


routes = [
    Route("/sessions", endpoint(create_session), methods=["POST"]),
    Route("/sessions", endpoint(list_sessions)),
    Route("/sessions/{session_id}", endpoint(get_session)),
    Route("/sessions/{session_id}", endpoint(update_session), methods=["PUT"]),
    Route("/sessions/{session_id}/pause", endpoint(transition("pause", "paused")), methods=["POST"]),
    Route("/sessions/{session_id}/resume", endpoint(transition("resume", "resumed")), methods=["POST"]),
    Route("/sessions/{session_id}/complete", endpoint(transition("complete", "completed")), methods=["POST"]),
]
