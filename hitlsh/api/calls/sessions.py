"""Sessions of a coding agent and their turns (https://docs.hitl.sh/concepts/sessions)."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from msgspec import UNSET, UnsetType

from hitlsh.api.models.requests import CreatedRequest
from hitlsh.api.models.sessions import Session, Turn
from hitlsh.api.operations import Envelope, Operation, changed_fields, encode_body, path_segment, without_none
from hitlsh.api.paging import Page, PagedList, next_offset
from hitlsh.api.questions.limits import check_integer, check_one_of
from hitlsh.api.request_recorder import RecorderEntry, SentRequest

ActionType = Literal[
    "file_write",
    "file_delete",
    "command_exec",
    "git_commit",
    "git_push",
    "dependency_install",
    "migration_run",
    "bypass",
]
TurnDecision = Literal["approve", "modify", "reject", "escalate"]

_DECISIONS = ("approve", "modify", "reject", "escalate")
_LONGEST_WAIT = 300


def create(
    *,
    agent_type: str = "claude",
    loop_id: str | None = None,
    context: Mapping[str, Any] | None = None,
) -> Operation[Session]:
    """Open a session. ``context``: repo, branch, commit, task. Without a loop, HITL.sh creates one."""
    body = encode_body({"agent_type": agent_type} | without_none(loop_id=loop_id, context=context))
    return Operation(method="POST", path="/api/sessions", body=body, read=_session)


def list_all(
    *,
    status: str | None = None,
    agent_type: str | None = None,
    page_size: int = 100,
    offset: int = 0,
) -> PagedList[Session]:
    """Iterate over the sessions of the API key, with one call for every ``page_size`` (1 to 100) of them."""
    check_integer("page_size", page_size, 1, 100)

    def page_at(start: int) -> Operation[Page[Session]]:
        query = without_none(status=status, agent_type=agent_type, limit=page_size, offset=start)
        return Operation(
            method="GET", path="/api/sessions", query=query, read=lambda reply: _page(reply, start, page_size)
        )

    return PagedList(offset=offset, page_at=page_at)


def get(session_id: str) -> Operation[Session]:
    """Return one session."""
    return Operation(method="GET", path=_path(session_id), read=_session)


def update(
    session_id: str,
    *,
    context: Mapping[str, Any] | UnsetType = UNSET,
    reviewer_id: str | UnsetType = UNSET,
) -> Operation[Session]:
    """Change the context or the reviewer; an empty ``reviewer_id`` removes the reviewer."""
    body = encode_body(changed_fields(context=context, reviewer_id=reviewer_id))
    return Operation(method="PUT", path=_path(session_id), body=body, read=_session)


def pause(session_id: str) -> Operation[Session]:
    """Pause a session, which then accepts no turns; raises Conflict unless it is active."""
    return _transition(session_id, "pause")


def resume(session_id: str) -> Operation[Session]:
    """Resume a session; raises Conflict unless it is paused."""
    return _transition(session_id, "resume")


def complete(session_id: str) -> Operation[Session]:
    """End a session. A second call has no effect."""
    return _transition(session_id, "complete")


def create_turn(
    session_id: str,
    action_type: ActionType,
    *,
    agent_prompt: str | None = None,
    proposed_tool: str | None = None,
    proposed_args: Any = None,
) -> Operation[Turn]:
    """Propose an action; HITL.sh asks the reviewers to approve, modify, reject or escalate it."""
    fields = without_none(agent_prompt=agent_prompt, proposed_tool=proposed_tool, proposed_args=proposed_args)
    body = encode_body({"action_type": action_type} | fields)
    return Operation(
        method="POST", path=f"{_path(session_id)}/turns", body=body, read=_turn, created_request=_request_of_turn
    )


def turns(session_id: str) -> Operation[tuple[Turn, ...]]:
    """Return all turns of a session."""
    return Operation(
        method="GET",
        path=f"{_path(session_id)}/turns",
        read=lambda reply: tuple(Turn.from_payload(turn) for turn in reply.items("turns")),
    )


def get_turn(session_id: str, turn_id: str) -> Operation[Turn]:
    """Return one turn."""
    return Operation(method="GET", path=_turn_path(session_id, turn_id), read=_turn)


def wait_for_turn(session_id: str, turn_id: str, *, timeout: int = 60) -> Operation[Turn]:
    """Wait until a turn is decided, at most ``timeout`` (1 to 300) seconds. HITL.sh holds the call meanwhile.

    Returns the turn in either case; it is ``pending`` after a timeout, which HITL.sh answers with a 408.
    """
    check_integer("timeout", timeout, 1, _LONGEST_WAIT)
    return Operation(
        method="GET",
        path=f"{_turn_path(session_id, turn_id)}/wait",
        query={"timeout": timeout},
        read=_turn,
        accepts=frozenset({408}),
        hold_seconds=float(timeout),
    )


def decide_turn(
    session_id: str, turn_id: str, decision: TurnDecision, *, comment: str | None = None
) -> Operation[Turn]:
    """Decide a turn; raises Conflict when it is decided already."""
    check_one_of("decision", decision, _DECISIONS)
    body = encode_body({"decision": decision} | without_none(comment=comment))
    return Operation(method="PUT", path=_turn_path(session_id, turn_id), body=body, read=_turn)


def report_action(
    session_id: str,
    turn_id: str,
    *,
    success: bool,
    exit_code: int | None = None,
    stdout: str | None = None,
    stderr: str | None = None,
    extra: Mapping[str, Any] | None = None,
    files_modified: Sequence[str] | None = None,
) -> Operation[Turn]:
    """Report what the agent did. HITL.sh stores about 4 KB of each output."""
    action = without_none(success=success, exit_code=exit_code, stdout=stdout, stderr=stderr, extra=extra)
    files = None if files_modified is None else list(files_modified)
    body = encode_body({"action": action} | without_none(files_modified=files))
    return Operation(method="POST", path=f"{_turn_path(session_id, turn_id)}/action", body=body, read=_turn)


def _path(session_id: str) -> str:
    return f"/api/sessions/{path_segment('session_id', session_id)}"


def _turn_path(session_id: str, turn_id: str) -> str:
    return f"{_path(session_id)}/turns/{path_segment('turn_id', turn_id)}"


def _transition(session_id: str, action: str) -> Operation[Session]:
    return Operation(method="POST", path=f"{_path(session_id)}/{action}", read=_session)


def _session(reply: Envelope) -> Session:
    return Session.from_payload(reply.inner("session"))


def _turn(reply: Envelope) -> Turn:
    return Turn.from_payload(reply.inner("turn"))


def _request_of_turn(turn: Turn) -> RecorderEntry | None:
    """Return the entry of the request that HITL.sh created for a turn."""
    if turn.request_id is None:
        return None
    created = CreatedRequest(request_id=turn.request_id, created_at=turn.created_at)
    return RecorderEntry(created=created, sent=SentRequest())


def _page(reply: Envelope, start: int, page_size: int) -> Page[Session]:
    sessions = tuple(Session.from_payload(session) for session in reply.items("sessions"))
    following = next_offset(offset=start, limit=page_size, count=len(sessions), has_more=None, total=None, given=None)
    return Page(items=sessions, next_offset=following)
