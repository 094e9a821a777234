"""`hitl-receiver routes`: the routing table of the user's handlers."""

import contextlib
import sys
from typing import Any

import click

from service.cli.environment import environment
from service.cli.error_messages import explain_errors
from service.cli.options import json_option
from service.cli.output import print_json, print_table, warn
from service.cli.user_handlers import load_user_router
from workers.routing.route import Route
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
        with contextlib.redirect_stdout(sys.stderr):  # what the user's modules print is not part of the output
            router = load_user_router(settings.handlers)
    if json_wanted:
        print_json([_fields(route) for route in router.routes])
    else:
        print_table(("HANDLER", "RUNS FOR"), [(route.name, route.describe()) for route in router.routes])
    for sentence in unsent_field_warnings(settings, router):
        warn(sentence)


def _fields(route: Route) -> dict[str, Any]:
    return {
        "handler": route.name,
        "when": route.describe(),
        "events": sorted({event for rule in route.rules for event in rule.events}),
        "demands_confirmation": route.demands_confirmation,
    }
