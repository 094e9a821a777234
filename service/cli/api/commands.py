"""``hitl-receiver api``: the everyday calls to HITL.sh from a terminal, as tables or as JSON."""

from itertools import islice

import click

from service.cli.api import chains, loops, requests, sessions, webhooks, workflows
from service.cli.api.errors import client_from_env
from service.cli.api.tables import REQUEST_HEADS, as_json, cell, request_row, show, show_request
from service.cli.question_options import NO_ANSWER, Asking, asking, show_created


@click.group("api")
def api() -> None:
    """Call the HITL.sh API with HITL_API_KEY, at HITL_BASE_URL (default: production).

    Each command uses calls of the key's 100 per hour.
    """


@api.command("test")
@as_json
def test_key(json_wanted: bool) -> None:
    """Show the owner and the permissions of the API key."""
    with client_from_env() as client:
        key = client.test()
        limit = client.rate_limit
    left = None if limit is None else f"{limit.remaining} of {limit.limit}, until {cell(limit.reset_at)}"
    rows = [(key.email, key.account_status, ", ".join(key.permissions), left)]
    show(key, ("ACCOUNT", "STATUS", "PERMISSIONS", "CALLS LEFT"), rows, json_wanted)


@api.command("loops")
@as_json
def list_loops(json_wanted: bool) -> None:
    """List your loops."""
    with client_from_env() as client:
        loops = client.loops.list()
    rows = [(loop.id, loop.name, loop.member_count, loop.pending_count, loop.created_at) for loop in loops]
    show(loops, ("ID", "NAME", "MEMBERS", "PENDING", "CREATED"), rows, json_wanted)


@api.command("members")
@click.argument("loop_id")
@as_json
def list_members(loop_id: str, json_wanted: bool) -> None:
    """List the members of a loop."""
    with client_from_env() as client:
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
    with client_from_env() as client:
        scan = client.requests.list(status=status, loop_id=loop_id, page_size=min(limit, 100))
        found = tuple(islice(scan, limit))
    show(found, REQUEST_HEADS, [request_row(request) for request in found], json_wanted)


@api.command("get")
@click.argument("request_id")
@as_json
def get_request(request_id: str, json_wanted: bool) -> None:
    """Show one request."""
    with client_from_env() as client:
        request = client.requests.get(request_id)
    show_request(request, json_wanted)


@api.command("cancel")
@click.argument("request_id")
@as_json
def cancel_request(request_id: str, json_wanted: bool) -> None:
    """Cancel a pending request."""
    with client_from_env() as client:
        cancelled = client.requests.cancel(request_id)
    show(cancelled, ("ID", "STATUS"), [(cancelled.request_id, cancelled.status)], json_wanted)


@api.command("ask")
@asking
@click.option("--wait", "waiting", is_flag=True, help="Poll for the outcome; exit with 3 if nobody answered.")
@click.option("--every", type=float, help="Seconds between polls, instead of 5, 10, 30, 60, 120, 300, …")
@as_json
def ask(asked: Asking, waiting: bool, every: float | None, json_wanted: bool) -> None:
    """Ask the reviewers of a loop. With --wait, print the response.

    The inbox is not told: `hitl-receiver ask` is the one that keeps track of the request, and waits for the
    webhook rather than poll.
    """
    with client_from_env() as client:
        created = asked.put(client, asked.loop, asked.callback_url)
        request = client.requests.wait(created.request_id, every=every) if waiting else None
    if request is None:
        show_created(created, json_wanted)
    else:
        show_request(request, json_wanted)
        click.get_current_context().exit(0 if request.answer is not None else NO_ANSWER)


for _module in (loops, requests, sessions, chains, workflows, webhooks):
    for _command in _module.COMMANDS:
        api.add_command(_command)
