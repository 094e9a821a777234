"""Sinks: the objects that `router.forward` accepts, with one async method `send`."""

import inspect
import re
from collections.abc import Awaitable, Callable
from typing import Any, Protocol, TypeAlias

from workers.decision import Decision
from workers.errors import RouteInvalid
from workers.routing.callables import check_handler, is_async, name_of

_NOT_IN_NAMES = re.compile(r"-*[^A-Za-z0-9_.-]+-*")
_LONGEST_NAME = 100
#: How many attempts of one sink run at once, across all workers; a drain runs 50 effects by default.
SINK_CONCURRENCY = 10


class Sink(Protocol):
    """A downstream destination. One object serves all events, many at once, in every process.

    It must not open connections in its constructor: routers are imported before workers fork. A string attribute `name`
    is optional and names its routes; it is shown in logs and commands, so it must not contain a secret.
    """

    async def send(self, decision: Decision, /) -> object:
        """Deliver the decision, at least once; return when the destination has it.

        Raise any exception to be retried by the route's policy, ``RetryLater(seconds, counts=True)`` if the destination
        said when, and `GiveUp` if no further attempt will help.
        """


Send: TypeAlias = Callable[[Decision], Awaitable[object]]


def events_of(on: Any) -> tuple[Any, ...]:
    """One event or several, as `Router.on` takes them."""
    if isinstance(on, set | frozenset):
        return tuple(sorted(on, key=str))
    return tuple(on) if isinstance(on, list | tuple) else (on,)


def sender(sink: Any) -> Send:
    """The `send` of the sink; raises `RouteInvalid` if the object is not a sink."""
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
    """The default name of the sink's route: the attribute `name`, or the name of its class."""
    given = getattr(sink, "name", None)
    name = given if isinstance(given, str) and given else type(sink).__name__
    return _NOT_IN_NAMES.sub("-", name).strip("-")[:_LONGEST_NAME]
