"""`hitl-receiver api cancel`: cancel a pending request."""

import click

from service.cli.api.client import client_from_environment
from service.cli.api.printing import print_resource, raw_json_option


@click.command("cancel")
@click.argument("request_id")
@raw_json_option
def cancel_request(request_id: str, json_wanted: bool) -> None:
    """Cancel a pending request."""
    with client_from_environment() as client:
        cancelled = client.requests.cancel(request_id)
    print_resource(cancelled, ("ID", "STATUS"), [(cancelled.request_id, cancelled.status)], json_wanted)
