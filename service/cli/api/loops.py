"""``hitl-receiver api``: loops and their members."""

import click
from msgspec import UNSET

from hitlsh.api.models.loops import Loop
from service.cli.api.client import client_from_environment
from service.cli.api.printing import print_requests, print_resource, raw_json_option
from service.cli.output import cut

_HEADS = ("ID", "NAME", "ICON", "MEMBERS", "PENDING", "CREATED", "DESCRIPTION")


@click.command("loops")
@raw_json_option
def list_loops(json_wanted: bool) -> None:
    """List your loops."""
    with client_from_environment() as client:
        loops = client.loops.list()
    rows = [(loop.id, cut(loop.name), loop.member_count, loop.pending_count, loop.created_at) for loop in loops]
    print_resource(loops, ("ID", "NAME", "MEMBERS", "PENDING", "CREATED"), rows, json_wanted)


@click.command("members")
@click.argument("loop_id")
@raw_json_option
def list_members(loop_id: str, json_wanted: bool) -> None:
    """List the members of a loop."""
    with client_from_environment() as client:
        listing = client.loops.members(loop_id)
    rows = [(member.user_id, cut(member.email), member.status, member.joined_at) for member in listing.members]
    print_resource(listing, ("ID", "EMAIL", "STATUS", "JOINED"), rows, json_wanted)


@click.command("loop")
@click.argument("loop_id")
@raw_json_option
def get_loop(loop_id: str, json_wanted: bool) -> None:
    """Show one loop."""
    with client_from_environment() as client:
        loop = client.loops.get(loop_id)
    print_resource(loop, _HEADS, [_row(loop)], json_wanted)


@click.command("create-loop")
@click.option("--name", required=True, help="1 to 100 characters.")
@click.option("--icon", default="clipboard", show_default=True, help="An icon name or an emoji.")
@click.option("--description", help="At most 500 characters.")
@raw_json_option
def create_loop(name: str, icon: str, description: str | None, json_wanted: bool) -> None:
    """Create a loop. Reviewers join it in the app with the invite code."""
    with client_from_environment() as client:
        created = client.loops.create(name, icon, description=description)
    rows = [(created.loop.id, cut(created.loop.name), created.invite_code, created.join_url)]
    print_resource(created, ("ID", "NAME", "INVITE CODE", "JOIN"), rows, json_wanted)


@click.command("update-loop")
@click.argument("loop_id")
@click.option("--name", help="1 to 100 characters.")
@click.option("--icon", help="An icon name or an emoji.")
@click.option("--description", help="At most 500 characters.")
@raw_json_option
def update_loop(loop_id: str, name: str | None, icon: str | None, description: str | None, json_wanted: bool) -> None:
    """Change the name, the icon or the description of a loop."""
    if all(change is None for change in (name, icon, description)):
        raise click.UsageError("Give at least one of --name, --icon and --description.")
    with client_from_environment() as client:
        loop = client.loops.update(
            loop_id,
            name=UNSET if name is None else name,
            icon=UNSET if icon is None else icon,
            description=UNSET if description is None else description,
        )
    print_resource(loop, _HEADS, [_row(loop)], json_wanted)


@click.command("delete-loop")
@click.argument("loop_id")
@click.confirmation_option(prompt="Delete the loop and all its requests?")
@raw_json_option
def delete_loop(loop_id: str, json_wanted: bool) -> None:
    """Delete a loop with its requests. This cannot be undone."""
    with client_from_environment() as client:
        deleted = client.loops.delete(loop_id)
    print_resource(deleted, ("ID", "DELETED"), [(deleted.loop_id, deleted.deleted_at)], json_wanted)


@click.command("remove-member")
@click.argument("loop_id")
@click.argument("user_id")
@raw_json_option
def remove_member(loop_id: str, user_id: str, json_wanted: bool) -> None:
    """Remove a member from a loop. The loop's creator cannot be removed."""
    with client_from_environment() as client:
        removed = client.loops.remove_member(loop_id, user_id)
    print_resource(
        removed, ("LOOP", "USER", "REMOVED"), [(removed.loop_id, removed.user_id, removed.removed_at)], json_wanted
    )


@click.command("loop-requests")
@click.argument("loop_id")
@raw_json_option
def list_loop_requests(loop_id: str, json_wanted: bool) -> None:
    """List all requests of a loop with one call."""
    with client_from_environment() as client:
        requests = client.requests.list_of_loop(loop_id)
    print_requests(requests, requests, json_wanted)


def _row(loop: Loop) -> tuple[object, ...]:
    return (
        loop.id,
        cut(loop.name),
        loop.icon,
        loop.member_count,
        loop.pending_count,
        loop.created_at,
        cut(loop.description),
    )


COMMANDS: tuple[click.Command, ...] = (
    list_loops,
    list_members,
    get_loop,
    create_loop,
    update_loop,
    delete_loop,
    remove_member,
    list_loop_requests,
)
