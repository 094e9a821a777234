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
Verdict = Literal["approve", "modify", "reject", "escalate"]

_VERDICTS = ("approve", "modify", "reject", "escalate")
_LONGEST_WAIT = 300


def create(
    *,
    agent_type: str = "claude",
    loop_id: str | None = None,
    context: Mapping[str, Any] | None = None,
) -> Operation[Session]:
    """Open a session; ``context`` names repo, branch, commit and task. Without a loop one is made."""
    body = encode_body({"agent_type": agent_type} | without_none(loop_id=loop_id, context=context))
    return Operation(method="POST", path="/api/sessions", body=body, read=_session)


def list_all(
    *,
    status: str | None = None,
    agent_type: str | None = None,
    page_size: int = 100,
    offset: int = 0,
) -> PagedList[Session]:
    """The sessions of this key, fetched as you go: one call for every ``page_size`` (1 to 100) of them."""
    check_integer("page_size", page_size, 1, 100)

    def page_at(start: int) -> Operation[Page[Session]]:
        query = without_none(status=status, agent_type=agent_type, limit=page_size, offset=start)
        return Operation(
            method="GET", path="/api/sessions", query=query, read=lambda reply: _page(reply, start, page_size)
        )

    return PagedList(offset=offset, page_at=page_at)


def get(session_id: str) -> Operation[Session]:
    """One session."""
    return Operation(method="GET", path=_path(session_id), read=_session)


def update(
    session_id: str,
    *,
    context: Mapping[str, Any] | UnsetType = UNSET,
    reviewer_id: str | UnsetType = UNSET,
) -> Operation[Session]:
    """Change the context or who reviews; an empty ``reviewer_id`` takes the reviewer away."""
    body = encode_body(changed_fields(context=context, reviewer_id=reviewer_id))
    return Operation(method="PUT", path=_path(session_id), body=body, read=_session)


def pause(session_id: str) -> Operation[Session]:
    """Stop taking turns; raises `Conflict` unless the session is active."""
    return _move(session_id, "pause")


def resume(session_id: str) -> Operation[Session]:
    """Take turns again; raises `Conflict` unless the session is paused."""
    return _move(session_id, "resume")


def complete(session_id: str) -> Operation[Session]:
    """End the session; a second time does no harm."""
    return _move(session_id, "complete")


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
    return Operation(method="POST", path=f"{_path(session_id)}/turns", body=body, read=_turn, makes=_behind)


def turns(session_id: str) -> Operation[tuple[Turn, ...]]:
    """All turns of a session."""
    return Operation(
        method="GET",
        path=f"{_path(session_id)}/turns",
        read=lambda reply: tuple(Turn.from_payload(turn) for turn in reply.items("turns")),
    )


def get_turn(session_id: str, turn_id: str) -> Operation[Turn]:
    """One turn."""
    return Operation(method="GET", path=_turn_path(session_id, turn_id), read=_turn)


def wait_for_turn(session_id: str, turn_id: str, *, timeout: int = 60) -> Operation[Turn]:
    """Let HITL.sh hold the call until somebody decides, at most ``timeout`` (1 to 300) seconds.

    Gives the turn either way: it is ``pending`` when the time ran out, which HITL.sh answers with a 408.
    """
    check_integer("timeout", timeout, 1, _LONGEST_WAIT)
    return Operation(
        method="GET",
        path=f"{_turn_path(session_id, turn_id)}/wait",
        query={"timeout": timeout},
        read=_turn,
        accepts=frozenset({408}),
        patience=float(timeout),
    )


def decide_turn(session_id: str, turn_id: str, decision: Verdict, *, comment: str | None = None) -> Operation[Turn]:
    """Decide a turn; raises `Conflict` when it is decided already."""
    check_one_of("decision", decision, _VERDICTS)
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
    """Tell what the agent did; HITL.sh keeps about 4 KB of each output."""
    action = without_none(success=success, exit_code=exit_code, stdout=stdout, stderr=stderr, extra=extra)
    files = None if files_modified is None else list(files_modified)
    body = encode_body({"action": action} | without_none(files_modified=files))
    return Operation(method="POST", path=f"{_turn_path(session_id, turn_id)}/action", body=body, read=_turn)


def _path(session_id: str) -> str:
    return f"/api/sessions/{path_segment('session_id', session_id)}"


def _turn_path(session_id: str, turn_id: str) -> str:
    return f"{_path(session_id)}/turns/{path_segment('turn_id', turn_id)}"


def _move(session_id: str, verb: str) -> Operation[Session]:
    return Operation(method="POST", path=f"{_path(session_id)}/{verb}", read=_session)


def _session(reply: Envelope) -> Session:
    return Session.from_payload(reply.inner("session"))


def _turn(reply: Envelope) -> Turn:
    return Turn.from_payload(reply.inner("turn"))


def _behind(turn: Turn) -> RecorderEntry | None:
    """The request that HITL.sh itself made for a turn, in a form of its choosing."""
    if turn.request_id is None:
        return None
    created = CreatedRequest(request_id=turn.request_id, created_at=turn.created_at)
    return RecorderEntry(created=created, sent=SentRequest())


def _page(reply: Envelope, start: int, page_size: int) -> Page[Session]:
    found = tuple(Session.from_payload(session) for session in reply.items("sessions"))
    after = next_offset(offset=start, limit=page_size, got=len(found), more=None, total=None, said=None)
    return Page(items=found, next_offset=after)
