"""`hitl-receiver api`: the group of commands that call HITL.sh once and print the answer."""

import click

from service.cli.api.ask_question import ask_question
from service.cli.api.cancel_request import cancel_request
from service.cli.api.check_key import check_key
from service.cli.api.get_request import get_request
from service.cli.api.list_loops import list_loops
from service.cli.api.list_members import list_members
from service.cli.api.list_requests import list_requests


@click.group()
def api() -> None:
    """Call the HITL.sh API.

    Uses HITL_API_KEY, at HITL_BASE_URL (default: production). Each command uses some of the key's 100 calls per hour.
    """


for command in (ask_question, cancel_request, check_key, get_request, list_loops, list_members, list_requests):
    api.add_command(command)
