"""Event keys: equal for every delivery of one event, in whichever form and however often it is delivered.

HITL.sh sends no event id. A request ends once, so the key of an outcome is the request's id and the outcome. The key of
an event that can happen again holds its time or, where the payload has none, the digest of the body. A key has at most
256 characters and holds no white space, no control character and no ``|``.
"""

import hashlib
from typing import Any

from hitlsh.events import Outcome

#: Characters of a name, an id and a time in a key; a longer one is replaced by its digest of 64.
_NAME, _ID, _TIME = 80, 104, 64


def outcome_key(outcome: Outcome, request_id: str) -> str:
    """Return the key of the outcome of a request, equal in every payload form."""
    return f"request.{outcome}:{_part(request_id, _ID)}"


def single_key(name: str, resource_id: str | None, body: bytes) -> str:
    """Return the key of an event that happens to a resource once, such as ``turn.resolved``."""
    suffix = _part(resource_id, _ID) if resource_id else _digest(body)
    return f"{_name(name)}:{suffix}"


def repeatable_key(name: str, resource_id: str | None, timestamp: Any, body: bytes) -> str:
    """Return the key of an event that can happen to a resource again, such as ``request.claimed``."""
    if not resource_id:
        return f"{_name(name)}:{_digest(body)}"
    time = _part(timestamp, _TIME) if isinstance(timestamp, str) and timestamp else _digest(body)
    return f"{_name(name)}:{_part(resource_id, _ID)}:{time}"


def unreadable_key(body: bytes) -> str:
    """Return the key of a body that holds no event, so that a repeated delivery of it is stored once."""
    return f"unreadable:{_digest(body)}"


def _name(name: str) -> str:
    # A name with a colon could have the same key as another name with an id.
    return _digest(name.encode()) if ":" in name else _part(name, _NAME)


def _part(text: str, limit: int) -> str:
    # A printable text holds no control character, and no white space but the plain space.
    if len(text) <= limit and text.isprintable() and " " not in text and "|" not in text:
        return text
    return _digest(text.encode())


def _digest(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()
