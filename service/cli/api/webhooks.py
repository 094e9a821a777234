"""``hitl-receiver api webhook``: webhook management, which HITL.sh calls a future endpoint."""

import click

from hitlsh.api.models.optional import WebhookRegistration
from service.cli.api.client import client_from_environment
from service.cli.api.printing import print_resource, raw_json_option
from service.cli.output import cut

#: Asked for rather than given on the command line, which other users of the machine can read.
_secret = click.option("--secret", prompt="Webhook secret", hide_input=True, help="Asked for if it is left out.")


@click.group("webhook")
def webhook() -> None:
    """Manage account webhooks. HITL.sh announces these calls as future ones."""


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
    """Have HITL.sh sign with another secret. Let the receiver accept both first."""
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
