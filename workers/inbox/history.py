"""The record read back: what came, how it was verified, whom it was routed to, how that ended."""

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any, cast

import msgspec
from redis import Redis

from hitlsh.events import Event, Trust, Unreadable
from hitlsh.payloads import decode_event
from workers.inbox import keys
from workers.inbox.inbox import Callback
from workers.inbox.records import moment

#: What an effect can end as; any other state is open: something will still happen, or a person is awaited.
ENDED = frozenset({"done", "skipped", "discarded"})

#: The fields of an event's record, but for its body and its effects.
HEADINGS = (
    "head", "state", "trust", "deliveries", "received_at", "accepted_at", "routed_at", "finished_at", "late",
    "conflict", "replays", "replayed_at", "replayed_as", "routed_to",
)  # fmt: skip
#: Of one effect, behind its handler's name and a colon; of the routing itself, behind the colon alone.
PARTICULARS = (
    "state", "attempts", "errors", "crashes", "started_at", "settled_at", "error", "reason", "retries", "retried_at",
    "replays", "replayed_at",
)  # fmt: skip


class EffectRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One handler's work on one event."""

    #: Empty for the routing itself.
    handler: str
    #: due, running, retry, waiting, paused, held, failed; or ended: done, skipped, discarded
    state: str
    attempts: int
    #: Since the effect was begun, or begun anew by a person.
    errors: int
    crashes: int
    started_at: datetime | None
    settled_at: datetime | None
    #: The end of the last traceback.
    error: str | None
    #: Why a person discarded it.
    reason: str | None = None
    #: How often a person had the effect tried again, and had the event replayed to it.
    retries: int = 0
    retried_at: datetime | None = None
    replays: int = 0
    replayed_at: datetime | None = None

    @property
    def seconds(self) -> float | None:
        """How long the last attempt took; None while it runs, and before the first."""
        if self.started_at is None or self.settled_at is None or self.settled_at < self.started_at:
            return None
        return (self.settled_at - self.started_at).total_seconds()


class EventSummary(msgspec.Struct, frozen=True, kw_only=True):
    """One event as it is kept, without its body."""

    key: str
    content: Event | Unreadable
    #: due, routed, done, unrouted, discarded, failed (it could not be routed), quarantined or reread
    state: str
    trust: Trust
    deliveries: int
    received_at: datetime
    accepted_at: datetime
    routed_at: datetime | None
    finished_at: datetime | None
    late: bool
    conflict: bool
    #: How often a person had it go through the routes again.
    replays: int
    replayed_at: datetime | None
    #: Of a quarantined body that could be read later: the key of the event that it is.
    replayed_as: str | None
    effects: tuple[EffectRecord, ...]
    #: Set when workers died while they routed it.
    routing: EffectRecord | None


class EventRecord(EventSummary, frozen=True, kw_only=True):
    """One event as it is kept."""

    body: bytes
    #: What the callback URL carried.
    callback: Callback | None


