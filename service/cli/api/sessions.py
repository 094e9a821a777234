"""``hitl-receiver api session``: sessions of a coding agent and their turns."""

from itertools import islice
from typing import get_args

import click
from msgspec import UNSET

from hitlsh.api.calls.sessions import ActionType, TurnDecision
from hitlsh.api.models.sessions import Session, Turn
from service.cli.api.client import client_from_environment
from service.cli.api.printing import print_resource, raw_json_option
from service.cli.options import NameChoice, parse_json
from service.cli.output import cut

_SESSION_HEADS = ("ID", "AGENT", "STATUS", "LOOP", "TURNS", "CREATED")
_TURN_HEADS = ("ID", "ACTION", "DECISION", "COMMENT", "REQUEST", "CREATED")


@click.group("session")
def session() -> None:
    """Manage sessions of a coding agent, and the turns in which it asks for approval."""


@session.command("create")
@click.option("--agent", "agent_type", default="claude", show_default=True, help="claude or codex.")
@click.option("--loop", "loop_id", help="Id of the loop. Without it, HITL.sh creates one.")
@click.option("--context", metavar="JSON", help="A JSON object: repo, branch, commit, task.")
@raw_json_option
def create_session(agent_type: str, loop_id: str | None, context: str | None, json_wanted: bool) -> None:
    """Open a session."""
    with client_from_environment() as client:
        created = client.sessions.create(
            agent_type=agent_type, loop_id=loop_id, context=parse_json(context, "--context")
        )
    _show_session(created, json_wanted)


@session.command("list")
@click.option("--status", help="active, paused, completed or abandoned.")
@click.option("--agent", "agent_type", help="claude or codex.")
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1), help="How many at most.")
@raw_json_option
def list_sessions(status: str | None, agent_type: str | None, limit: int, json_wanted: bool) -> None:
    """List sessions; one call per hundred."""
    with client_from_environment() as client:
        pages = client.sessions.list(status=status, agent_type=agent_type, page_size=min(limit, 100))
        sessions = tuple(islice(pages, limit))
    print_resource(sessions, _SESSION_HEADS, [_session_row(item) for item in sessions], json_wanted)


@session.command("get")
@click.argument("session_id")
@raw_json_option
def get_session(session_id: str, json_wanted: bool) -> None:
    """Show one session."""
    with client_from_environment() as client:
        agent_session = client.sessions.get(session_id)
    _show_session(agent_session, json_wanted)


@session.command("update")
@click.argument("session_id")
@click.option("--context", metavar="JSON", help="A JSON object.")
@click.option("--reviewer", "reviewer_id", help="Id of the reviewer; an empty one removes the reviewer.")
@raw_json_option
def update_session(session_id: str, context: str | None, reviewer_id: str | None, json_wanted: bool) -> None:
    """Change the context or the reviewer of a session."""
    if context is None and reviewer_id is None:
        raise click.UsageError("Give at least one of --context and --reviewer.")
    with client_from_environment() as client:
        updated = client.sessions.update(
            session_id,
            context=UNSET if context is None else parse_json(context, "--context"),
            reviewer_id=UNSET if reviewer_id is None else reviewer_id,
        )
    _show_session(updated, json_wanted)


@session.command("pause")
@click.argument("session_id")
@raw_json_option
def pause_session(session_id: str, json_wanted: bool) -> None:
    """Pause an active session. It accepts no turns until it is resumed."""
    with client_from_environment() as client:
        paused = client.sessions.pause(session_id)
    _show_session(paused, json_wanted)


@session.command("resume")
@click.argument("session_id")
@raw_json_option
def resume_session(session_id: str, json_wanted: bool) -> None:
    """Resume a paused session."""
    with client_from_environment() as client:
        resumed = client.sessions.resume(session_id)
    _show_session(resumed, json_wanted)


@session.command("complete")
@click.argument("session_id")
@raw_json_option
def complete_session(session_id: str, json_wanted: bool) -> None:
    """End a session."""
    with client_from_environment() as client:
        completed = client.sessions.complete(session_id)
    _show_session(completed, json_wanted)


@session.command("turns")
@click.argument("session_id")
@raw_json_option
def list_turns(session_id: str, json_wanted: bool) -> None:
    """List the turns of a session."""
    with client_from_environment() as client:
        turns = client.sessions.turns(session_id)
    print_resource(turns, _TURN_HEADS, [_turn_row(turn) for turn in turns], json_wanted)


