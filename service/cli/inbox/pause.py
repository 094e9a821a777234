"""`hitl-receiver pause`: stop running a handler for now."""

import click

from service.cli.connection import connect
from service.cli.inbox.filter_values import check_handler
from service.cli.output import echo
from workers.inbox.operations import pausing


@click.command()
@click.argument("handler", required=False)
def pause(handler: str | None) -> None:
    """Pause HANDLER, or all handlers.

    Deliveries are still accepted. Running handlers finish. `resume` ends the pause.
    """
    with connect() as redis:
        if handler:
            check_handler(redis, handler)
        pausing.pause(redis, handler or pausing.ALL)
    resume = f"hitl-receiver resume {handler}" if handler else "hitl-receiver resume"
    echo(f"Paused {handler or 'all handlers'}. Deliveries are still stored. End the pause with `{resume}`.")
