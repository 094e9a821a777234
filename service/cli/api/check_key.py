"""`hitl-receiver api test`: whose API key this is."""

import click

from service.cli.api.client import client_from_environment
from service.cli.api.printing import print_resource, raw_json_option
from service.cli.output import cell


@click.command("test")
@raw_json_option
def check_key(json_wanted: bool) -> None:
    """Show the owner and the permissions of the API key."""
    with client_from_environment() as client:
        key = client.test()
        limit = client.rate_limit
    left = None if limit is None else f"{limit.remaining} of {limit.limit}, until {cell(limit.reset_at)}"
    rows = [(key.email, key.account_status, ", ".join(key.permissions), left)]
    print_resource(key, ("ACCOUNT", "STATUS", "PERMISSIONS", "CALLS LEFT"), rows, json_wanted)
