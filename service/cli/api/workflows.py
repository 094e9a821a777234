"""``hitl-receiver api``: workflows."""

import click

from service.cli.api.errors import client_from_env
from service.cli.api.tables import as_json, show
from service.cli.json_option import parse_json


@click.command("trigger")
@click.argument("workflow_id")
@click.option("--payload", metavar="JSON", help="The workflow's input. Any JSON.")
@click.option(
    "--webhook", "is_webhook_path", is_flag=True, help="Use /workflows/webhook/ID, the path of the vendor's n8n node."
)
@as_json
def trigger(workflow_id: str, payload: str | None, is_webhook_path: bool, json_wanted: bool) -> None:
    """Start a workflow."""
    with client_from_env() as client:
        execution = client.workflows.trigger(
            workflow_id, parse_json(payload, "--payload"), form="webhook" if is_webhook_path else "trigger"
        )
    rows = [(execution.execution_id, execution.request_id, execution.status, execution.created_at)]
    show(execution, ("EXECUTION", "REQUEST", "STATUS", "CREATED"), rows, json_wanted)


COMMANDS: tuple[click.Command, ...] = (trigger,)
