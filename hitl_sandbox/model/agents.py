"""Agent sessions and their turns, as records."""

from typing import Any, ClassVar, Literal

from hitl_sandbox.model.records import Record


class Session(Record, frozen=True, kw_only=True):
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
    #: When it is abandoned, later when it is removed.
    ends_at: float | None = None

    def owner(self) -> str:
        return self.api_key_id

    def due(self) -> float | None:
        return self.ends_at


class Turn(Record, frozen=True, kw_only=True):
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
