"""Bodies with defaults, for tests of what is read out of them."""

import json
from typing import Any

from hitlsh.events import Event
from hitlsh.webhooks.parsing import parse

ID = "7a10000000000000000000a1"


def event(body: bytes | dict[str, Any]) -> Event:
    read = parse(body if isinstance(body, bytes) else json.dumps(body).encode())
    assert isinstance(read, Event), read
    return read


def callback(response_data: Any = None, **changes: Any) -> dict[str, Any]:
    body = {"event": "request.completed", "request_id": ID, "status": "completed"}
    return body | {"response_data": response_data} | changes


def nested(**request: Any) -> dict[str, Any]:
    return {"event": "request.completed", "data": {"request": {"id": ID, "status": "completed"} | request}}
