"""``hitl-receiver api``: the everyday calls to HITL.sh from a terminal, as tables or as JSON."""

import json
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import islice
from typing import Any

import click

from hitlsh.api import (
    Client,
    DocumentedLimitWarning,
    Question,
    boolean,
    editable_text,
    multi_select,
    number,
    rating,
    single_select,
    text,
)
from hitlsh.api.address import DEFAULT_BASE_URL
from hitlsh.api.models.requests import Request, RequestSummary
from hitlsh.errors import HitlshError
from service.api_tables import cell, printable, show
from service.environment import environment

#: The exit status of ``ask --wait`` when nobody answered: never to be taken for a decision.
NO_ANSWER = 3

_TYPES = ("single_select", "multi_select", "boolean", "rating", "number", "text", "editable_text")

as_json = click.option("--json", "json_wanted", is_flag=True, help="Print what HITL.sh sent, as JSON.")


@click.group("api")
def api() -> None:
    """Call HITL.sh: the key is HITL_API_KEY, the address HITL_BASE_URL (default: production).

    Every call costs one of the key's 100 per hour.
    """


@api.command("test")
@as_json
def test_key(json_wanted: bool) -> None:
    """Show whose key this is and what it may do."""
    with client_from_env(environment()) as client:
        key = client.test()
        limit = client.rate_limit
    left = None if limit is None else f"{limit.remaining} of {limit.limit}, until {cell(limit.reset_at)}"
    rows = [(key.email, key.account_status, ", ".join(key.permissions), left)]
    show(key, ("ACCOUNT", "STATUS", "PERMISSIONS", "CALLS LEFT"), rows, json_wanted)


@api.command("loops")
@as_json
def list_loops(json_wanted: bool) -> None:
    """List your loops."""
    with client_from_env(environment()) as client:
        loops = client.loops.list()
    rows = [(loop.id, loop.name, loop.member_count, loop.pending_count, loop.created_at) for loop in loops]
    show(loops, ("ID", "NAME", "MEMBERS", "PENDING", "CREATED"), rows, json_wanted)


@api.command("members")
@click.argument("loop_id")
@as_json
def list_members(loop_id: str, json_wanted: bool) -> None:
    """List the people of a loop."""
    with client_from_env(environment()) as client:
        found = client.loops.members(loop_id)
    rows = [(person.user_id, person.email, person.status, person.joined_at) for person in found.members]
    show(found, ("ID", "EMAIL", "STATUS", "JOINED"), rows, json_wanted)


@api.command("list")
@click.option("--status", help="pending, completed, timeout or cancelled.")
@click.option("--loop", "loop_id", help="Only this loop's requests.")
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1), help="How many at most.")
@as_json
def list_requests(status: str | None, loop_id: str | None, limit: int, json_wanted: bool) -> None:
    """List the requests this key created, the newest first; one call per hundred."""
    with client_from_env(environment()) as client:
        walk = client.requests.list(status=status, loop_id=loop_id, page_size=min(limit, 100))
        found = tuple(islice(walk, limit))
    rows = [_row(request) for request in found]
    show(found, ("ID", "STATUS", "ANSWER", "BY", "CREATED", "TEXT"), rows, json_wanted)


@api.command("get")
@click.argument("request_id")
@as_json
def get_request(request_id: str, json_wanted: bool) -> None:
    """Show one request."""
    with client_from_env(environment()) as client:
        request = client.requests.get(request_id)
    _show_request(request, json_wanted)


@api.command("cancel")
@click.argument("request_id")
@as_json
def cancel_request(request_id: str, json_wanted: bool) -> None:
    """Take a pending request back, for good."""
    with client_from_env(environment()) as client:
        cancelled = client.requests.cancel(request_id)
    show(cancelled, ("ID", "STATUS"), [(cancelled.request_id, cancelled.status)], json_wanted)


