"""`hitl-receiver ask`: ask people, have the inbox wait for their decision, and with --wait print it."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click
from redis import Redis

from hitlsh.api import BudgetExhausted, Client
from hitlsh.api.models.requests import CreatedRequest
from service.cli.api.errors import in_a_line
from service.cli.api.tables import cell
from service.cli.connection import connected
from service.cli.environment import environment
from service.cli.filters import as_json
from service.cli.insecure_option import insecure
from service.cli.json_option import parse_json
from service.cli.output import echo
from service.cli.question_options import NO_ANSWER, Asking, asking, show_created
from service.cli.waiting import show_decision, wait_for_decision
from service.escaping import one_line
from workers.asking import asking_client, callback_url
from workers.errors import CannotAsk
from workers.settings import Settings

_ID = re.compile(r"[0-9a-fA-F]{24}")


@click.command()
@asking
@click.option("--state", metavar="JSON",
              help="Any JSON, available as decision.state. It is part of the URL, so keep it small.")  # fmt: skip
@click.option("--wait", "waiting", is_flag=True, help="Wait for the decision. Exit code 3: nobody answered.")
@click.option("--every", default=0.5, show_default=True, type=click.FloatRange(0.05),
              help="Seconds between reads of the inbox while waiting. Makes no call to HITL.sh.")  # fmt: skip
@insecure
@as_json
def ask(asked: Asking, state: str | None, waiting: bool, every: float, json_wanted: bool) -> None:
    """Ask the reviewers of a loop. Your handlers receive the decision.

    The callback URL is minted here, with HITL_CALLBACK_SECRETS and HITL_PUBLIC_URL, and bound to this request.
    Should its webhook be lost, a reconcile run brings the decision. Costs one of the key's calls (HITL_API_KEY), two
    when the loop is given by its name. Reads REDIS_URL, or the `dev` stack in this folder.

    With --wait, no further call is made: the decision is awaited in the inbox, where a webhook or a reconcile run
    brings it.
    """
    with connected() as redis:
        created = _ask(Settings.from_env(environment()), redis, asked, state)
        if not waiting:
            show_created(created, json_wanted)
            return
        echo(f"asked: request {created.request_id}; waiting for the decision, Ctrl+C stops that", err=True)
        decision = wait_for_decision(redis, created, every=every)
    show_decision(created.request_id, decision, json_wanted)
    click.get_current_context().exit(0 if decision is not None and decision.answered else NO_ANSWER)


def _ask(settings: Settings, redis: Redis, asked: Asking, state: str | None) -> CreatedRequest:
    address = _callback_url(settings, asked.callback_url, parse_json(state, "--state"), stated=state is not None)
    with in_a_line(), _calls_missed(), asking_client(settings, redis) as client:
        return asked.put(client, find_loop(client, asked.loop), address)


def _callback_url(settings: Settings, given: str | None, state: Any, *, stated: bool) -> str | None:
    if given is not None and stated:
        raise click.UsageError("--state travels in the callback URL that is minted here: leave out --callback-url.")
    if given is not None:
        return given
    try:
        return callback_url(settings, state)
    except CannotAsk as missing:
        if stated:
            raise
        echo(f"no callback URL, so a reconcile run has to find the decision: {missing}", err=True)
        return None


@contextmanager
def _calls_missed() -> Iterator[None]:
    try:
        yield
    except BudgetExhausted as exhausted:
        when = "" if exhausted.reset_at is None else f" They return at {cell(exhausted.reset_at)}."
        raise click.ClickException(f"Nothing was asked: no call of this hour is left.{when}") from None


def find_loop(client: Client, called: str) -> str:
    """The id of the loop with this id or name; a name costs a call."""
    if _ID.fullmatch(called):
        return called
    loops = client.loops.list()
    found = [loop.id for loop in loops if loop.id == called] or [loop.id for loop in loops if loop.name == called]
    if len(found) == 1:
        return found[0]
    if found:
        raise click.ClickException(f"{len(found)} loops are called {called!r}: give the id, {' or '.join(found)}.")
    names = ", ".join(sorted(repr(one_line(loop.name or loop.id)) for loop in loops)) or "none yet"
    raise click.ClickException(f"No loop is called {called!r}: give an id or a name of yours ({names}).")
