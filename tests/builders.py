"""Values with defaults, for tests that care about one thing at a time."""

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from hitlsh.events import Event, Trust
from hitlsh.webhooks.parsing import parse
from workers.inbox.claims import ClaimedItem, Lease
from workers.inbox.settlements import (
    Awaiting,
    Done,
    Failed,
    Held,
    Released,
    Report,
    Retry,
    Routed,
    RoutedEffect,
    Settlement,
    Skipped,
    Unconfirmed,
)
from workers.inbox.values import Delivery

#: When deliveries arrive: these days, since what ended long ago is stale.
RECEIVED = datetime.now(UTC).replace(microsecond=0)


def ago(seconds: float) -> str:
    """A time before `RECEIVED`, as HITL.sh writes it."""
    return f"{RECEIVED - timedelta(seconds=seconds):%Y-%m-%dT%H:%M:%SZ}"


def payload(
    request_id: str = "66c0ffee00000000000000a1",
    response: Any = "Approve",
    status: str = "completed",
    **more: Any,
) -> bytes:
    """A callback-v2 body."""
    answered = status == "completed"
    return msgspec.json.encode(
        {
            "event": f"request.{status}",
            "request_id": request_id,
            "loop_id": "66c0ffee00000000000000b1",
            "status": status,
            "response_data": {"selected_value": response} if answered else None,
            "response_by": {"user_id": "u1", "name": "Ada", "email": "ada@example.com"} if answered else None,
            "response_at": ago(60) if answered else None,
            "response_time_seconds": 12.5 if answered else None,
            "created_at": ago(120),
            **more,
        }
    )


def claimed(request_id: str = "66c0ffee00000000000000a1", at: str | None = None) -> bytes:
    """A nested body that ends nothing."""
    at = ago(90) if at is None else at
    return msgspec.json.encode(
        {
            "event": "request.claimed",
            "timestamp": at,
            "data": {
                "request": {"id": request_id, "status": "claimed", "claimed_at": at, "claimed_by": "u1"},
                "loop": {"id": "66c0ffee00000000000000b1", "name": "Payouts"},
            },
        }
    )


def delivery(body: bytes | None = None, **changes: Any) -> Delivery:
    body = payload() if body is None else body
    defaults: dict[str, Any] = {
        "trust": "callback",
        "received_at": RECEIVED,
        "body": body,
        "content": parse(body),
    }
    return Delivery(**(defaults | changes))


def key(body: bytes) -> str:
    content = parse(body)
    assert isinstance(content, Event)
    return content.key


def routed(item: ClaimedItem, *names: str, is_suspect: bool = False) -> Report:
    """The report of a routing to these handlers: ``pay``, ``pay:due``, ``pay:await-confirmed:conflict``."""
    effects = tuple(_effect(name) for text in names for name in text.split(",") if name)
    return Report(on(item, ""), Routed(effects=effects, is_suspect=is_suspect))


def _effect(name: str) -> RoutedEffect:
    handler, mode, flag, *_ = f"{name}:::".split(":")
    how, _, trust = mode.partition("-")
    start: Any = "due" if mode == "due" else "running"
    if trust:
        start = Awaiting(needs=trust, is_urgent=how == "await")  # type: ignore[arg-type]
    return RoutedEffect(handler=handler, start=start, takes_conflicts=flag == "conflict")


def settled(
    item: ClaimedItem, end: str, handler: str | None = None, *, error: str = "", after: float = 0.0,
    needs: Trust = "confirmed",
) -> Report:  # fmt: skip
    """The report that an item, or this handler's effect of its event, came to this end."""
    settlements: dict[str, Settlement] = {
        "done": Done(),
        "skipped": Skipped(),
        "retry": Retry(after=after, error=error or None),
        "failed": Failed(error=error),
        "held": Held(),
        "unconfirmed": Unconfirmed(needs=needs),
        "release": Released(),
    }
    return Report(item.lease if handler is None else on(item, handler), settlements[end])


def on(item: ClaimedItem, handler: str) -> Lease:
    """The lease on this handler's effect of an event that was claimed."""
    return msgspec.structs.replace(item.lease, handler=handler)
