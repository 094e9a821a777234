"""One call as a value: what to send and how to read the reply. No I/O here."""

import json
from collections.abc import Callable, Mapping
from typing import Any, Generic, TypeVar
from urllib.parse import quote, urlencode

import msgspec

from hitlsh.api.errors import ArgumentInvalid
from hitlsh.api.request_recorder import RecorderEntry

T = TypeVar("T")


class Attachment(msgspec.Struct, frozen=True, kw_only=True):
    """A file for a multipart body."""

    content: bytes
    name: str
    content_type: str


class Envelope(msgspec.Struct, frozen=True, kw_only=True):
    """A reply that says success: its status, the envelope and what the envelope holds."""

    status: int
    #: Scheme and host of the API, for paths that are relative to it.
    origin: str
    msg: str | None
    #: The envelope's ``data``; the whole body where there is no envelope.
    data: dict[str, Any]

    def inner(self, name: str) -> dict[str, Any]:
        """The object ``data.<name>``, or ``data`` itself where a document shows it bare."""
        found = self.data.get(name)
        return found if isinstance(found, dict) else self.data

    def items(self, name: str) -> list[Any]:
        """The list ``data.<name>``; null and a missing one are empty."""
        found = self.data.get(name)
        return found if isinstance(found, list) else []


class Operation(msgspec.Struct, Generic[T], frozen=True, kw_only=True):
    """One call; ``path`` is below the base URL in its canonical form, such as ``/api/loops``."""

    method: str
    path: str
    read: Callable[[Envelope], T]
    query: dict[str, str | int] = {}
    body: bytes | None = None
    attachment: Attachment | None = None
    #: Statuses that are no error for this call although they are 4xx.
    accepts: frozenset[int] = frozenset()
    #: Seconds the server may take beyond the client's own timeout.
    patience: float = 0.0
    #: The request to people that a successful call has made, for the recorder.
    makes: Callable[[T], RecorderEntry | None] | None = None


class HttpRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What goes over the wire, the key apart."""

    method: str
    url: str
    path: str
    body: bytes | None
    attachment: Attachment | None
    patience: float


def to_http_request(operation: Operation[Any], base_url: str, api_prefix: str) -> HttpRequest:
    """Address an operation: the canonical ``/api`` gives way to the prefix in use."""
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
        patience=operation.patience,
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
    """The fields that were given; None means "not given"."""
    return {name: value for name, value in fields.items() if value is not None}


def changed_fields(**fields: Any) -> dict[str, Any]:
    """The fields to change, where None is a value to set; raises `ArgumentInvalid` when there are none."""
    found = {name: value for name, value in fields.items() if value is not msgspec.UNSET}
    if not found:
        raise ArgumentInvalid(None, f"nothing to update: give at least one of {', '.join(fields)}")
    return found
