"""`hitl-receiver api members`: the members of a loop."""

import click

from service.cli.api.client import client_from_environment
from service.cli.api.printing import print_resource, raw_json_option
from service.cli.output import cut


@click.command("members")
@click.argument("loop_id")
@raw_json_option
def list_members(loop_id: str, json_wanted: bool) -> None:
    """List the members of a loop."""
    with client_from_environment() as client:
        listing = client.loops.members(loop_id)
    rows = [(member.user_id, cut(member.email), member.status, member.joined_at) for member in listing.members]
    print_resource(listing, ("ID", "EMAIL", "STATUS", "JOINED"), rows, json_wanted)
