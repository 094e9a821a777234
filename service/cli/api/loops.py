"""``hitl-receiver api``: loops and their members."""

import click
from msgspec import UNSET

from hitlsh.api.models.loops import Loop
from service.cli.api.errors import client_from_env
from service.cli.api.tables import REQUEST_HEADS, as_json, request_row, show

_HEADS = ("ID", "NAME", "ICON", "MEMBERS", "PENDING", "CREATED", "DESCRIPTION")


@click.command("loop")
@click.argument("loop_id")
@as_json
def get_loop(loop_id: str, json_wanted: bool) -> None:
    """Show one loop."""
    with client_from_env() as client:
        loop = client.loops.get(loop_id)
    show(loop, _HEADS, [_row(loop)], json_wanted)


@click.command("create-loop")
@click.option("--name", required=True, help="1 to 100 characters.")
@click.option("--icon", default="clipboard", show_default=True, help="An icon name or an emoji.")
@click.option("--description", help="At most 500 characters.")
@as_json
def create_loop(name: str, icon: str, description: str | None, json_wanted: bool) -> None:
    """Create a loop. Reviewers join it in the app with the invite code."""
    with client_from_env() as client:
        created = client.loops.create(name, icon, description=description)
    rows = [(created.loop.id, created.loop.name, created.invite_code, created.join_url)]
    show(created, ("ID", "NAME", "INVITE CODE", "JOIN"), rows, json_wanted)


@click.command("update-loop")
@click.argument("loop_id")
@click.option("--name", help="1 to 100 characters.")
@click.option("--icon", help="An icon name or an emoji.")
@click.option("--description", help="At most 500 characters.")
@as_json
def update_loop(loop_id: str, name: str | None, icon: str | None, description: str | None, json_wanted: bool) -> None:
    """Change the name, the icon or the description of a loop."""
    if all(change is None for change in (name, icon, description)):
        raise click.UsageError("Give at least one of --name, --icon and --description.")
    with client_from_env() as client:
        loop = client.loops.update(
            loop_id,
            name=UNSET if name is None else name,
            icon=UNSET if icon is None else icon,
            description=UNSET if description is None else description,
        )
    show(loop, _HEADS, [_row(loop)], json_wanted)


@click.command("delete-loop")
@click.argument("loop_id")
@click.confirmation_option(prompt="Delete the loop and all its requests?")
@as_json
def delete_loop(loop_id: str, json_wanted: bool) -> None:
    """Delete a loop with its requests. This cannot be undone."""
    with client_from_env() as client:
        deleted = client.loops.delete(loop_id)
    show(deleted, ("ID", "DELETED"), [(deleted.loop_id, deleted.deleted_at)], json_wanted)


@click.command("remove-member")
@click.argument("loop_id")
@click.argument("user_id")
@as_json
def remove_member(loop_id: str, user_id: str, json_wanted: bool) -> None:
    """Remove a member from a loop. The loop's creator cannot be removed."""
    with client_from_env() as client:
        removed = client.loops.remove_member(loop_id, user_id)
    show(removed, ("LOOP", "USER", "REMOVED"), [(removed.loop_id, removed.user_id, removed.removed_at)], json_wanted)


@click.command("loop-requests")
@click.argument("loop_id")
@as_json
def list_loop_requests(loop_id: str, json_wanted: bool) -> None:
    """List all requests of a loop with one call."""
    with client_from_env() as client:
        requests = client.requests.list_of_loop(loop_id)
    show(requests, REQUEST_HEADS, [request_row(request) for request in requests], json_wanted)


def _row(loop: Loop) -> tuple[object, ...]:
    return (
        loop.id,
        loop.name,
        loop.icon,
        loop.member_count,
        loop.pending_count,
        loop.created_at,
        loop.description,
    )


COMMANDS: tuple[click.Command, ...] = (
    get_loop,
    create_loop,
    update_loop,
    delete_loop,
    remove_member,
    list_loop_requests,
)
