"""Turns: proposed by the agent, decided by a person, waited for, carried out."""

import time
from typing import Any

import msgspec
from starlette.routing import Route

from hitl_sandbox.api.call import Call, Reply, endpoint
from hitl_sandbox.api.sessions import path_session
from hitl_sandbox.errors import Refusal
from hitl_sandbox.model.agents import Turn
from hitl_sandbox.model.records import Loop
from hitl_sandbox.model.rules import invalid
from hitl_sandbox.model.sessions import ACTIONS, DECISIONS, turn_object

LONGEST_WAIT = 300
#: Output kept of what the agent ran.
KEPT_OUTPUT = 4096


async def create_turn(call: Call) -> Reply:
    session, body = path_session(call), await call.body()
    if body.get("action_type") not in ACTIONS:
        raise invalid(f"action_type must be one of: {', '.join(ACTIONS)}")
    for name in ("agent_prompt", "proposed_tool"):
        if not isinstance(body.get(name), str | None):
            raise invalid(f"{name} must be a string")
    loop = call.parts.sandbox_state.store.get(Loop, session.loop_id)
    if loop is None:
        raise Refusal(404, "Loop not found")
    turn = call.parts.sessions.propose(call.key, session, loop, body)
    return Reply(status=201, msg="turn created", data={"turn": turn_object(turn)})


async def list_turns(call: Call) -> Reply:
    session = path_session(call)
    turns = [turn_object(turn) for turn in call.parts.sandbox_state.store.find(Turn, parent=session.id)]
    return Reply(msg="turns retrieved", data={"turns": turns, "count": len(turns)})


async def get_turn(call: Call) -> Reply:
    return Reply(msg="turn retrieved", data={"turn": turn_object(_path_turn(call))})


async def wait_for_turn(call: Call) -> Reply:
    """Answers when the turn is decided, or 408 with ``error: false`` when the (real) time is up."""
    turn, sandbox_state = _path_turn(call), call.parts.sandbox_state
    ends = time.monotonic() + _patience(call.request.query_params.get("timeout", "60"))
    while turn.human_decision is None and not sandbox_state.changes.closed:
        left = ends - time.monotonic()
        if left <= 0 or not await sandbox_state.changes.after(sandbox_state.changes.number, left):
            break
        turn = _path_turn(call)
    if turn.human_decision is not None:
        return Reply(msg="turn resolved", data={"turn": turn_object(turn)})
    still = {"turn": turn_object(turn), "pending": True}
    return Reply(status=408, msg="timeout — turn still pending", data=still)


def _patience(timeout: str) -> int:
    if not timeout.isdecimal() or not 1 <= int(timeout) <= LONGEST_WAIT:
        raise invalid(f"timeout must be between 1 and {LONGEST_WAIT}")
    return int(timeout)


async def decide_turn(call: Call) -> Reply:
    session, turn, body = path_session(call), _path_turn(call), await call.body()
    decision, comment = body.get("decision"), body.get("comment")
    if decision not in DECISIONS:
        raise invalid(f"decision must be one of: {', '.join(DECISIONS)}")
    if not isinstance(comment, str | None):
        raise invalid("comment must be a string")
    resolved = call.parts.sessions.resolve(session, turn, decision, comment)
    return Reply(msg="turn resolved", data={"turn": turn_object(resolved)})


async def report_action(call: Call) -> Reply:
    """What the agent did after the decision."""
    turn, body = _path_turn(call), await call.body()
    action, files = body.get("action"), body.get("files_modified", [])
    if not isinstance(action, dict) or not isinstance(action.get("success"), bool):
        raise invalid("action.success is required")
    if not isinstance(files, list) or not all(isinstance(name, str) for name in files):
        raise invalid("files_modified must be an array of strings")
    changed = msgspec.structs.replace(turn, action_taken=_trimmed(action), files_modified=tuple(files))
    call.parts.sandbox_state.store.put(changed)
    return Reply(msg="action recorded", data={"turn": turn_object(changed)})


def _trimmed(action: dict[str, Any]) -> dict[str, Any]:
    outputs = {name: str(action[name])[:KEPT_OUTPUT] for name in ("stdout", "stderr") if name in action}
    return action | outputs


def _path_turn(call: Call) -> Turn:
    session = path_session(call)
    turn = call.parts.sandbox_state.store.get(Turn, call.object_id("turn_id", "turn"))
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
