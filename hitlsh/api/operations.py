"""One call as a value: what to send and how to read the reply. No I/O."""

import json
from collections.abc import Callable, Mapping
from typing import Any, Generic, TypeVar
from urllib.parse import quote, urlencode

import msgspec

from hitlsh.api.errors import ArgumentInvalid
from hitlsh.api.request_recorder import RecorderEntry

T = TypeVar("T")


class Attachment(msgspec.Struct, frozen=True, kw_only=True):
    """A file of a multipart body."""

    content: bytes
    name: str
    content_type: str


class Envelope(msgspec.Struct, frozen=True, kw_only=True):
    """A successful reply: its status and the content of its envelope."""

    status: int
    #: Scheme and host of the API, to resolve paths that are relative to it.
    origin: str
    msg: str | None
    #: The envelope's ``data``; the whole body where there is no envelope.
    data: dict[str, Any]

    def inner(self, name: str) -> dict[str, Any]:
        """Return the object ``data.<name>``; ``data`` itself where there is none, as some pages show."""
        value = self.data.get(name)
        return value if isinstance(value, dict) else self.data

    def items(self, name: str) -> list[Any]:
        """Return the list ``data.<name>``; an empty one for null and where there is none."""
        value = self.data.get(name)
        return value if isinstance(value, list) else []


class Operation(msgspec.Struct, Generic[T], frozen=True, kw_only=True):
    """One call. ``path`` is relative to the base URL and in its canonical form, such as ``/api/loops``."""

    method: str
    path: str
    read: Callable[[Envelope], T]
    query: dict[str, str | int] = {}
    body: bytes | None = None
    attachment: Attachment | None = None
    #: 4xx statuses that are not an error of this call.
    accepts: frozenset[int] = frozenset()
    #: Seconds that HITL.sh may hold the call beyond the client's timeout.
    hold_seconds: float = 0.0
    #: Returns the request that the call created, for the recorder; None where it created none.
    created_request: Callable[[T], RecorderEntry | None] | None = None


class HttpRequest(msgspec.Struct, frozen=True, kw_only=True):
    """An HTTP request without the API key."""

    method: str
    url: str
    path: str
    body: bytes | None
    attachment: Attachment | None
    hold_seconds: float
    #: The `traceparent` of the call; empty for none.
    traceparent: str = ""


def to_http_request(operation: Operation[Any], base_url: str, api_prefix: str) -> HttpRequest:
    """Return the HTTP request of an operation, with the API prefix in place of the canonical ``/api``."""
    path = operation.path
    if path.startswith("/api/"):
        path = api_prefix + path.removeprefix("/api")
    query = f"?{urlencode(operation.query)}" if operation.query else ""
    return HttpRequest(
        method=operation.method,
        url=f"{base_url}{path}{query}",
        path=path,
        body=operation.body,
        attachment=operation.attachment,
        hold_seconds=operation.hold_seconds,
    )


def path_segment(name: str, value: Any) -> str:
    """An id as one path path_segment; raises `ArgumentInvalid` for one that would address something else."""
    if not isinstance(value, str) or value.strip() in ("", ".", ".."):
        raise ArgumentInvalid(name, f"is {value!r}: give the id as HITL.sh shows it")
    return quote(value, safe="")


def encode_body(fields: Mapping[str, Any]) -> bytes:
    """Return a JSON body; raises ArgumentInvalid, which names the field, for a value that JSON cannot hold."""
    try:
        return _encode(fields)
    except _NOT_JSON:
        for name, value in fields.items():
            encode_value(name, value)
        raise ArgumentInvalid(None, "the body nests too deeply for JSON") from None


def encode_value(field: str, value: Any) -> bytes:
    """Return one JSON value; raises ArgumentInvalid for one that JSON cannot hold."""
    try:
        return _encode(value)
    except _NOT_JSON as error:
        raise ArgumentInvalid(field, f"is not JSON: {error}") from None


_NOT_JSON = (TypeError, ValueError, RecursionError)


def _encode(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()


def without_none(**fields: Any) -> dict[str, Any]:
    """Return the fields whose value is not None."""
    return {name: value for name, value in fields.items() if value is not None}


def changed_fields(**fields: Any) -> dict[str, Any]:
    """Return the fields that are not UNSET; None is a value to set. Raises ArgumentInvalid when there are none."""
    changes = {name: value for name, value in fields.items() if value is not msgspec.UNSET}
    if not changes:
        raise ArgumentInvalid(None, f"nothing to update: give at least one of {', '.join(fields)}")
    return changes
