"""Reads records of events: what was delivered, its trust, the handlers it was routed to, and their results."""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import cast

from redis import Redis

from workers.inbox import event_records, keys
from workers.inbox.event_records import EffectRecord, EventRecord, EventSummary

__all__ = ["EffectRecord", "EventRecord", "EventSummary", "due_times", "event", "read_fields", "records", "summaries"]


def event(redis: Redis, key: str) -> EventRecord | None:
    """The record of one event; None if it does not exist or has expired."""
    return next(records(redis, [key]), None)


def records(redis: Redis, event_keys: Iterable[str]) -> Iterator[EventRecord]:
    """The records of these events, in one round trip; those that have expired are left out."""
    names = list(event_keys)
    with redis.pipeline(transaction=False) as pipe:
        for name in names:
            pipe.hgetall(keys.event(name))
        replies = cast("list[dict[bytes, bytes]]", pipe.execute())
    for name, reply in zip(names, replies, strict=True):
        fields = {field.decode(): value for field, value in reply.items()}
        if event_records.is_complete(fields):
            yield event_records.record(name, fields)


def summaries(redis: Redis, event_keys: Iterable[str]) -> Iterator[EventSummary]:
    """The summaries of these events (no bodies), in two round trips; expired events are left out."""
    headings = {
        key: fields
        for key, fields in read_fields(redis, event_keys, event_records.EVENT_FIELDS).items()
        if event_records.is_complete(fields)
    }
    with redis.pipeline(transaction=False) as pipe:
        for key, fields in headings.items():
            pipe.hmget(keys.event(key), event_records.effect_fields(fields))
        replies = cast("list[list[bytes | None]]", pipe.execute())
    for (key, fields), reply in zip(headings.items(), replies, strict=True):
        yield event_records.summary(
            key, fields | event_records.existing_fields(event_records.effect_fields(fields), reply)
        )


def due_times(redis: Redis, members: Iterable[str]) -> dict[str, datetime]:
    """When each ``handler|event key`` is due; those that are not due are left out."""
    names = list(members)
    scores = redis.zmscore(keys.DUE, names) if names else []
    return {
        name: datetime.fromtimestamp(score / 1000, UTC)
        for name, score in zip(names, scores, strict=True)
        if score is not None
    }


def read_fields(redis: Redis, event_keys: Iterable[str], names: Iterable[str]) -> dict[str, dict[str, bytes]]:
    """The existing ones of these fields, for each event."""
    keys_read, fields = list(event_keys), list(names)
    with redis.pipeline(transaction=False) as pipe:
        for key in keys_read:
            pipe.hmget(keys.event(key), fields)
        replies = cast("list[list[bytes | None]]", pipe.execute())
    return {key: event_records.existing_fields(fields, reply) for key, reply in zip(keys_read, replies, strict=True)}
