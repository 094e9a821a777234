"""Destinations for `router.forward`. Your own sink is any object with an async method `send`."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from workers.sinks.log import Log
    from workers.sinks.redis_stream import RedisStream
    from workers.sinks.slack import Slack
    from workers.sinks.webhook import Webhook

__all__ = [
    "Log",
    "RedisStream",
    "Slack",
    "Webhook",
]

#: Where each public name is defined. They are imported at first use (PEP 562), so that importing a submodule
#: imports nothing but what that submodule needs.
_MODULES = {
    "Log": "workers.sinks.log",
    "RedisStream": "workers.sinks.redis_stream",
    "Slack": "workers.sinks.slack",
    "Webhook": "workers.sinks.webhook",
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
