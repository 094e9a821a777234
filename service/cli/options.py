"""Options that several commands share."""

import json
import os
from collections.abc import Callable
from typing import Any, TypeVar

import click


class NameChoice(click.Choice[str]):
    """One of several names; for another value, the message has the closest of them, or all."""

    def get_invalid_choice_message(self, value: Any, ctx: click.Context | None) -> str:
        from workers.telemetry.name_suggestions import did_you_mean

        hint = did_you_mean(str(value), self.choices)
        return f"{value!r} is unknown{hint}." if hint else super().get_invalid_choice_message(value, ctx)


Command = TypeVar("Command", bound=Callable[..., Any])

json_option = click.option("--json", "json_wanted", is_flag=True, help="Output JSON.")
limit_option = click.option(
    "--limit", default=50, show_default=True, type=click.IntRange(1, 10_000), help="Maximum number of rows."
)
processes_option = click.option(
    "--processes", default=1, show_default=True, type=click.IntRange(1, 64), help="Number of processes."
)
state_option = click.option(
    "--callback-state",
    "state",
    metavar="JSON",
    help="Any JSON, available as decision.state. It is part of the URL, so keep it small.",
)


def insecure_option(command: Command) -> Command:
    """Add ``--insecure``."""
    return click.option(
        "--insecure",
        is_flag=True,
        expose_value=False,
        callback=_accept_insecure,
        help="Accept a HITL_PUBLIC_URL without TLS (HITL_INSECURE=1): others can read callback URLs.",
    )(command)


def parse_json(text: str | None, option: str) -> Any:
    """The value of an option that holds JSON; None where it was not given."""
    if text is None:
        return None
    try:
        return json.loads(text)
    except ValueError as error:
        raise click.BadParameter(f"{option} must be JSON, such as '\"Approve\"', '4' or '{{\"order\": 7}}'") from error


def _accept_insecure(_ctx: click.Context, _param: click.Parameter, is_given: bool) -> None:
    if is_given:
        # Settings come from the environment, also in the processes that this one starts.
        os.environ["HITL_INSECURE"] = "1"
