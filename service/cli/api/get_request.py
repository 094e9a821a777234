"""`hitl-receiver api get`: one request as HITL.sh shows it."""

import click

from service.cli.api.client import client_from_environment
from service.cli.api.printing import print_requests, raw_json_option


@click.command("get")
@click.argument("request_id")
@raw_json_option
def get_request(request_id: str, json_wanted: bool) -> None:
    """Show one request."""
    with client_from_environment() as client:
        request = client.requests.get(request_id)
    print_requests(request, [request], json_wanted)
