"""What the operations commands are told: times, filters, and which effects are meant."""

import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import click
from redis import Redis

from service.cli.output import echo
from service.errors import ServiceError
from workers.inbox.queries.search import Filter, resolve

Command = TypeVar("Command", bound=Callable[..., Any])

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_AGE = re.compile(r"(\d{1,6})([smhdw])")


class NothingFound(ServiceError, click.ClickException):
    """Ends the program with a sentence on standard error and exit status 1."""

    exit_code = 1

    def show(self, file: object = None) -> None:
        echo(self.message, err=True)


class When(click.ParamType[datetime]):
    """A moment, as ISO 8601 (UTC unless it says otherwise) or as an age: ``2h``, ``3d``."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        if isinstance(value, datetime):
            return value
        if age := _AGE.fullmatch(value):
            return datetime.now(UTC) - timedelta(**{_UNITS[age[2]]: int(age[1])})
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            self.fail(
                f"{value!r} is no time: write an age such as 90s, 30m, 2h, 3d or 1w, or ISO 8601 such as "
                f"2026-03-01T12:00 (UTC)",
                param,
                ctx,
            )
        return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def filtered(*names: str) -> Callable[[Command], Command]:
    """Adds the options of these names, which make a `Filter`."""

    def add(command: Command) -> Command:
        for name in reversed(names):
            kind = When() if name in {"since", "until"} else str
            command = click.option(f"--{name}", type=kind, default=None, help=_HELP[name])(command)
        return command

    return add


_HELP = {
    "state": "State of the event or of an effect: due, running, retry, done, failed, held, unrouted, quarantined, ...",
    "event": "Event name, such as request.completed or 'request.*'.",
    "loop": "Id or name of the loop.",
    "handler": "Name of a handler.",
    "request": "Id of the request.",
    "since": "Earliest time: ISO 8601 (UTC), or an age such as 2h or 3d.",
    "until": "Latest time, exclusive. Same formats.",
}

as_json = click.option("--json", "json_wanted", is_flag=True, help="Output JSON.")
#: Whose name is given: events, effects or requests.
named = click.argument("names", metavar="[KEY]...", nargs=-1)
everything = click.option(
    "--all", "everything", is_flag=True, help="Select everything. Required where neither KEYs nor filters are given."
)
dry = click.option("--dry-run", is_flag=True, help="Show how many effects the command would change.")
unasked = click.option("--yes", is_flag=True, help="Do not ask for confirmation.")


def chosen(redis: Redis, names: Sequence[str], sought: Filter, *, everything: bool, verb: str) -> Filter | list[str]:
    """What a change is about. Raises `UsageError` when that is not said, `NothingFound` for a name unknown."""
    if bool(names) + (sought != Filter()) + everything != 1:
        raise click.UsageError(f"Say what to {verb}: KEYs, or filters, or --all for everything; one of the three.")
    return [known for name in names for known in look_up(redis, name)] if names else sought


def look_up(redis: Redis, name: str) -> list[str]:
    """The events that a KEY means; ``handler|event key`` stays as it is. Raises `NothingFound`."""
    found = resolve(redis, name)
    if not found:
        raise NothingFound(
            f"Nothing is kept under {name!r}: `hitl-receiver events` lists keys; a request's id does too."
        )
    return [name] if "|" in name else found
