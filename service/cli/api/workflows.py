"""``hitl-receiver api``: workflows."""

import click

from service.cli.api.client import client_from_environment
from service.cli.api.printing import print_resource, raw_json_option
from service.cli.options import parse_json


@click.command("trigger")
@click.argument("workflow_id")
@click.option("--payload", metavar="JSON", help="The workflow's input. Any JSON.")
@click.option(
    "--webhook", "is_webhook_path", is_flag=True, help="Use /workflows/webhook/ID, the path of the vendor's n8n node."
)
@raw_json_option
def trigger(workflow_id: str, payload: str | None, is_webhook_path: bool, json_wanted: bool) -> None:
    """Start a workflow."""
    with client_from_environment() as client:
        execution = client.workflows.trigger(
            workflow_id, parse_json(payload, "--payload"), form="webhook" if is_webhook_path else "trigger"
        )
    rows = [(execution.execution_id, execution.request_id, execution.status, execution.created_at)]
    print_resource(execution, ("EXECUTION", "REQUEST", "STATUS", "CREATED"), rows, json_wanted)


COMMANDS: tuple[click.Command, ...] = (trigger,)
