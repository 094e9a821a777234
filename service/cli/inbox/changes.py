"""How `retry`, `discard` and `replay` change effects: count them, ask for confirmation, and report."""

from collections.abc import Callable

import click
import msgspec
from redis import Redis

from service.cli.durations import counted
from service.cli.error_messages import NoMatch
from service.cli.inbox.filter_values import check_values
from service.cli.output import echo, print_json, progress_bar
from workers.inbox.operations.failures import Advance, Change
from workers.inbox.queries.search import Filter

dry_run_option = click.option("--dry-run", is_flag=True, help="Show how many effects the command would change.")
yes_option = click.option("--yes", is_flag=True, help="Do not ask for confirmation.")

_PAST = {"retry": "retried", "discard": "discarded", "replay": "replayed"}
_NO_EFFECTS = {
    "retry": "no failed effect matches.",
    "discard": "no failed or held effect matches.",
    "replay": "no route is left to run for a matching event. --force also runs effects that are done.",
}


def carry_out(
    change: Callable[[bool, Advance], Change],
    verb: str,
    *,
    redis: Redis,
    selected: Filter | list[str],
    dry_run: bool,
    yes: bool,
    json_wanted: bool,
) -> None:
    """Apply a change, after confirmation unless `yes`. `change` takes whether it is a dry run, and shows progress.

    Raises `NoMatch` where nothing of what is selected can be changed.
    """

    def check_not_empty(changed: Change) -> None:
        if changed.effects or changed.bodies:
            return
        if isinstance(selected, Filter):
            check_values(redis, selected)
        raise NoMatch(f"Nothing to {verb}: {_NO_EFFECTS[verb]}")

    if dry_run or not yes:
        with progress_bar(None, f"{verb}: reading") as advance:
            planned = change(True, advance)
        check_not_empty(planned)
        if dry_run:
            _report(planned, f"would {verb}", json_wanted=json_wanted, dry_run=True)
            return
        echo(f"{verb} {_amount(planned)}:", err=True)
        for example in planned.examples:
            echo(f"  {example}", err=True)
        click.confirm("Continue?", abort=True, err=True)
    with progress_bar(None, verb) as advance:
        done = change(False, advance)
    check_not_empty(done)
    _report(done, _PAST[verb], json_wanted=json_wanted, dry_run=False)


def _report(change: Change, verb: str, *, json_wanted: bool, dry_run: bool) -> None:
    if json_wanted:
        print_json({**msgspec.to_builtins(change), "dry_run": dry_run})
        return
    echo(f"{verb} {_amount(change)}")
    if dry_run:
        for example in change.examples:
            echo(f"  {example}")


def _amount(change: Change) -> str:
    parts = [counted(change.effects, "effect")] if change.effects or not change.bodies else []
    if change.bodies:
        parts.append(counted(change.bodies, "quarantined body", "quarantined bodies"))
    return " and ".join(parts)
