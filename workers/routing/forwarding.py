"""Sinks: what `router.forward` takes, any object with an async `send`."""

import inspect
import re
from collections.abc import Awaitable, Callable
from typing import Any, Protocol, TypeAlias

from workers.decision import Decision
from workers.errors import RouteInvalid
from workers.routing.callables import check_handler, is_async, name_of

_NOT_IN_NAMES = re.compile(r"-*[^A-Za-z0-9_.-]+-*")
_LONGEST_NAME = 100
#: Attempts of one sink at once, across all workers; a drain runs 50 by default.
SINK_CONCURRENCY = 10


class Sink(Protocol):
    """A downstream destination. One object serves all events, many at once, in any process of yours.

    Open nothing when it is made: routers are imported before workers fork. An attribute `name` (a string), if
    there is one, names its routes; it is shown to people, so it may hold no secret.
    """

    async def send(self, decision: Decision, /) -> object:
        """Deliver it, at least once: return when the destination has it.

        Raise to be tried again as the route's policy says, ``RetryLater(seconds, counts=True)`` when the
        destination said when, `GiveUp` when no further attempt will help.
        """


Send: TypeAlias = Callable[[Decision], Awaitable[object]]


def events_of(on: Any) -> tuple[Any, ...]:
    """One event or several, as `Router.on` takes them."""
    if isinstance(on, set | frozenset):
        return tuple(sorted(on, key=str))
    return tuple(on) if isinstance(on, list | tuple) else (on,)


def sender(sink: Any) -> Send:
    """What a route of this sink calls; raises `RouteInvalid` for what is none."""
    if isinstance(sink, type):
        raise RouteInvalid(f"forward({sink.__name__}): that is a class; give an instance, {sink.__name__}(...)")
    if inspect.isroutine(sink):
        raise RouteInvalid(f"forward({name_of(sink)}): a function is a handler; put @router.on(...) above it")
    send: Send | None = getattr(sink, "send", None)
    kind = type(sink).__name__
    if send is None:
        raise RouteInvalid(f"forward({kind}): it has no `send`; a sink has one `async def send(self, decision)`")
    check_handler(send)
    if not is_async(send):
        raise RouteInvalid(f"forward({kind}): its `send` is a plain function; write `async def send(self, decision)`")
    return send


def sink_name(sink: Any) -> str:
    """The name of the sink's routes unless one is given: its own, or that of its class."""
    own = getattr(sink, "name", None)
    name = own if isinstance(own, str) and own else type(sink).__name__
    return _NOT_IN_NAMES.sub("-", name).strip("-")[:_LONGEST_NAME]
