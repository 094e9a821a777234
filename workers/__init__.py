"""What a handler author types: `from workers import Decision, Router`."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hitlsh.events import Reviewer
    from workers.decision import Decision
    from workers.errors import CannotAsk, GiveUp, HandlersInvalid, NotDelivered, RetryLater, RouteInvalid, WorkersError
    from workers.routing.conditions import between
    from workers.routing.forwarding import Sink
    from workers.routing.route import Route
    from workers.routing.router import Router

__all__ = [
    "CannotAsk",
    "Decision",
    "GiveUp",
    "HandlersInvalid",
    "NotDelivered",
    "RetryLater",
    "Reviewer",
    "Route",
    "RouteInvalid",
    "Router",
    "Sink",
    "WorkersError",
    "between",
]

#: Where each public name is defined. They are imported at first use (PEP 562), so that importing a submodule
#: imports nothing but what that submodule needs.
_MODULES = {
    "Reviewer": "hitlsh.events",
    "Decision": "workers.decision",
    "CannotAsk": "workers.errors",
    "GiveUp": "workers.errors",
    "HandlersInvalid": "workers.errors",
    "NotDelivered": "workers.errors",
    "RetryLater": "workers.errors",
    "RouteInvalid": "workers.errors",
    "WorkersError": "workers.errors",
    "between": "workers.routing.conditions",
    "Sink": "workers.routing.forwarding",
    "Route": "workers.routing.route",
    "Router": "workers.routing.router",
}


if not TYPE_CHECKING:  # a type checker would take any name for a public one

    def __getattr__(name: str) -> Any:
        if name not in _MODULES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = getattr(import_module(_MODULES[name]), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
