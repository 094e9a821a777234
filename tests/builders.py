"""Values with defaults, for tests that care about one thing at a time."""

from datetime import UTC, datetime
from typing import Any

import msgspec

from hitlsh.events import Event
from hitlsh.payloads import parse
from workers.inbox.records import Delivery

RECEIVED = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)


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
            "response_at": "2026-03-01T11:59:00Z" if answered else None,
            "response_time_seconds": 12.5 if answered else None,
            "created_at": "2026-03-01T11:58:00Z",
            **more,
        }
    )


def claimed(request_id: str = "66c0ffee00000000000000a1", at: str = "2026-03-01T11:58:30Z") -> bytes:
    """A nested body that ends nothing."""
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
