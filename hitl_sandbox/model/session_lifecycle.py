"""Agent sessions and their turns. Each turn has a request that a reviewer can answer."""

from typing import Any

import msgspec

from hitl_sandbox.clock import iso, iso_milliseconds
from hitl_sandbox.errors import Refusal
from hitl_sandbox.model.loop_registry import LoopRegistry
from hitl_sandbox.model.records import OPEN, ApiKey, RequestLinks, RequestSpec, StoredLoop, StoredMember, StoredRequest
from hitl_sandbox.model.request_lifecycle import RequestLifecycle
from hitl_sandbox.model.session_records import StoredSession, StoredTurn
from hitl_sandbox.model.state import SandboxState
from hitl_sandbox.webhooks.event_publisher import EventPublisher

AGENTS = ("claude", "codex")
DECISIONS = ("approve", "modify", "reject", "escalate")
#: The actions that cannot be undone locally; the vendor does not document which ones it calls destructive.
DESTRUCTIVE = ("file_delete", "command_exec", "git_push", "migration_run", "bypass")
ACTIONS = ("file_write", "git_commit", "dependency_install", *DESTRUCTIVE)

#: Seconds without a call after which a session is abandoned, and after which an abandoned one is deleted.
IDLE_SECONDS = 24 * 3600
RETENTION_SECONDS = 30 * 86400

TRANSITIONS = {"pause": ("active", "paused"), "resume": ("paused", "active")}


class SessionLifecycle:
    """Changes the state of sessions and turns."""

    def __init__(
        self, state: SandboxState, loops: LoopRegistry, lifecycle: RequestLifecycle, publisher: EventPublisher
    ) -> None:
        self._state = state
        self._loops = loops
        self._lifecycle = lifecycle
        self._publisher = publisher
        lifecycle.on_end.append(self._request_ended)

    def create(
        self, key: ApiKey, *, agent_type: str, loop: StoredLoop | None, context: dict[str, Any]
    ) -> StoredSession:
        if loop is None:
            name = f"{agent_type} — {context.get('repo', 'session')}"[:100]
            loop = self._loops.create(key, name=name, icon="cog", description=None)
        now = self._state.now()
        session = StoredSession(
            id=self._state.new_id(),
            api_key_id=key.id,
            agent_type=agent_type,
            loop_id=loop.id,
            context=context,
            created_at=now,
            updated_at=now,
            ends_at=now + IDLE_SECONDS,
        )
        return self._state.store.put(session)

    def touch(self, session: StoredSession, **changes: Any) -> StoredSession:
        """Change a session; every change restarts its idle time."""
        now = self._state.now()
        return self._state.store.put(
            msgspec.structs.replace(session, **{"updated_at": now, "ends_at": now + IDLE_SECONDS, **changes})
        )

    def move(self, session: StoredSession, transition: str) -> StoredSession:
        if transition == "complete":
            if session.status == "abandoned":
                raise Refusal(409, "cannot complete an abandoned session")
            is_completed = session.status == "completed"
            return session if is_completed else self.touch(session, status="completed", ends_at=None)
        required, target = TRANSITIONS[transition]
        if session.status != required:
            raise Refusal(409, f"cannot {transition} a session that is {session.status}")
        return self.touch(session, status=target)

    def run_due(self, session: StoredSession) -> None:
        """Abandon a session that was idle for a day; delete one that was abandoned a month ago."""
        if session.status == "abandoned":
            self._state.store.delete(session)
        else:
            self.touch(session, status="abandoned", ends_at=self._state.now() + RETENTION_SECONDS)

    def propose(self, key: ApiKey, session: StoredSession, loop: StoredLoop, proposal: dict[str, Any]) -> StoredTurn:
        """Create a turn, and the request that asks for its approval."""
        if session.status != "active":
            raise Refusal(409, f"session is {session.status}")
        turn_id = self._state.new_id()
        request = self._lifecycle.create(key, loop, _spec(session, turn_id, proposal), RequestLinks(turn_id=turn_id))
        turn = StoredTurn(
            id=turn_id,
            session_id=session.id,
            turn_number=session.turn_count + 1,
            request_id=request.id,
            action_type=proposal["action_type"],
            agent_prompt=proposal.get("agent_prompt"),
            proposed_tool=proposal.get("proposed_tool"),
            proposed_args=proposal.get("proposed_args"),
            created_at=self._state.now(),
        )
        self._state.store.put(turn)
        self.touch(session, turn_count=turn.turn_number)
        return turn

    def resolve(self, session: StoredSession, turn: StoredTurn, decision: str, comment: str | None) -> StoredTurn:
        """Decide a turn over the API, and complete its request."""
        if turn.human_decision is not None:
            raise Refusal(409, "turn already resolved")
        request = self._lifecycle.find(turn.request_id)
        if request.status not in OPEN:
            raise Refusal(409, f"the turn's request is already {request.status}")
        resolved = self._decide(session, turn, decision, comment)
        self._lifecycle.answer(turn.request_id, decision, session.reviewer_id or None)
        return resolved

    def _decide(self, session: StoredSession, turn: StoredTurn, decision: str, comment: str | None) -> StoredTurn:
        resolved = msgspec.structs.replace(turn, human_decision=decision, human_comment=comment)
        self._state.store.put(resolved)
        self._state.changes.notify()
        request = self._lifecycle.find(turn.request_id)
        body = {
            "event": "turn.resolved",
            "timestamp": iso_milliseconds(self._state.now()),
            "session_id": session.id,
            "turn": turn_event_object(resolved),
        }
        self._publisher.account_event(
            request.creator_id,
            "turn.resolved",
            body,
            loop_id=session.loop_id,
            variant="turn.resolved",
            request_id=request.id,
        )
        return resolved

    def _request_ended(self, request: StoredRequest, member: StoredMember | None) -> None:
        """Decide the turn whose request a reviewer answered in the app."""
        turn = self._state.store.get(StoredTurn, request.links.turn_id) if request.links.turn_id else None
        if turn is None or turn.human_decision is not None or request.status != "completed":
            return
        session = self._state.store.get(StoredSession, turn.session_id)
        if session is not None:
            self._decide(session, turn, request.answer, None)


def _spec(session: StoredSession, turn_id: str, proposal: dict[str, Any]) -> RequestSpec:
    action = proposal["action_type"]
    prompt = proposal.get("agent_prompt") or f"{session.agent_type} wants to do: {action}"
    details = {name: proposal.get(name) for name in ("action_type", "proposed_tool", "proposed_args")}
    revision = {name: session.context.get(name) for name in ("repo", "branch", "commit")}
    return RequestSpec(
        processing_type="deferred",
        type="markdown",
        priority="high" if action in DESTRUCTIVE else "medium",
        request_text=str(prompt)[:2000],
        response_type="single_select",
        response_config={"options": list(DECISIONS)},
        default_response="reject",
        platform="api",
        context={"session_id": session.id, "turn_id": turn_id, **details, **revision},
    )


def session_object(session: StoredSession) -> dict[str, Any]:
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


def turn_event_object(turn: StoredTurn) -> dict[str, Any]:
    """The turn in a webhook: without the action that the agent reports later."""
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


def turn_object(turn: StoredTurn) -> dict[str, Any]:
    return {
        **turn_event_object(turn),
        "action_taken": turn.action_taken,
        "files_modified": turn.files_modified,
    }
