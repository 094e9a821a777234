"""Settlements: what a worker reports about the events and effects that it holds, and how report.lua reads them."""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Literal, TypeAlias, assert_never

import msgspec

from workers.completion import Need
from workers.inbox.claims import Lease

if TYPE_CHECKING:  # the web process reports nothing
    from workers.routing.route import Route, Wait


class Awaiting(msgspec.Struct, frozen=True, kw_only=True):
    """An effect begins when its event has evidence of this trust, or when its request has been read for details."""

    needs: Need
    #: The decision is for the handler once it has that trust; otherwise the effect waits only to see whether it is.
    is_urgent: bool


#: When an effect of a routed event begins: it runs already, or it is due, or it waits for evidence.
Start: TypeAlias = Literal["running", "due"] | Awaiting


class RoutedEffect(msgspec.Struct, frozen=True, kw_only=True):
    """One effect that the routing of an event adds to it."""

    handler: str
    start: Start
    #: The route asks for conflicts, and may have an effect on each outcome of a request.
    takes_conflicts: bool = False

    @classmethod
    def of(cls, route: "Route", start: Start) -> "RoutedEffect":
        """The effect of a route, with this start."""
        return cls(handler=route.name, start=start, takes_conflicts=route.takes_conflicts)

    @classmethod
    def waiting(cls, wait: "Wait") -> "RoutedEffect":
        """The effect of a route that demands more trust or more details than the decision has."""
        return cls.of(wait.route, Awaiting(needs=wait.needs, is_urgent=wait.is_urgent))


class Routed(msgspec.Struct, frozen=True, kw_only=True):
    """The event was routed: it has these effects, or none."""

    effects: tuple[RoutedEffect, ...] = ()
    #: A worker died while it held this event: each of its effects runs alone.
    is_suspect: bool = False


class Done(msgspec.Struct, frozen=True):
    """The handler returned."""


class Skipped(msgspec.Struct, frozen=True):
    """The handler's conditions do not hold after all."""


class Retry(msgspec.Struct, frozen=True, kw_only=True):
    """The effect is due again."""

    #: Seconds.
    after: float
    #: The end of a traceback or a reason; None when the attempt does not count as failed.
    error: str | None = None


class Failed(msgspec.Struct, frozen=True, kw_only=True):
    """The effect, or the routing, is a dead letter: no further attempt."""

    error: str


class Held(msgspec.Struct, frozen=True):
    """No handler of that name exists in this worker; the effect did not begin."""


class Unconfirmed(msgspec.Struct, frozen=True, kw_only=True):
    """Today's conditions demand evidence of this trust, or details; the effect did not begin."""

    needs: Need


class Undecodable(msgspec.Struct, frozen=True, kw_only=True):
    """This version cannot decode the record; nothing began."""

    error: str
    #: Seconds; None when it is not tried again.
    retry_after: float | None


class Released(msgspec.Struct, frozen=True):
    """It did not begin, and any worker may claim it at once."""


Settlement: TypeAlias = Routed | Done | Skipped | Retry | Failed | Held | Unconfirmed | Undecodable | Released


class Report(msgspec.Struct, frozen=True):
    """One settlement, and the lease under which the worker reports it."""

    lease: Lease
    settlement: Settlement


def report_fields(reports: Iterable[Report]) -> Iterator[str]:
    """The reports as report.lua reads them."""
    for report in reports:
        verb, *details = _settlement_fields(report.settlement)
        yield from (verb, report.lease.handler, report.lease.event_key, str(report.lease.token), *details)


def _settlement_fields(settlement: Settlement) -> tuple[str, ...]:
    match settlement:
        case Routed(effects=effects, is_suspect=is_suspect):
            return ("route", encode_effects(effects), "suspect" if is_suspect else "")
        case Done():
            return ("done",)
        case Skipped():
            return ("skipped",)
        case Retry(after=after, error=error):
            return ("retry", _milliseconds(after), error or "")
        case Failed(error=error):
            return ("failed", error)
        case Held():
            return ("held",)
        case Unconfirmed(needs=needs):
            return ("unconfirmed", needs)
        case Undecodable(error=error, retry_after=retry_after):
            return ("undecodable", "" if retry_after is None else _milliseconds(retry_after), error)
        case Released():
            return ("release",)
        case _:
            assert_never(settlement)


def encode_effects(effects: Iterable[RoutedEffect]) -> str:
    """The effects of a routing as report.lua and rerun_effects.lua read them: ``<handler>:<mode>[:conflict],...``."""
    return ",".join(_encode_effect(effect) for effect in effects)


def _encode_effect(effect: RoutedEffect) -> str:
    match effect.start:
        case "running":
            mode = "run"
        case "due":
            mode = "due"
        case Awaiting(needs=needs, is_urgent=is_urgent):
            mode = f"{'await' if is_urgent else 'later'}-{needs}"
        case _:
            assert_never(effect.start)
    return f"{effect.handler}:{mode}" + (":conflict" if effect.takes_conflicts else "")


def _milliseconds(seconds: float) -> str:
    return str(int(seconds * 1000))