class RequestRecord(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of one request."""

    status: str | None
    outcome: str | None
    #: Key of the event that decided it.
    event: str | None
    conflicts: int


def event(redis: Redis, key: str) -> EventRecord | None:
    """The record of one event, None when there is none (or none any more)."""
    return next(records(redis, [key]), None)


def records(redis: Redis, event_keys: Iterable[str]) -> Iterator[EventRecord]:
    """The records of these events, in one round trip; those that are gone are left out."""
    names = list(event_keys)
    with redis.pipeline(transaction=False) as pipe:
        for name in names:
            pipe.hgetall(keys.event(name))
        found = cast("list[dict[bytes, bytes]]", pipe.execute())
    for name, raw in zip(names, found, strict=True):
        fields = {field.decode(): value for field, value in raw.items()}
        if "head" in fields:
            yield _record(name, fields)


def summaries(redis: Redis, event_keys: Iterable[str]) -> Iterator[EventSummary]:
    """The same without bodies, in two round trips."""
    headed = {key: fields for key, fields in read(redis, event_keys, HEADINGS).items() if "head" in fields}
    with redis.pipeline(transaction=False) as pipe:
        for key, fields in headed.items():
            pipe.hmget(keys.event(key), _particulars(fields))
        replies = cast("list[list[bytes | None]]", pipe.execute())
    for (key, fields), reply in zip(headed.items(), replies, strict=True):
        yield _summary(key, fields | _present(_particulars(fields), reply))


def read(redis: Redis, event_keys: Iterable[str], names: Iterable[str]) -> dict[str, dict[str, bytes]]:
    """These fields of each of these events, as far as they are there."""
    wanted, fields = list(event_keys), list(names)
    with redis.pipeline(transaction=False) as pipe:
        for key in wanted:
            pipe.hmget(keys.event(key), fields)
        replies = cast("list[list[bytes | None]]", pipe.execute())
    return {key: _present(fields, reply) for key, reply in zip(wanted, replies, strict=True)}


def recent(redis: Redis, most: int = 100) -> Iterator[EventRecord]:
    """The latest events, newest first."""
    newest = cast("list[bytes]", redis.zrevrange(keys.EVENTS, 0, most - 1))
    for key in newest:
        if record := event(redis, key.decode()):
            yield record


def request(redis: Redis, request_id: str) -> RequestRecord | None:
    """What is known of a request, None when it was never heard of."""
    found = cast("dict[bytes, bytes]", redis.hgetall(keys.request(request_id)))
    fields = {name.decode(): value for name, value in found.items()}
    if not fields:
        return None
    return RequestRecord(
        status=_text(fields, "status"),
        outcome=_text(fields, "outcome"),
        event=_text(fields, "event"),
        conflicts=int(fields.get("conflicts", 0)),
    )


def content(key: str, head: bytes) -> Event | Unreadable:
    """What a record's head says."""
    return msgspec.json.decode(head, type=Unreadable) if key.startswith("unreadable:") else decode_event(head)


def _record(key: str, fields: Mapping[str, bytes]) -> EventRecord:
    callback = fields.get("callback")
    return EventRecord(
        **msgspec.structs.asdict(_summary(key, fields)),
        body=fields["body"],
        callback=msgspec.json.decode(callback, type=Callback) if callback else None,
    )


def _summary(key: str, fields: Mapping[str, bytes]) -> EventSummary:
    return EventSummary(
        key=key,
        content=content(key, fields["head"]),
        state=fields["state"].decode(),
        trust=cast("Trust", fields["trust"].decode()),
        deliveries=int(fields["deliveries"]),
        received_at=moment(fields["received_at"]),
        accepted_at=moment(fields["accepted_at"]),
        routed_at=_moment(fields, "routed_at"),
        finished_at=_moment(fields, "finished_at"),
        late="late" in fields,
        conflict="conflict" in fields,
        replays=int(fields.get("replays", 0)),
        replayed_at=_moment(fields, "replayed_at"),
        replayed_as=_text(fields, "replayed_as"),
        effects=tuple(_effect(name, fields) for name in _handlers(fields)),
        routing=_effect("", fields) if ":state" in fields else None,
    )


def _effect(handler: str, fields: Mapping[str, bytes]) -> EffectRecord:
    return EffectRecord(
        handler=handler,
        state=fields[f"{handler}:state"].decode(),
        attempts=int(fields.get(f"{handler}:attempts", 0)),
        errors=int(fields.get(f"{handler}:errors", 0)),
        crashes=int(fields.get(f"{handler}:crashes", 0)),
        started_at=_moment(fields, f"{handler}:started_at"),
        settled_at=_moment(fields, f"{handler}:settled_at"),
        error=_text(fields, f"{handler}:error"),
        reason=_text(fields, f"{handler}:reason"),
        retries=int(fields.get(f"{handler}:retries", 0)),
        retried_at=_moment(fields, f"{handler}:retried_at"),
        replays=int(fields.get(f"{handler}:replays", 0)),
        replayed_at=_moment(fields, f"{handler}:replayed_at"),
    )


def _handlers(fields: Mapping[str, bytes]) -> list[str]:
    return [name for name in fields.get("routed_to", b"").decode().split(",") if name]


def _particulars(fields: Mapping[str, bytes]) -> list[str]:
    return [f"{handler}:{name}" for handler in ["", *_handlers(fields)] for name in PARTICULARS]


def _present(names: Iterable[str], values: Iterable[bytes | None]) -> dict[str, bytes]:
    return {name: value for name, value in zip(names, values, strict=True) if value is not None}


def _moment(fields: Mapping[str, Any], name: str) -> datetime | None:
    return moment(fields[name]) if name in fields else None


def _text(fields: Mapping[str, bytes], name: str) -> str | None:
    return fields[name].decode() if name in fields else None
