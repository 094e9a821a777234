"""`hitl-receiver api list`: the requests that the API key created."""

from itertools import islice

import click

from service.cli.api.client import client_from_environment
from service.cli.api.printing import print_requests, raw_json_option


@click.command("list")
@click.option("--status", help="pending, completed, timeout or cancelled.")
@click.option("--loop", "loop_id", help="Only requests of the loop with this id.")
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1), help="Maximum number of rows.")
@raw_json_option
def list_requests(status: str | None, loop_id: str | None, limit: int, json_wanted: bool) -> None:
    """List the requests that this key created, newest first. One call per hundred."""
    with client_from_environment() as client:
        listing = client.requests.list(status=status, loop_id=loop_id, page_size=min(limit, 100))
        requests = tuple(islice(listing, limit))
    print_requests(requests, requests, json_wanted)
