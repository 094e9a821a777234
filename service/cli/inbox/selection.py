"""How a command selects events and effects: by KEY, by filters, or all of them."""

import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import click
from redis import Redis

from service.cli.error_messages import NoMatch
from service.cli.options import NameChoice
from service.cli.output import echo
from workers.errors import RouteInvalid
from workers.event_names import check_events, event_name_hint
from workers.inbox.event_records import STATES
from workers.inbox.queries.search import Filter, resolve

Command = TypeVar("Command", bound=Callable[..., Any])

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_AGE = re.compile(r"(\d{1,6})([smhdw])")


class TimeType(click.ParamType[datetime]):
    """A moment, as ISO 8601 (UTC unless it has an offset) or as an age: ``2h``, ``3d``."""

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
                f"{value!r} is not a time: write an age such as 90s, 30m, 2h, 3d or 1w, or ISO 8601 such as "
                f"2026-03-01T12:00 (UTC)",
                param,
                ctx,
            )
        return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


class EventNameType(click.ParamType[str]):
    """The name of an event, or the beginning of one and a star."""

    name = "event"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        try:
            [name] = check_events([value])
        except RouteInvalid:
            self.fail(f"no event can be named {value!r}: {event_name_hint(value)}", param, ctx)
        return name


_FILTER_TYPES: dict[str, click.ParamType[Any]] = {
    "state": NameChoice(STATES),
    "event": EventNameType(),
    "since": TimeType(),
    "until": TimeType(),
}
_FILTER_HELP = {
    "state": "State of the event or of an effect of it; with --handler, of that handler's effect.",
    "event": "Event name, such as request.completed or 'request.*'.",
    "loop": "Id or name of the loop.",
    "handler": "Name of a handler.",
    "request": "Id of the request.",
    "since": "Earliest time: ISO 8601 (UTC), or an age such as 2h or 3d.",
    "until": "Latest time, exclusive. Same formats.",
}


def filter_options(*names: str) -> Callable[[Command], Command]:
    """Add the options of these names, which make a `Filter`."""

    def add(command: Command) -> Command:
        for name in reversed(names):
            command = click.option(
                f"--{name}",
                type=_FILTER_TYPES.get(name, str),
                default=None,
                metavar=name.upper(),
                help=_FILTER_HELP[name],
            )(command)
        return command

    return add


#: Event keys, request ids, or 'handler|event key'.
keys_argument = click.argument("names", metavar="[KEY]...", nargs=-1)
all_option = click.option(
    "--all", "everything", is_flag=True, help="Select everything. Required where neither KEYs nor filters are given."
)


def select(redis: Redis, names: Sequence[str], filters: Filter, *, everything: bool, verb: str) -> Filter | list[str]:
    """What a change is about. Raises `UsageError` unless exactly one way is used, `NoMatch` for an unknown name."""
    if bool(names) + (filters != Filter()) + everything != 1:
        raise click.UsageError(f"Select what to {verb}: give KEYs, filters or --all, and only one of the three.")
    return [key for name in names for key in find_keys(redis, name)] if names else filters


def find_keys(redis: Redis, name: str) -> list[str]:
    """The event keys that a KEY names; ``handler|event key`` stays as it is. Raises `NoMatch`."""
    event_keys = resolve(redis, name)
    if not event_keys:
        raise NoMatch(
            f"There is no event or request {name!r}: list event keys with `hitl-receiver events`, and request ids with "
            "`hitl-receiver requests`."
        )
    return [name] if "|" in name else event_keys


def report_truncation(is_truncated: bool, limit: int) -> None:
    """Say on standard error that a list is longer than its limit."""
    if is_truncated:
        echo(f"There are more than {limit}: add filters, or raise --limit.", err=True)
