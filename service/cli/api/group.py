"""`hitl-receiver api`: the group of commands that call HITL.sh and print the answer."""

import click

from service.cli.api import chains, loops, requests, sessions, webhooks, workflows
from service.cli.api.ask_question import ask_question
from service.cli.api.check_key import check_key


@click.group()
def api() -> None:
    """Call the HITL.sh API.

    Uses HITL_API_KEY, at HITL_BASE_URL (default: production). Each command uses some of the key's 100 calls per hour.
    """


for command in (check_key, ask_question):
    api.add_command(command)

for module in (loops, requests, sessions, chains, workflows, webhooks):
    for command in module.COMMANDS:
        api.add_command(command)
