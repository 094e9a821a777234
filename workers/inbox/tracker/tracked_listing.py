"""Lists tracked requests for operators: state of each, and when it is checked next."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from heapq import merge
from itertools import chain, islice
from operator import attrgetter
from typing import Literal, TypeAlias

import msgspec
from redis import Redis

from workers.inbox import keys, request_records
from workers.inbox.queries import lookup
from workers.inbox.queries.pagination import CHUNK, scan
from workers.inbox.request_records import RequestRecord
from workers.inbox.tracker import api_keys
from workers.inbox.tracker.api_keys import DISCOVERY, ApiKeys, KeyIndexes

State = Literal["open", "unreachable", "lost", "unconfirmed", "overruled"]


class OverruledBy(msgspec.Struct, frozen=True, kw_only=True):
    """An outcome that stronger evidence overruled."""

    event: str
    #: What overruled it: the key of an event, ``open`` or ``missing`` (the request at HITL.sh), or a reason.
    by: str


class TrackedEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One tracked request."""

    request_id: str
    #: ``open``, ``unreachable`` (its API key is no longer polled), ``lost``, or how it ended: ``completed``,
    #: ``timeout``, ``cancelled``. None when it is not known.
    state: str | None
    #: asked, callback, event or listing.
    learned: str | None
    created_at: datetime | None
    timeout_at: datetime | None
    #: When HITL.sh last showed it as open.
    checked_at: datetime | None
    #: When it is checked next; None if it is not scheduled.
    next_check: datetime | None
    #: Handlers wait until HITL.sh confirms how it ended.
    unconfirmed: bool
    #: We refused a delivery that names it since it was last checked.
    refused: bool
    #: HITL.sh did not know it when it was last asked.
    missing: bool
    #: Key of the event that decided it.
    event: str | None
    #: Only where overruled events are listed.
    overruled: OverruledBy | None = None


class TrackedPage(msgspec.Struct, frozen=True, kw_only=True):
    """A page of requests, and whether there are more."""

    entries: tuple[TrackedEntry, ...]
    more: bool


#: A request, and the event of it that was overruled, where such are listed.
_Candidate: TypeAlias = tuple[str, OverruledBy | None]


def entry(redis: Redis, request_id: str) -> TrackedEntry | None:
    """One tracked request; None if it is not tracked (only its decision may be known)."""
    [request] = _read(redis, api_keys.read(redis), [(request_id, None)])
    return request if request.learned is not None else None


def listing(redis: Redis, state: State | None = None, *, limit: int = 50) -> TrackedPage:
    """Requests in a state: open ones in the order of their next checks, all others newest first.

    Without a state, every tracked request, newest first. With `overruled`, one entry for each overruled event.
    """
    entries: list[TrackedEntry] = []
    used_keys = api_keys.read(redis)
    for candidates in _candidates(redis, used_keys, state):
        for request in _read(redis, used_keys, candidates):
            if not _is_in_state(request, state):
                continue
            if len(entries) == limit:
                return TrackedPage(entries=tuple(entries), more=True)
            entries.append(request)
    return TrackedPage(entries=tuple(entries), more=False)


def _is_in_state(request: TrackedEntry, state: State | None) -> bool:
    """Whether the record agrees with the index that lists it: either may be ahead."""
    match state:
        case None:
            return request.state is not None
        case "open" | "unreachable" | "lost":
            return request.state == state
        case "unconfirmed":
            return request.unconfirmed
        case "overruled":
            return request.overruled is not None


def _candidates(redis: Redis, used_keys: ApiKeys, state: State | None) -> Iterator[Sequence[_Candidate]]:
    match state:
        case None:
            all_keys = [*used_keys.polled, *used_keys.retired]
            yield from _merged(redis, [name for key in all_keys for name in (key.asked, key.unverified)])
        case "lost":
            yield from _merged(redis, [keys.LOST])
        case "open" | "unreachable":
            selected = used_keys.polled if state == "open" else used_keys.retired
            yield from _merged(redis, [key.checks for key in selected], oldest_first=True)
        case "unconfirmed":
            yield from _unconfirmed(redis)
        case "overruled":
            for positions in scan(redis, keys.OVERRULED):
                yield _overruled(redis, [position.member for position in positions])


