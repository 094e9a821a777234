"""Turns: create, list, get, wait, decide, report the action."""

import time
from typing import Any

import msgspec
from starlette.routing import Route

from hitl_sandbox.api.call import ApiCall, ApiReply, endpoint
from hitl_sandbox.api.sessions import path_session
from hitl_sandbox.errors import Refusal
from hitl_sandbox.model.records import StoredLoop
from hitl_sandbox.model.request_spec import invalid
from hitl_sandbox.model.session_lifecycle import ACTIONS, DECISIONS, turn_object
from hitl_sandbox.model.session_records import StoredTurn

MAX_WAIT = 300
#: The characters of an output that are stored.
MAX_OUTPUT = 4096


async def create_turn(call: ApiCall) -> ApiReply:
    session, body = path_session(call), await call.body()
    if body.get("action_type") not in ACTIONS:
        raise invalid(f"action_type must be one of: {', '.join(ACTIONS)}")
    for name in ("agent_prompt", "proposed_tool"):
        if not isinstance(body.get(name), str | None):
            raise invalid(f"{name} must be a string")
    loop = call.parts.state.store.get(StoredLoop, session.loop_id)
    if loop is None:
        raise Refusal(404, "Loop not found")
    turn = call.parts.sessions.propose(call.key, session, loop, body)
    return ApiReply(status=201, msg="turn created", data={"turn": turn_object(turn)})


async def list_turns(call: ApiCall) -> ApiReply:
    session = path_session(call)
    turns = [turn_object(turn) for turn in call.parts.state.store.find(StoredTurn, parent=session.id)]
    return ApiReply(msg="turns retrieved", data={"turns": turns, "count": len(turns)})


async def get_turn(call: ApiCall) -> ApiReply:
    return ApiReply(msg="turn retrieved", data={"turn": turn_object(_path_turn(call))})


async def wait_for_turn(call: ApiCall) -> ApiReply:
    """Reply when the turn is decided, or with 408 and ``error: false`` when the real seconds have passed."""
    turn, state = _path_turn(call), call.parts.state
    deadline = time.monotonic() + _read_timeout(call.request.query_params.get("timeout", "60"))
    while turn.human_decision is None and not state.changes.closed:
        remaining = deadline - time.monotonic()
        if remaining <= 0 or not await state.changes.wait_after(state.changes.number, remaining):
            break
        turn = _path_turn(call)
    if turn.human_decision is not None:
        return ApiReply(msg="turn resolved", data={"turn": turn_object(turn)})
    data = {"turn": turn_object(turn), "pending": True}
    return ApiReply(status=408, msg="timeout — turn still pending", data=data)


def _read_timeout(timeout: str) -> int:
    if not timeout.isdecimal() or not 1 <= int(timeout) <= MAX_WAIT:
        raise invalid(f"timeout must be between 1 and {MAX_WAIT}")
    return int(timeout)


async def decide_turn(call: ApiCall) -> ApiReply:
    session, turn, body = path_session(call), _path_turn(call), await call.body()
    decision, comment = body.get("decision"), body.get("comment")
    if decision not in DECISIONS:
        raise invalid(f"decision must be one of: {', '.join(DECISIONS)}")
    if not isinstance(comment, str | None):
        raise invalid("comment must be a string")
    resolved = call.parts.sessions.resolve(session, turn, decision, comment)
    return ApiReply(msg="turn resolved", data={"turn": turn_object(resolved)})


async def report_action(call: ApiCall) -> ApiReply:
    """Record the action of the agent after the decision."""
    turn, body = _path_turn(call), await call.body()
    action, files = body.get("action"), body.get("files_modified", [])
    if not isinstance(action, dict) or not isinstance(action.get("success"), bool):
        raise invalid("action.success is required")
    if not isinstance(files, list) or not all(isinstance(name, str) for name in files):
        raise invalid("files_modified must be an array of strings")
    reported = msgspec.structs.replace(turn, action_taken=_with_short_outputs(action), files_modified=tuple(files))
    call.parts.state.store.put(reported)
    return ApiReply(msg="action recorded", data={"turn": turn_object(reported)})


def _with_short_outputs(action: dict[str, Any]) -> dict[str, Any]:
    outputs = {name: str(action[name])[:MAX_OUTPUT] for name in ("stdout", "stderr") if name in action}
    return action | outputs


def _path_turn(call: ApiCall) -> StoredTurn:
    session = path_session(call)
    turn = call.parts.state.store.get(StoredTurn, call.object_id("turn_id", "turn"))
    if turn is None or turn.session_id != session.id:
        raise Refusal(404, "turn not found")
    return turn


TURN = "/sessions/{session_id}/turns/{turn_id}"
routes = [
    Route("/sessions/{session_id}/turns", endpoint(create_turn), methods=["POST"]),
    Route("/sessions/{session_id}/turns", endpoint(list_turns)),
    Route(TURN, endpoint(get_turn)),
    Route(TURN, endpoint(decide_turn), methods=["PUT"]),
    Route(f"{TURN}/wait", endpoint(wait_for_turn)),
    Route(f"{TURN}/action", endpoint(report_action), methods=["POST"]),
]
