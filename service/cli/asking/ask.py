"""`hitl-receiver ask`: ask a question whose decision the inbox tracks, and with --wait print that decision."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

import click
from redis import Redis

from hitlsh.api import BudgetExhausted, Client
from hitlsh.api.models.requests import CreatedRequest
from service.cli.api.client import report_api_errors
from service.cli.api.question_options import NO_ANSWER, QuestionOptions, question_options, show_created
from service.cli.asking.decision_wait import show_decision, wait_for_decision
from service.cli.asking.submitted_question import (
    EscalationParameter,
    SubmitOptions,
    exit_status,
    show_asked,
    submit_question,
)
from service.cli.connection import connect
from service.cli.environment import environment
from service.cli.options import NameChoice, insecure_option, json_option, parse_json, state_option
from service.cli.output import cell, echo
from workers import asking
from workers.errors import CannotAsk
from workers.settings import Settings
from workers.telemetry.escaping import one_line

_LOOP_ID = re.compile(r"[0-9a-fA-F]{24}")


@click.command()
@question_options
@state_option
@click.option("--wait", "waiting", is_flag=True, help="Wait for the decision. Exit code 3: nobody answered.")
@click.option("--every", default=0.5, show_default=True, type=click.FloatRange(0.05),
              help="Seconds between reads of the inbox while waiting. Makes no call to HITL.sh.")  # fmt: skip
@click.option("--key", help="Idempotency key: the same question with the same key is asked once.")
@click.option(
    "--trust",
    type=NameChoice(("callback", "signed", "confirmed")),
    help="The least trust of the outcome; see the page on confirmation.",
)
@click.option(
    "--when-limited",
    type=NameChoice(("queue", "refuse")),
    help="If the calls of the hour are used up: ask when they return, or fail.",
)
@click.option(
    "--escalate-to",
    multiple=True,
    type=EscalationParameter(),
    help="Loop that is asked when the one before has timed out, and its timeout. Repeatable. Needs --timeout.",
)
@insecure_option
@json_option
def ask(
    question: QuestionOptions, state: str | None, waiting: bool, every: float, json_wanted: bool, **submit: Any
) -> None:
    """Ask the reviewers of a loop. Your handlers receive the decision.

    The request gets a callback URL, signed with HITL_CALLBACK_SECRETS for HITL_PUBLIC_URL and bound to it. If its
    webhook is lost, a reconcile run finds the decision. Uses one of the key's calls (HITL_API_KEY), two when the
    loop is given by its name. Reads REDIS_URL, or the `dev` stack in this folder.

    With --key, --trust, --when-limited or --escalate-to, the question is submitted to the asking service: it has an id
    of ours at once, and is asked once, even if this command dies. It waits for calls unless --when-limited is refuse.

    With --wait, no further call is made: the command waits until a webhook or a reconcile run brings the decision
    into the inbox.

    \b
    hitl-receiver ask --loop Payouts --text "Pay?" --option Approve --option Reject --default Reject --wait
    hitl-receiver ask --loop Payouts --text "Pay?" --type boolean --default false --timeout 600 \\
        --escalate-to "On call=600" --escalate-to "Directors=3600"
    """
    options = SubmitOptions(**submit)
    with connect() as redis:
        if options.are_given:
            _submit_question(question, options, state, every if waiting else None, json_wanted)
        created = _create_request(Settings.from_env(environment()), redis, question, state)
        if not waiting:
            show_created(created, json_wanted)
            return
        echo(f"Asked: request {created.request_id}. Waiting for the decision; Ctrl+C stops waiting.", err=True)
        decision = wait_for_decision(redis, created, every=every)
    show_decision(created.request_id, decision, json_wanted)
    click.get_current_context().exit(0 if decision is not None and decision.answered else NO_ANSWER)


def _submit_question(
    question: QuestionOptions, options: SubmitOptions, state: str | None, every: float | None, json_wanted: bool
) -> NoReturn:
    with report_api_errors():
        asked = submit_question(Settings.from_env(environment()), question, options, state, every=every)
    show_asked(asked, json_wanted)
    click.get_current_context().exit(exit_status(asked) if every is not None else 0)


def _create_request(settings: Settings, redis: Redis, question: QuestionOptions, state: str | None) -> CreatedRequest:
    address = _callback_url(
        settings, question.callback_url, parse_json(state, "--callback-state"), has_state=state is not None
    )
    with report_api_errors(), _report_exhausted_budget(), asking.asking_client(settings, redis) as client:
        return question.create_request(client, find_loop(client, question.loop), address)


def _callback_url(settings: Settings, given: str | None, state: Any, *, has_state: bool) -> str | None:
    if given is not None and has_state:
        raise click.UsageError(
            "--callback-state is part of a callback URL that is created here: leave out --callback-url."
        )
    if given is not None:
        return given
    try:
        return asking.callback_url(settings, state)
    except CannotAsk as error:
        if has_state:
            raise
        echo(f"No callback URL, so only a reconcile run can find the decision: {error}", err=True)
        return None


@contextmanager
def _report_exhausted_budget() -> Iterator[None]:
    try:
        yield
    except BudgetExhausted as error:
        returns = "" if error.reset_at is None else f" Calls return at {cell(error.reset_at)}."
        raise click.ClickException(f"Not asked: no API call is left this hour.{returns}") from None


def find_loop(client: Client, id_or_name: str) -> str:
    """The id of the loop with this id or name; a name costs a call."""
    if _LOOP_ID.fullmatch(id_or_name):
        return id_or_name
    loops = client.loops.list()
    ids = [loop.id for loop in loops if loop.id == id_or_name] or [loop.id for loop in loops if loop.name == id_or_name]
    if len(ids) == 1:
        return ids[0]
    if ids:
        raise click.ClickException(f"{len(ids)} loops are named {id_or_name!r}: give an id, {' or '.join(ids)}.")
    names = ", ".join(sorted(repr(one_line(loop.name or loop.id)) for loop in loops)) or "none yet"
    raise click.ClickException(f"No loop is named {id_or_name!r}: give the id or name of one of your loops ({names}).")
