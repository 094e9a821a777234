"""`hitl-receiver routes`: the routing table of the user's handlers."""

import click

from service.cli.environment import environment
from service.cli.error_messages import explain_errors
from service.cli.options import json_option
from service.cli.output import echo, print_json, print_table
from service.cli.user_handlers import load_user_router
from workers.settings import Settings
from workers.startup_checks import unsent_field_warnings


@click.command()
@json_option
def routes(json_wanted: bool) -> None:
    """Print the routing table of your handlers.

    Without HITL_API_KEY it warns of routes that read fields which a delivery may lack. Reads HITL_HANDLERS, or the
    handlers of the `dev` stack in this folder.
    """
    with explain_errors():
        settings = Settings.from_env({**environment(), "REDIS_URL": "redis://unused"}, handles=True)
        assert settings.handlers is not None
        router = load_user_router(settings.handlers)
    if json_wanted:
        print_json([{"handler": route.name, "when": route.describe()} for route in router.routes])
    else:
        print_table(("HANDLER", "RUNS FOR"), [(route.name, route.describe()) for route in router.routes])
    for sentence in unsent_field_warnings(settings, router):
        echo(sentence, prefix=f"{click.style('WARNING', fg='yellow', bold=True)}  ", err=True)
