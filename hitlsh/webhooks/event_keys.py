"""Event keys: equal for every delivery of one fact, in whichever form and however often it comes.

A request ends once, so an outcome is known by the request alone. What may happen again carries its time,
or, where the payload has none, the digest of its body. Keys are at most 256 characters and hold no
whitespace, no control character and no ``|``.
"""

import hashlib
from typing import Any

from hitlsh.events import Outcome

#: What one name, one id and one time may take of a key's 256 characters; a digest takes 64.
_NAME, _ID, _TIME = 80, 104, 64


def outcome_key(outcome: Outcome, request_id: str) -> str:
    """Return the key of a request's end, the same in every payload form."""
    return f"request.{outcome}:{_part(request_id, _ID)}"


def single_key(name: str, resource_id: str | None, body: bytes) -> str:
    """Return the key of what happens once to a resource, such as a turn that is resolved."""
    last = _part(resource_id, _ID) if resource_id else _digest(body)
    return f"{_name(name)}:{last}"


def repeatable_key(name: str, resource_id: str | None, timestamp: Any, body: bytes) -> str:
    """Return the key of what may happen to a resource again, such as a claim."""
    if not resource_id:
        return f"{_name(name)}:{_digest(body)}"
    when = _part(timestamp, _TIME) if isinstance(timestamp, str) and timestamp else _digest(body)
    return f"{_name(name)}:{_part(resource_id, _ID)}:{when}"


def unreadable_key(body: bytes) -> str:
    """Return the key of a body that is no event, so that a repeated delivery of it is kept once."""
    return f"unreadable:{_digest(body)}"


def _name(name: str) -> str:
    # A colon in a name could make its key read like another name's.
    return _digest(name.encode()) if ":" in name else _part(name, _NAME)


def _part(text: str, limit: int) -> str:
    # What is printable has no control character and no whitespace but the plain space.
    if len(text) <= limit and text.isprintable() and " " not in text and "|" not in text:
        return text
    return _digest(text.encode())


def _digest(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()