@api.command("ask")
@click.option("--loop", "loop_id", required=True, help="Whom to ask.")
@click.option("--text", "words", required=True, help="What is to be decided; may hold Markdown.")
@click.option("--type", "kind", default="single_select", show_default=True, type=click.Choice(_TYPES))
@click.option("--option", "options", multiple=True, help="An option of a select; give it several times.")
@click.option("--min", "low", type=float, default=1, show_default=True, help="Of a rating or number.")
@click.option("--max", "high", type=float, default=5, show_default=True, help="Of a rating or number.")
@click.option("--draft", default="", help="The draft of an editable_text.")
@click.option("--default", "defaults", multiple=True, required=True, help="What holds when nobody answers.")
@click.option("--timeout", type=int, help="Seconds, 60 to 86400; without it 30 days.")
@click.option("--priority", default="medium", type=click.Choice(("low", "medium", "high", "critical")))
@click.option("--callback-url", help="Where HITL.sh posts the outcome.")
@click.option("--wait", "waiting", is_flag=True, help="Poll for the outcome; exit with 3 if nobody answered.")
@click.option("--every", type=float, help="Seconds between polls, instead of 5, 10, 30, 60, 120, 300, …")
@as_json
def ask(
    loop_id: str,
    words: str,
    defaults: tuple[str, ...],
    timeout: int | None,
    priority: Any,
    callback_url: str | None,
    waiting: bool,
    every: float | None,
    json_wanted: bool,
    **asked: Any,
) -> None:
    """Ask the people of a loop, and with --wait print what they said."""
    with client_from_env(environment()) as client:
        created = client.requests.create(
            loop_id,
            words,
            _question(**asked),
            default_response=_default(asked["kind"], defaults),
            priority=priority,
            timeout_seconds=timeout,
            callback_url=callback_url,
        )
        request = client.requests.wait(created.request_id, every=every) if waiting else None
    if request is None:
        rows = [(created.request_id, created.status, created.timeout_at, created.polling_url)]
        show(created, ("ID", "STATUS", "TIMES OUT", "POLL"), rows, json_wanted)
    else:
        _show_request(request, json_wanted)
        click.get_current_context().exit(0 if request.answer is not None else NO_ANSWER)


@contextmanager
def client_from_env(environ: Mapping[str, str]) -> Iterator[Client]:
    """A client for one command; what goes wrong becomes one line and exit status 1."""
    key = environ.get("HITL_API_KEY", "").strip()
    if not key:
        raise click.ClickException("HITL_API_KEY is not set: set it to the API key of your HITL.sh account.")
    address = environ.get("HITL_BASE_URL", "").strip() or DEFAULT_BASE_URL
    try:
        with _warnings_spoken(), Client(key, base_url=address) as client:
            yield client
    except HitlshError as error:
        raise click.ClickException(printable(str(error))) from None


@contextmanager
def _warnings_spoken() -> Iterator[None]:
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always", DocumentedLimitWarning)
        try:
            yield
        finally:
            for warning in warned:
                click.echo(f"Warning: {printable(str(warning.message))}", err=True)


def _question(kind: str, options: tuple[str, ...], low: float, high: float, draft: str) -> Question:
    if kind in ("single_select", "multi_select"):
        return (single_select if kind == "single_select" else multi_select)(*options)
    if kind in ("rating", "number"):
        return (rating if kind == "rating" else number)(_tidy(low), _tidy(high))
    if kind == "boolean":
        return boolean(*options)
    return text() if kind == "text" else editable_text(draft)


def _tidy(value: float) -> float:
    """1 rather than 1.0, as HITL.sh's own examples have it."""
    return int(value) if value.is_integer() else value


def _default(kind: str, defaults: tuple[str, ...]) -> Any:
    """The words of the command line as the type wants them; what does not fit is refused when asking."""
    if kind == "multi_select":
        return [words for words in defaults if words]
    if kind not in ("rating", "number"):
        return defaults[-1]
    try:
        return json.loads(defaults[-1])
    except ValueError:
        return defaults[-1]


def _show_request(request: Request, json_wanted: bool) -> None:
    heads = ("ID", "STATUS", "ANSWER", "BY", "CREATED", "TEXT")
    show(request, heads, [_row(request)], json_wanted)


def _row(request: RequestSummary) -> tuple[Any, ...]:
    reviewer = request.reviewer
    by = None if reviewer is None else reviewer.name or reviewer.email or reviewer.id
    answer = None if request.answer is None else json.dumps(request.answer.value, ensure_ascii=False)
    return request.id, request.status, answer, by, request.created_at, request.request_text
