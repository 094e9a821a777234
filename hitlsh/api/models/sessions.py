"""Sessions of a coding agent and their turns (https://docs.hitl.sh/concepts/sessions)."""

from datetime import datetime
from typing import Any

from hitlsh.api.resource import Resource


class Session(Resource, frozen=True, kw_only=True):
    """A session of a coding agent."""

    id: str
    agent_type: str | None = None
    #: ``active``, ``paused``, ``completed`` or ``abandoned``.
    status: str | None = None
    loop_id: str | None = None
    reviewer_id: str | None = None
    context: dict[str, Any] | None = None
    turn_count: int | None = None
    created_at: datetime | None = None
    updated_at: datetime | None = None


class Turn(Resource, frozen=True, kw_only=True):
    """An action that the agent proposes; ``human_decision`` is None until a person has decided."""

    id: str
    session_id: str | None = None
    turn_number: int | None = None
    #: The request that carries the question to the reviewers.
    request_id: str | None = None
    action_type: str | None = None
    agent_prompt: str | None = None
    proposed_tool: str | None = None
    proposed_args: Any = None
    #: ``approve``, ``modify``, ``reject`` or ``escalate``.
    human_decision: str | None = None
    human_comment: str | None = None
    action_taken: Any = None
    files_modified: tuple[Any, ...] = ()
    created_at: datetime | None = None

    @property
    def pending(self) -> bool:
        """Whether the turn is not decided yet."""
        return self.human_decision is None