def _merged(redis: Redis, indexes: Sequence[str], *, oldest_first: bool = False) -> Iterator[Sequence[_Candidate]]:
    """Merge the requests of several indexes into one order."""
    scans = [chain.from_iterable(scan(redis, index, oldest_first=oldest_first)) for index in indexes]
    positions = merge(*scans, key=attrgetter("score"), reverse=not oldest_first)
    candidates = ((position.member, None) for position in positions if position.member != DISCOVERY)
    while chunk := list(islice(candidates, CHUNK)):
        yield chunk


def _unconfirmed(redis: Redis) -> Iterator[Sequence[_Candidate]]:
    """Yield each request once, even if several of its effects wait."""
    listed = set[str]()
    for positions in scan(redis, keys.UNCONFIRMED):
        event_keys = [position.member.partition("|")[2] for position in positions]
        fields = lookup.read_fields(redis, event_keys, ("request",)).values()
        requests = dict.fromkeys(each["request"].decode() for each in fields if "request" in each)
        new = [request_id for request_id in requests if request_id not in listed]
        listed.update(new)
        yield [(request_id, None) for request_id in new]


def _overruled(redis: Redis, event_keys: Sequence[str]) -> Sequence[_Candidate]:
    events = lookup.read_fields(redis, event_keys, ("request", "overruled"))
    return [
        (fields["request"].decode(), OverruledBy(event=key, by=fields["overruled"].decode()))
        for key, fields in events.items()
        if len(fields) == 2
    ]


def _read(redis: Redis, used_keys: ApiKeys, candidates: Sequence[_Candidate]) -> list[TrackedEntry]:
    with redis.pipeline(transaction=False) as pipe:
        for request_id, _ in candidates:
            request_records.queue_read(pipe, request_id)
            pipe.zscore(keys.ASKED, request_id)
            pipe.zscore(keys.UNVERIFIED, request_id)
        replies = iter(pipe.execute())
    records, indexes = list[RequestRecord | None](), list[KeyIndexes]()
    for values, asked, unverified in zip(replies, replies, replies, strict=True):
        record = request_records.parse(values)
        records.append(record)
        indexes.append(_indexes(used_keys, record, is_first=asked is not None or unverified is not None))
    with redis.pipeline(transaction=False) as pipe:
        for (request_id, _), key_indexes in zip(candidates, indexes, strict=True):
            pipe.zscore(key_indexes.asked, request_id)
            pipe.zscore(key_indexes.checks, request_id)
            pipe.exists(keys.unconfirmed(request_id))
        replies = iter(pipe.execute())
    retired = {key.suffix for key in used_keys.retired}
    return [
        _tracked_entry(request_id, overruled, record, *values, is_polled=key_indexes.suffix not in retired)
        for (request_id, overruled), record, key_indexes, values in zip(
            candidates, records, indexes, zip(replies, replies, replies, strict=True), strict=True
        )
    ]


def _indexes(used_keys: ApiKeys, record: RequestRecord | None, *, is_first: bool) -> KeyIndexes:
    """The indexes of a request's API key, as prelude.lua finds it. `is_first`: an index of the first key has it."""
    if record is not None and record.api_key is not None:
        return used_keys.indexes(record.api_key)
    return used_keys.indexes("") if is_first else used_keys.current


def _tracked_entry(
    request_id: str,
    overruled: OverruledBy | None,
    record: RequestRecord | None,
    created: float | None,
    check: float | None,
    unconfirmed: int,
    *,
    is_polled: bool,
) -> TrackedEntry:
    """`created`, `check`: its scores in the indexes of its API key. Of some requests only the first exists."""
    return TrackedEntry(
        request_id=request_id,
        state=None if record is None else _state(record, is_polled=is_polled),
        learned=None if record is None else record.learned,
        created_at=_moment(created if record is None or record.created_at is None else record.created_at),
        timeout_at=None if record is None else _moment(record.timeout_at),
        checked_at=None if record is None else _moment(record.checked_at),
        next_check=_moment(check / 1000) if check is not None and is_polled else None,
        unconfirmed=bool(unconfirmed),
        refused=record is not None and record.is_refused,
        missing=record is not None and record.is_missing,
        event=None if record is None else record.event,
        overruled=overruled,
    )


def _state(record: RequestRecord, *, is_polled: bool) -> str:
    if record.outcome is not None:
        return record.outcome
    if record.status == "lost":
        return "lost"
    return "open" if is_polled else "unreachable"


def _moment(seconds: float | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)
