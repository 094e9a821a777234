"""`hitl-receiver retry`, `discard` and `replay`: what a person does about what failed."""

from collections.abc import Callable
from typing import Any

import click
import msgspec

from service.cli.connection import connected
from service.cli.environment import environment
from service.cli.filters import NothingFound, as_json, chosen, dry, everything, filtered, named, unasked
from service.cli.output import echo, print_json
from workers.handlers.loading import load_router
from workers.inbox.operations import failures, replaying
from workers.inbox.operations.failures import Change
from workers.inbox.queries.search import Filter
from workers.settings import Settings


@click.command()
@named
@everything
@filtered("handler", "event", "loop", "request", "since", "until")
@dry
@unasked
@as_json
def retry(
    names: tuple[str, ...], everything: bool, dry_run: bool, yes: bool, json_wanted: bool, **filters: Any
) -> None:
    """Retry failed effects now, with all attempts of their handler's policy.

    Each KEY is an event key, a request id, or 'handler|event key'. To route events again, use `replay`.
    """
    with connected() as redis:
        what = chosen(redis, names, Filter(**filters), everything=everything, verb="retry")
        _carry_out(
            lambda dry: failures.retry(redis, what, dry_run=dry), "retry", dry_run=dry_run, yes=yes, json=json_wanted
        )


@click.command()
@named
@everything
@filtered("state", "handler", "event", "loop", "request", "since", "until")
@click.option("--reason", required=True, metavar="TEXT", help="Stored with each effect.")
@dry
@unasked
@as_json
def discard(
    names: tuple[str, ...],
    everything: bool,
    reason: str,
    dry_run: bool,
    yes: bool,
    json_wanted: bool,
    **filters: Any,
) -> None:
    """Discard failed and held effects. They stay on record with the reason.

    Each KEY is an event key, a request id, or 'handler|event key'. --state failed or --state held takes
    only those; --state quarantined takes the records in quarantine, and so does the key of one.
    """
    with connected() as redis:
        what = chosen(redis, names, Filter(**filters), everything=everything, verb="discard")
        retention = Settings.from_env(environment()).retention
        _carry_out(
            lambda dry: failures.discard(redis, what, reason=reason, retention=retention, dry_run=dry),
            "discard",
            dry_run=dry_run,
            yes=yes,
            json=json_wanted,
        )


@click.command()
@named
@everything
@filtered("handler", "event", "loop", "request", "state", "since", "until")
@click.option(
    "--force",
    is_flag=True,
    help="Also run effects that are done, and handlers that ran for another outcome of the request.",
)
@dry
@unasked
@as_json
def replay(
    names: tuple[str, ...],
    everything: bool,
    force: bool,
    dry_run: bool,
    yes: bool,
    json_wanted: bool,
    **filters: Any,
) -> None:
    """Route events again, with the handlers of today. Without --force, effects that are done do not run again.

    That is: handlers that did not exist then, and effects that failed, were skipped, held or discarded.
    Bodies in quarantine that can be read by now become events (not with --handler). Each KEY is an event
    key, a request id, or 'handler|event key'. Needs HITL_HANDLERS.
    """
    with connected() as redis:
        settings = Settings.from_env(environment(), handles=True)
        assert settings.handlers is not None
        router = load_router(settings.handlers)
        if filters["handler"] is not None and router.get(filters["handler"]) is None:
            raise NothingFound(
                f"No handler of today is named {filters['handler']!r}: `hitl-receiver routes` lists them."
            )
        what = chosen(redis, names, Filter(**filters), everything=everything, verb="replay")
        _carry_out(
            lambda dry: replaying.replay(redis, router, what, retention=settings.retention, force=force, dry_run=dry),
            "replay",
            dry_run=dry_run,
            yes=yes,
            json=json_wanted,
        )


def _carry_out(change: Callable[[bool], Change], verb: str, *, dry_run: bool, yes: bool, json: bool) -> None:
    """Say how much it is, ask, and do it; `change` takes whether it is a dry run."""
    planned = change(True) if dry_run or not yes else None
    if planned is not None:
        _refuse_nothing(planned, verb)
        if dry_run:
            _tell(planned, f"would {verb}", json=json, dry_run=True)
            return
        echo(f"{verb} {_amount(planned)}:", err=True)
        for example in planned.examples:
            echo(f"  {example}", err=True)
        click.confirm("Go on?", abort=True, err=True)
    done = change(False)
    _refuse_nothing(done, verb)
    _tell(done, {"retry": "retried", "discard": "discarded", "replay": "replayed"}[verb], json=json, dry_run=False)


def _refuse_nothing(change: Change, verb: str) -> None:
    if not change.effects and not change.bodies:
        why = {
            "retry": "no effect that failed answers to this.",
            "discard": "no effect that failed or is held answers to this.",
            "replay": "no route of today wants such an event and has not had it; --force also takes what succeeded.",
        }[verb]
        raise NothingFound(f"Nothing to {verb}: {why}")


def _tell(change: Change, what: str, *, json: bool, dry_run: bool) -> None:
    if json:
        print_json({**msgspec.to_builtins(change), "dry_run": dry_run})
        return
    echo(f"{what} {_amount(change)}")
    if dry_run:
        for example in change.examples:
            echo(f"  {example}")


def _amount(change: Change) -> str:
    parts = [_counted(change.effects, "effect")] if change.effects or not change.bodies else []
    if change.bodies:
        parts.append(_counted(change.bodies, "quarantined body", "quarantined bodies"))
    return " and ".join(parts)


def _counted(count: int, one: str, many: str | None = None) -> str:
    return f"{count:,} {one if count == 1 else many or one + 's'}"
