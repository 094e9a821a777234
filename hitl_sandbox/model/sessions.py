"""Agent sessions and their turns: each turn is backed by a request a reviewer can answer."""

from typing import Any

import msgspec

from hitl_sandbox.clock import iso, iso_milliseconds
from hitl_sandbox.errors import Refusal
from hitl_sandbox.model.agents import Session, Turn
from hitl_sandbox.model.loops import Loops
from hitl_sandbox.model.records import OPEN, Ask, Key, Links, Loop, Member, Request
from hitl_sandbox.model.request_lifecycle import RequestLifecycle
from hitl_sandbox.model.state import SandboxState
from hitl_sandbox.webhooks.announcer import Announcer

AGENTS = ("claude", "codex")
DECISIONS = ("approve", "modify", "reject", "escalate")
#: Which actions the vendor calls destructive is not documented; these cannot be undone locally.
DESTRUCTIVE = ("file_delete", "command_exec", "git_push", "migration_run", "bypass")
ACTIONS = ("file_write", "git_commit", "dependency_install", *DESTRUCTIVE)

IDLE = 24 * 3600
KEPT = 30 * 86400

TRANSITIONS = {"pause": ("active", "paused"), "resume": ("paused", "active")}


class Sessions:
    def __init__(
        self, sandbox_state: SandboxState, loops: Loops, lifecycle: RequestLifecycle, announcer: Announcer
    ) -> None:
        self._world = sandbox_state
        self._loops = loops
        self._desk = lifecycle
        self._announcer = announcer
        lifecycle.on_end.append(self._request_ended)

    def create(self, key: Key, *, agent_type: str, loop: Loop | None, context: dict[str, Any]) -> Session:
        if loop is None:
            name = f"{agent_type} — {context.get('repo', 'session')}"[:100]
            loop = self._loops.create(key, name=name, icon="cog", description=None)
        now = self._world.now()
        session = Session(
            id=self._world.new_id(),
            api_key_id=key.id,
            agent_type=agent_type,
            loop_id=loop.id,
            context=context,
            created_at=now,
            updated_at=now,
            ends_at=now + IDLE,
        )
        return self._world.store.put(session)

    def touch(self, session: Session, **changes: Any) -> Session:
        """Change a session; whatever is done to one starts its idle day anew."""
        now = self._world.now()
        return self._world.store.put(
            msgspec.structs.replace(session, **{"updated_at": now, "ends_at": now + IDLE, **changes})
        )

    def move(self, session: Session, transition: str) -> Session:
        if transition == "complete":
            if session.status == "abandoned":
                raise Refusal(409, "cannot complete an abandoned session")
            done = session.status == "completed"
            return session if done else self.touch(session, status="completed", ends_at=None)
        needed, becomes = TRANSITIONS[transition]
        if session.status != needed:
            raise Refusal(409, f"cannot {transition} a session that is {session.status}")
        return self.touch(session, status=becomes)

    def come_due(self, session: Session) -> None:
        """A day without a call abandons a session; a month later it is gone."""
        if session.status == "abandoned":
            self._world.store.delete(session)
        else:
            self.touch(session, status="abandoned", ends_at=self._world.now() + KEPT)

    def propose(self, key: Key, session: Session, loop: Loop, proposal: dict[str, Any]) -> Turn:
        """A new turn with the request that asks for its approval."""
        if session.status != "active":
            raise Refusal(409, f"session is {session.status}")
        turn_id = self._world.new_id()
        request = self._desk.create(key, loop, _ask(session, turn_id, proposal), Links(turn_id=turn_id))
        turn = Turn(
            id=turn_id,
            session_id=session.id,
            turn_number=session.turn_count + 1,
            request_id=request.id,
            action_type=proposal["action_type"],
            agent_prompt=proposal.get("agent_prompt"),
            proposed_tool=proposal.get("proposed_tool"),
            proposed_args=proposal.get("proposed_args"),
            created_at=self._world.now(),
        )
        self._world.store.put(turn)
        self.touch(session, turn_count=turn.turn_number)
        return turn

    def resolve(self, session: Session, turn: Turn, decision: str, comment: str | None) -> Turn:
        """Decide a turn over the API; its request is completed along with it."""
        if turn.human_decision is not None:
            raise Refusal(409, "turn already resolved")
        request = self._desk.find(turn.request_id)
        if request.status not in OPEN:
            raise Refusal(409, f"the turn's request is already {request.status}")
        resolved = self._decide(session, turn, decision, comment)
        self._desk.answer(turn.request_id, decision, session.reviewer_id or None)
        return resolved

    def _decide(self, session: Session, turn: Turn, decision: str, comment: str | None) -> Turn:
        resolved = msgspec.structs.replace(turn, human_decision=decision, human_comment=comment)
        self._world.store.put(resolved)
        self._world.changes.announce()
        request = self._desk.find(turn.request_id)
        body = {
            "event": "turn.resolved",
            "timestamp": iso_milliseconds(self._world.now()),
            "session_id": session.id,
            "turn": turn_announced(resolved),
        }
        self._announcer.account_event(
            request.creator_id,
            "turn.resolved",
            body,
            loop_id=session.loop_id,
            variant="turn.resolved",
            request_id=request.id,
        )
        return resolved

    def _request_ended(self, request: Request, member: Member | None) -> None:
        """A reviewer answered the backing request in the app."""
        turn = self._world.store.get(Turn, request.links.turn_id) if request.links.turn_id else None
        if turn is None or turn.human_decision is not None or request.status != "completed":
            return
        session = self._world.store.get(Session, turn.session_id)
        if session is not None:
            self._decide(session, turn, request.answer, None)


def _ask(session: Session, turn_id: str, proposal: dict[str, Any]) -> Ask:
    action = proposal["action_type"]
    prompt = proposal.get("agent_prompt") or f"{session.agent_type} wants to do: {action}"
    described = {name: proposal.get(name) for name in ("action_type", "proposed_tool", "proposed_args")}
    place = {name: session.context.get(name) for name in ("repo", "branch", "commit")}
    return Ask(
        processing_type="deferred",
        type="markdown",
        priority="high" if action in DESTRUCTIVE else "medium",
        request_text=str(prompt)[:2000],
        response_type="single_select",
        response_config={"options": list(DECISIONS)},
        default_response="reject",
        platform="api",
        context={"session_id": session.id, "turn_id": turn_id, **described, **place},
    )


def session_object(session: Session) -> dict[str, Any]:
    return {
        "id": session.id,
        "agent_type": session.agent_type,
        "status": session.status,
        "loop_id": session.loop_id,
        "reviewer_id": session.reviewer_id,
        "context": session.context,
        "turn_count": session.turn_count,
        "created_at": iso(session.created_at),
        "updated_at": iso(session.updated_at),
    }


def turn_announced(turn: Turn) -> dict[str, Any]:
    """The turn of a webhook: without what the agent did afterwards."""
    return {
        "id": turn.id,
        "session_id": turn.session_id,
        "turn_number": turn.turn_number,
        "request_id": turn.request_id,
        "action_type": turn.action_type,
        "agent_prompt": turn.agent_prompt,
        "proposed_tool": turn.proposed_tool,
        "proposed_args": turn.proposed_args,
        "human_decision": turn.human_decision,
        "human_comment": turn.human_comment,
        "created_at": iso(turn.created_at),
    }


def turn_object(turn: Turn) -> dict[str, Any]:
    return {
        **turn_announced(turn),
        "action_taken": turn.action_taken,
        "files_modified": turn.files_modified,
    }
