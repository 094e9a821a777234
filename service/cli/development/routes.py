"""`hitl-receiver routes`: the routing table of the user's handlers."""

import click

from service.cli.environment import environment
from service.cli.error_messages import explain_errors
from service.cli.options import json_option
from service.cli.output import print_json, print_table
from service.cli.user_handlers import load_user_router
from workers.settings import Settings


@click.command()
@json_option
def routes(json_wanted: bool) -> None:
    """Print the routing table of your handlers.

    Reads HITL_HANDLERS, or the handlers of the `dev` stack in this folder.
    """
    with explain_errors():
        settings = Settings.from_env({**environment(), "REDIS_URL": "redis://unused"}, handles=True)
        assert settings.handlers is not None
        router = load_user_router(settings.handlers)
    if json_wanted:
        print_json([{"handler": route.name, "when": route.describe()} for route in router.routes])
    else:
        print_table(("HANDLER", "RUNS FOR"), [(route.name, route.describe()) for route in router.routes])
