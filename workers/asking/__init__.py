"""Asks people through HITL.sh.

`InboxHitl` asks and waits: the calls of `hitlsh.AsyncHitl`, beside Redis. Below it, `AskingService` asks a question
once, however often it is submitted, and returns its outcome. `asking_client` is a plain client of HITL.sh's API whose
requests the inbox tracks::

    from workers.asking import asking_client, callback_url

    with asking_client(settings, redis) as client:
        client.requests.create(..., callback_url=callback_url(settings, state={"order": 17}))
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from workers.asking.asking_clients import (
        AsyncRedisRequestRecorder,
        RedisRequestRecorder,
        asking_client,
        async_asking_client,
        callback_url,
        entry,
    )
    from workers.asking.asking_service import AskingService, Submission
    from workers.asking.inbox_hitl import InboxHitl

__all__ = [
    "AskingService",
    "AsyncRedisRequestRecorder",
    "InboxHitl",
    "RedisRequestRecorder",
    "Submission",
    "asking_client",
    "async_asking_client",
    "callback_url",
    "entry",
]

#: Where each public name is defined; imported at first use (PEP 562).
_MODULES = dict.fromkeys(__all__, "workers.asking.asking_clients") | {
    "AskingService": "workers.asking.asking_service",
    "InboxHitl": "workers.asking.inbox_hitl",
    "Submission": "workers.asking.asking_service",
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
