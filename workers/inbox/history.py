"""The record read back: what came, how it was verified, whom it was routed to, how that ended."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any, cast

import msgspec
from redis import Redis

from hitlsh.events import Event, Unreadable
from hitlsh.payloads import decode_event
from workers.inbox import keys
from workers.inbox.records import moment


class EffectRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One handler's work on one event."""

    handler: str
    #: running, done, skipped, retry, failed, held or due
    state: str
    attempts: int
    errors: int
    crashes: int
    started_at: datetime | None
    settled_at: datetime | None
    #: The end of the last traceback.
    error: str | None


class EventRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One event as it is kept."""

    key: str
    content: Event | Unreadable
    #: due, routed, done, unrouted, quarantined or failed
    state: str
    trust: str
    deliveries: int
    received_at: datetime
    accepted_at: datetime
    routed_at: datetime | None
    finished_at: datetime | None
    late: bool
    conflict: bool
    effects: tuple[EffectRecord, ...]
    body: bytes


class RequestRecord(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of one request."""

    status: str | None
    outcome: str | None
    #: Key of the event that decided it.
    event: str | None
    conflicts: int


def event(redis: Redis, key: str) -> EventRecord | None:
    """The record of one event, None when there is none (or none any more)."""
    fields = _read(redis, keys.event(key))
    if "head" not in fields:
        return None
    names = (fields.get("routed_to") or b"").decode().split(",")
    return EventRecord(
        key=key,
        content=_content(key, fields["head"]),
        state=fields["state"].decode(),
        trust=fields["trust"].decode(),
        deliveries=int(fields["deliveries"]),
        received_at=moment(fields["received_at"]),
        accepted_at=moment(fields["accepted_at"]),
        routed_at=_moment(fields, "routed_at"),
        finished_at=_moment(fields, "finished_at"),
        late="late" in fields,
        conflict="conflict" in fields,
        effects=tuple(_effect(name, fields) for name in names if name),
        body=fields["body"],
    )


def recent(redis: Redis, most: int = 100) -> Iterator[EventRecord]:
    """The latest events, newest first."""
    newest = cast("list[bytes]", redis.zrevrange(keys.EVENTS, 0, most - 1))
    for key in newest:
        if record := event(redis, key.decode()):
            yield record


def request(redis: Redis, request_id: str) -> RequestRecord | None:
    """What is known of a request, None when it was never heard of."""
    fields = _read(redis, keys.request(request_id))
    if not fields:
        return None
    return RequestRecord(
        status=_text(fields, "status"),
        outcome=_text(fields, "outcome"),
        event=_text(fields, "event"),
        conflicts=int(fields.get("conflicts", 0)),
    )


def _read(redis: Redis, key: str) -> dict[str, bytes]:
    found = cast("dict[bytes, bytes]", redis.hgetall(key))
    return {name.decode(): value for name, value in found.items()}


def _content(key: str, head: bytes) -> Event | Unreadable:
    return msgspec.json.decode(head, type=Unreadable) if key.startswith("unreadable:") else decode_event(head)


def _effect(name: str, fields: dict[str, bytes]) -> EffectRecord:
    return EffectRecord(
        handler=name,
        state=fields[f"{name}:state"].decode(),
        attempts=int(fields[f"{name}:attempts"]),
        errors=int(fields.get(f"{name}:errors", 0)),
        crashes=int(fields.get(f"{name}:crashes", 0)),
        started_at=_moment(fields, f"{name}:started_at"),
        settled_at=_moment(fields, f"{name}:settled_at"),
        error=_text(fields, f"{name}:error"),
    )


def _moment(fields: dict[str, Any], name: str) -> datetime | None:
    return moment(fields[name]) if name in fields else None


def _text(fields: dict[str, bytes], name: str) -> str | None:
    return fields[name].decode() if name in fields else None
