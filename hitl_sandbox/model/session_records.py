"""Records of agent sessions and of their turns."""

from typing import Any, ClassVar, Literal

from hitl_sandbox.model.records import StoredRecord


class StoredSession(StoredRecord, frozen=True, kw_only=True):
    """An agent session."""

    kind: ClassVar[str] = "session"

    api_key_id: str
    agent_type: str
    loop_id: str
    context: dict[str, Any]
    created_at: float
    updated_at: float
    status: Literal["active", "paused", "completed", "abandoned"] = "active"
    reviewer_id: str | None = None
    turn_count: int = 0
    #: When an open session is abandoned, or when an abandoned one is removed.
    ends_at: float | None = None

    def owner(self) -> str:
        return self.api_key_id

    def due(self) -> float | None:
        return self.ends_at


class StoredTurn(StoredRecord, frozen=True, kw_only=True):
    """A proposal of the agent, its decision and the action that followed."""

    kind: ClassVar[str] = "turn"

    session_id: str
    turn_number: int
    request_id: str
    action_type: str
    agent_prompt: str | None
    proposed_tool: str | None
    proposed_args: Any
    created_at: float
    human_decision: str | None = None
    human_comment: str | None = None
    action_taken: dict[str, Any] | None = None
    files_modified: tuple[str, ...] | None = None

    def parent(self) -> str:
        return self.session_id
