"""`hitl-receiver callback-url`: sign a callback URL for a request that is created elsewhere."""

import click

from service.cli.environment import environment
from service.cli.error_messages import explain_errors
from service.cli.options import insecure_option, parse_json, state_option
from service.cli.output import echo
from workers import asking
from workers.settings import Settings


@click.command("callback-url")
@state_option
@insecure_option
def callback_url(state: str | None) -> None:
    """Create a callback URL for a request at HITL.sh.

    Needs HITL_CALLBACK_SECRETS and HITL_PUBLIC_URL, or a `dev` stack in this folder. Whoever knows the URL
    can answer in the name of HITL.sh: treat it as a password.
    """
    with explain_errors():
        # A URL needs no Redis.
        settings = Settings.from_env({"REDIS_URL": "redis://unused", **environment()})
        echo(asking.callback_url(settings, parse_json(state, "--callback-state")))