@session.command("turn")
@click.argument("session_id")
@click.argument("turn_id")
@raw_json_option
def get_turn(session_id: str, turn_id: str, json_wanted: bool) -> None:
    """Show one turn."""
    with client_from_environment() as client:
        turn = client.sessions.get_turn(session_id, turn_id)
    _show_turn(turn, json_wanted)


@session.command("create-turn")
@click.argument("session_id")
@click.argument("action_type", type=NameChoice(get_args(ActionType)))
@click.option("--prompt", "agent_prompt", help="What the agent was asked to do.")
@click.option("--tool", "proposed_tool", help="The tool that the agent wants to use.")
@click.option("--args", "proposed_args", metavar="JSON", help="The arguments of the tool.")
@raw_json_option
def create_turn(
    session_id: str,
    action_type: ActionType,
    agent_prompt: str | None,
    proposed_tool: str | None,
    proposed_args: str | None,
    json_wanted: bool,
) -> None:
    """Ask the reviewers to approve an action of the agent."""
    with client_from_environment() as client:
        turn = client.sessions.create_turn(
            session_id,
            action_type,
            agent_prompt=agent_prompt,
            proposed_tool=proposed_tool,
            proposed_args=parse_json(proposed_args, "--args"),
        )
    _show_turn(turn, json_wanted)


@session.command("wait-turn")
@click.argument("session_id")
@click.argument("turn_id")
@click.option("--timeout", default=60, show_default=True, type=click.IntRange(1, 300), help="Seconds.")
@raw_json_option
def wait_for_turn(session_id: str, turn_id: str, timeout: int, json_wanted: bool) -> None:
    """Wait until a turn is decided. HITL.sh holds the call, so waiting costs one."""
    with client_from_environment() as client:
        turn = client.sessions.wait_for_turn(session_id, turn_id, timeout=timeout)
    _show_turn(turn, json_wanted)


@session.command("decide-turn")
@click.argument("session_id")
@click.argument("turn_id")
@click.argument("decision", type=NameChoice(get_args(TurnDecision)))
@click.option("--comment")
@raw_json_option
def decide_turn(session_id: str, turn_id: str, decision: TurnDecision, comment: str | None, json_wanted: bool) -> None:
    """Decide a turn."""
    with client_from_environment() as client:
        turn = client.sessions.decide_turn(session_id, turn_id, decision, comment=comment)
    _show_turn(turn, json_wanted)


@session.command("report-action")
@click.argument("session_id")
@click.argument("turn_id")
@click.option("--success/--failure", required=True, help="Whether the action succeeded.")
@click.option("--exit-code", type=int)
@click.option("--stdout", help="HITL.sh keeps about 4 KB of it.")
@click.option("--stderr", help="HITL.sh keeps about 4 KB of it.")
@click.option("--extra", metavar="JSON", help="A JSON object.")
@click.option("--file-modified", "files_modified", multiple=True, help="Repeatable.")
@raw_json_option
def report_action(
    session_id: str,
    turn_id: str,
    success: bool,
    exit_code: int | None,
    stdout: str | None,
    stderr: str | None,
    extra: str | None,
    files_modified: tuple[str, ...],
    json_wanted: bool,
) -> None:
    """Report what the agent did after a turn was decided."""
    with client_from_environment() as client:
        turn = client.sessions.report_action(
            session_id,
            turn_id,
            success=success,
            exit_code=exit_code,
            stdout=stdout,
            stderr=stderr,
            extra=parse_json(extra, "--extra"),
            files_modified=files_modified or None,
        )
    _show_turn(turn, json_wanted)


def _show_session(agent_session: Session, json_wanted: bool) -> None:
    print_resource(agent_session, _SESSION_HEADS, [_session_row(agent_session)], json_wanted)


def _session_row(item: Session) -> tuple[object, ...]:
    return item.id, item.agent_type, item.status, item.loop_id, item.turn_count, item.created_at


def _show_turn(turn: Turn, json_wanted: bool) -> None:
    print_resource(turn, _TURN_HEADS, [_turn_row(turn)], json_wanted)


def _turn_row(turn: Turn) -> tuple[object, ...]:
    decision = "pending" if turn.pending else turn.human_decision
    return turn.id, turn.action_type, decision, cut(turn.human_comment), turn.request_id, turn.created_at


COMMANDS: tuple[click.Command, ...] = (session,)
