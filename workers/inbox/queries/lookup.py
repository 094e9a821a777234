"""The record read back: what came, how it was verified, whom it was routed to, how that ended."""

from collections.abc import Iterable, Iterator
from typing import cast

from redis import Redis

from workers.inbox import event_records, keys
from workers.inbox.event_records import EffectRecord, EventRecord, EventSummary, RequestRecord

__all__ = [
    "EffectRecord",
    "EventRecord",
    "EventSummary",
    "RequestRecord",
    "event",
    "recent",
    "records",
    "request",
    "summaries",
]


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
        if event_records.is_whole(fields):
            yield event_records.record(name, fields)


def summaries(redis: Redis, event_keys: Iterable[str]) -> Iterator[EventSummary]:
    """The same without bodies, in two round trips."""
    headed = {
        key: fields
        for key, fields in read(redis, event_keys, event_records.HEADINGS).items()
        if event_records.is_whole(fields)
    }
    with redis.pipeline(transaction=False) as pipe:
        for key, fields in headed.items():
            pipe.hmget(keys.event(key), event_records.particulars(fields))
        replies = cast("list[list[bytes | None]]", pipe.execute())
    for (key, fields), reply in zip(headed.items(), replies, strict=True):
        yield event_records.summary(key, fields | event_records.present(event_records.particulars(fields), reply))


def read(redis: Redis, event_keys: Iterable[str], names: Iterable[str]) -> dict[str, dict[str, bytes]]:
    """These fields of each of these events, as far as they are there."""
    wanted, fields = list(event_keys), list(names)
    with redis.pipeline(transaction=False) as pipe:
        for key in wanted:
            pipe.hmget(keys.event(key), fields)
        replies = cast("list[list[bytes | None]]", pipe.execute())
    return {key: event_records.present(fields, reply) for key, reply in zip(wanted, replies, strict=True)}


def recent(redis: Redis, most: int = 100) -> Iterator[EventRecord]:
    """The latest events, newest first."""
    newest = cast("list[bytes]", redis.zrevrange(keys.EVENTS, 0, most - 1))
    for key in newest:
        if record := event(redis, key.decode()):
            yield record


def request(redis: Redis, request_id: str) -> RequestRecord | None:
    """What is known of a request, None when it was never heard of."""
    found = cast("dict[bytes, bytes]", redis.hgetall(keys.request(request_id)))
    return event_records.request({name.decode(): value for name, value in found.items()}) if found else None


def effects(redis: Redis, request_id: str) -> dict[str, str]:
    """Of each handler that has an effect on an outcome of the request: the key of that event."""
    found = cast("dict[bytes, bytes]", redis.hgetall(keys.request(request_id)))
    return {
        name.decode().removeprefix("effect:"): key.decode()
        for name, key in found.items()
        if name.startswith(b"effect:")
    }
