"""`hitl-receiver pause` and `resume`."""

import click
from redis import Redis

from service.cli.connection import connected
from service.cli.output import echo
from workers.inbox.operations import pausing


@click.command()
@click.argument("handler", required=False)
def pause(handler: str | None) -> None:
    """Pause HANDLER, or all handlers.

    Deliveries are still accepted. Running handlers finish. `resume` ends the pause.
    """
    with connected() as redis:
        pausing.pause(redis, handler or pausing.ALL)
    again = f"hitl-receiver resume {handler}" if handler else "hitl-receiver resume"
    echo(f"paused {handler or 'all handlers'}: deliveries are still kept; go on with `{again}`")


@click.command()
@click.argument("handler", required=False)
def resume(handler: str | None) -> None:
    """Resume HANDLER, or all handlers."""
    with connected() as redis:
        if handler and handler not in pausing.paused(redis):
            echo(f"{handler} is not paused; paused: {_names(redis)}")
            return
        due = pausing.resume(redis, handler or pausing.ALL)
    echo(f"resumed {handler or 'all handlers'}: {due} effects that waited go on as workers have room")


def _names(redis: Redis) -> str:
    return ", ".join(sorted(pausing.paused(redis))) or "nothing"
