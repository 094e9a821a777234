"""`hitl-receiver pause`, `resume` and `status`."""

import json

import click
from redis import Redis

from service.connection import connected
from workers.inbox import keys, pausing


@click.command()
@click.argument("handler", required=False)
def pause(handler: str | None) -> None:
    """Begin no more work: of HANDLER, or of all handlers.

    Intake goes on and nothing is lost; what runs already goes on to its end. `resume` lets it all go on.
    """
    with connected() as redis:
        pausing.pause(redis, handler or pausing.ALL)
    again = f"hitl-receiver resume {handler}" if handler else "hitl-receiver resume"
    click.echo(f"paused {handler or 'all handlers'}: deliveries are still kept; go on with `{again}`")


@click.command()
@click.argument("handler", required=False)
def resume(handler: str | None) -> None:
    """Take a pause back: that of HANDLER, or every one."""
    with connected() as redis:
        if handler and handler not in pausing.paused(redis):
            click.echo(f"{handler} is not paused; paused: {_names(redis)}")
            return
        due = pausing.resume(redis, handler or pausing.ALL)
    click.echo(f"resumed {handler or 'all handlers'}: {due} effects that waited are due now")


@click.command()
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def status(as_json: bool) -> None:
    """How the inbox stands: what is due, runs, failed, is held or quarantined, and what is paused."""
    with connected() as redis:
        counts = {
            "due": redis.zcard(keys.DUE),
            "in hand": redis.hlen(keys.LEASES),
            "failed": redis.zcard(keys.FAILED),
            "held": redis.zcard(keys.HELD),
            "quarantined": redis.zcard(keys.QUARANTINE),
            "events kept": redis.zcard(keys.EVENTS),
            "drains": redis.zcard(keys.DRAINS),
        }
        paused = sorted(pausing.paused(redis))
    if as_json:
        click.echo(json.dumps({**{name.replace(" ", "_"): count for name, count in counts.items()}, "paused": paused}))
        return
    for name, count in counts.items():
        click.echo(f"{name:<12} {count:>8,}")
    click.echo(f"{'paused':<12} {', '.join(paused) if paused else '-':>8}")


def _names(redis: Redis) -> str:
    return ", ".join(sorted(pausing.paused(redis))) or "nothing"
