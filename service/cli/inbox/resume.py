"""`hitl-receiver resume`: run a paused handler again."""

import click

from service.cli.connection import connect
from service.cli.durations import counted
from service.cli.output import echo
from workers.inbox.operations import pausing


@click.command()
@click.argument("handler", required=False)
def resume(handler: str | None) -> None:
    """Resume HANDLER, or all handlers."""
    with connect() as redis:
        paused = pausing.paused(redis)
        if handler and handler not in paused:
            names = ", ".join("all handlers" if name == pausing.ALL else name for name in sorted(paused))
            echo(f"{handler} is not paused. Paused: {names or 'none'}.")
            return
        waiting = pausing.resume(redis, handler or pausing.ALL)
    begin = "begins" if waiting == 1 else "begin"
    echo(f"Resumed {handler or 'all handlers'}. {counted(waiting, 'held effect')} {begin} as workers have room.")
