"""`hitl-receiver api loops`: the loops of the account."""

import click

from service.cli.api.client import client_from_environment
from service.cli.api.printing import print_resource, raw_json_option
from service.cli.output import cut


@click.command("loops")
@raw_json_option
def list_loops(json_wanted: bool) -> None:
    """List your loops."""
    with client_from_environment() as client:
        loops = client.loops.list()
    rows = [(loop.id, cut(loop.name), loop.member_count, loop.pending_count, loop.created_at) for loop in loops]
    print_resource(loops, ("ID", "NAME", "MEMBERS", "PENDING", "CREATED"), rows, json_wanted)
