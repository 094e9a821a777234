"""``hitl-receiver api webhook``: webhook management, which HITL.sh calls a future endpoint."""

import click

from hitlsh.api.models.optional import WebhookRegistration
from service.cli.api.client import client_from_environment
from service.cli.api.printing import print_resource, raw_json_option
from service.cli.output import cut

#: The command prompts for it, because other users of the machine can read a command line.
_secret = click.option(
    "--secret", prompt="Webhook secret", hide_input=True, help="Without it, the command prompts for the secret."
)


@click.group("webhook")
def webhook() -> None:
    """Manage account webhooks. HITL.sh documents these calls as future endpoints, so they may fail."""


@webhook.command("create")
@click.argument("url")
@click.option("--event", "events", multiple=True, default=("request.*",), show_default=True, help="Repeatable.")
@click.option("--loop", "loop_id", help="Only this loop's events.")
@_secret
@raw_json_option
def create_webhook(url: str, events: tuple[str, ...], loop_id: str | None, secret: str, json_wanted: bool) -> None:
    """Register an address for events."""
    with client_from_environment() as client:
        created = client.webhooks.create(url, events=list(events), secret=secret, loop_id=loop_id)
    _show(created, json_wanted)


@webhook.command("rotate-secret")
@click.argument("webhook_id")
@_secret
@raw_json_option
def rotate_secret(webhook_id: str, secret: str, json_wanted: bool) -> None:
    """Replace the secret with which HITL.sh signs. List both secrets in HITL_WEBHOOK_SECRETS first."""
    with client_from_environment() as client:
        rotated = client.webhooks.rotate_secret(webhook_id, secret)
    _show(rotated, json_wanted)


@webhook.command("test")
@click.argument("webhook_id")
@raw_json_option
def test_webhook(webhook_id: str, json_wanted: bool) -> None:
    """Have HITL.sh send a test event."""
    with client_from_environment() as client:
        tested = client.webhooks.test(webhook_id)
    _show(tested, json_wanted)


def _show(item: WebhookRegistration, json_wanted: bool) -> None:
    print_resource(item, ("ID", "EVENTS", "URL"), [(item.id, cut(", ".join(item.events)), item.url)], json_wanted)


COMMANDS: tuple[click.Command, ...] = (webhook,)
