"""The request tracker for people: each request known, how it stands, and when HITL.sh is next asked about it."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from heapq import merge
from itertools import chain, islice
from operator import attrgetter
from typing import Literal, TypeAlias, cast

import msgspec
from redis import Redis

from workers.inbox import keys
from workers.inbox.queries.pagination import CHUNK, scan
from workers.inbox.tracker import api_keys
from workers.inbox.tracker.api_keys import DISCOVERY, ApiKeys, KeyIndexes

State = Literal["open", "unreachable", "lost", "unconfirmed", "overruled"]

_FIELDS = (
    "learned", "status", "outcome", "event", "created_at", "timeout_at", "checked_at", "refused", "missing", "api_key",
)  # fmt: skip


class OverruledBy(msgspec.Struct, frozen=True, kw_only=True):
    """An outcome of which stronger evidence says otherwise."""

    event: str
    #: What is true instead: the key of the true event, or ``open`` or ``missing`` as the request is; or why not.
    by: str


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One request as the request tracker has it."""

    request_id: str
    #: ``open``, ``unreachable`` (its API key is polled no more), ``lost``, or how it ended: ``completed``, ``timeout``,
    #: ``cancelled``. None when it is not known.
    state: str | None
    #: asked, callback, event or listing.
    learned: str | None
    created_at: datetime | None
    timeout_at: datetime | None
    #: When HITL.sh last told us that it is open.
    checked_at: datetime | None
    #: When it is next worth a call; None when it is not.
    next_check: datetime | None
    #: Handlers wait until HITL.sh confirms how it ended.
    unconfirmed: bool
    #: A delivery that names it was refused since it was last checked.
    refused: bool
    #: HITL.sh did not know it when it was last asked.
    missing: bool
    #: Key of the event that decided it.
    event: str | None
    #: Only where overruled events are listed.
    overruled: OverruledBy | None = None


class Listing(msgspec.Struct, frozen=True, kw_only=True):
    """Some requests, and whether there are more."""

    entries: tuple[Entry, ...]
    more: bool


#: Of a request, and what is listed of it besides.
_Named: TypeAlias = tuple[str, OverruledBy | None]


def entry(redis: Redis, request_id: str) -> Entry | None:
    """One tracked request. None if it is not tracked: its decision may be all that was delivered."""
    [found] = _read(redis, api_keys.read(redis), [(request_id, None)])
    return found if found.learned is not None else None


def listing(redis: Redis, state: State | None = None, *, most: int = 50) -> Listing:
    """Requests in a state: open ones in the order in which they are next looked at, all others the latest first.

    Without a state every one that is known, newest first. Of `overruled`, one entry for each event.
    """
    found: list[Entry] = []
    known = api_keys.read(redis)
    for named in _named(redis, known, state):
        for one in _read(redis, known, named):
            if not _belongs(one, state):
                continue
            if len(found) == most:
                return Listing(entries=tuple(found), more=True)
            found.append(one)
    return Listing(entries=tuple(found), more=False)


def _belongs(found: Entry, state: State | None) -> bool:
    """An index may be ahead of the record, or behind it."""
    match state:
        case None:
            return found.state is not None
        case "open" | "unreachable" | "lost":
            return found.state == state
        case "unconfirmed":
            return found.unconfirmed
        case "overruled":
            return found.overruled is not None


def _named(redis: Redis, known: ApiKeys, state: State | None) -> Iterator[Sequence[_Named]]:
    match state:
        case None:
            every = [*known.polled, *known.gone]
            yield from _merged(redis, [name for one in every for name in (one.asked, one.unverified)])
        case "lost":
            yield from _merged(redis, [keys.LOST])
        case "open" | "unreachable":
            which = known.polled if state == "open" else known.gone
            yield from _merged(redis, [one.checks for one in which], oldest_first=True)
        case "unconfirmed":
            yield from _awaiting_proof(redis)
        case "overruled":
            for positions in scan(redis, keys.OVERRULED):
                yield _overrulings(redis, [position.member for position in positions])


def _merged(redis: Redis, indexes: Sequence[str], *, oldest_first: bool = False) -> Iterator[Sequence[_Named]]:
    """The requests of several indexes in the order of one."""
    walks = [chain.from_iterable(scan(redis, index, oldest_first=oldest_first)) for index in indexes]
    positions = merge(*walks, key=attrgetter("score"), reverse=not oldest_first)
    names = ((position.member, None) for position in positions if position.member != DISCOVERY)
    while chunk := list(islice(names, CHUNK)):
        yield chunk


def _awaiting_proof(redis: Redis) -> Iterator[Sequence[_Named]]:
    """Several effects of one request may wait: it is named once."""
    seen = set[str]()
    for positions in scan(redis, keys.UNCONFIRMED):
        event_keys = [position.member.partition("|")[2] for position in positions]
        requests = [fields[0].decode() for fields in _of_events(redis, event_keys, "request") if fields[0]]
        fresh = [name for name in dict.fromkeys(requests) if name not in seen]
        seen.update(fresh)
        yield [(name, None) for name in fresh]


def _overrulings(redis: Redis, event_keys: Sequence[str]) -> Sequence[_Named]:
    found = zip(event_keys, _of_events(redis, event_keys, "request", "overruled"), strict=True)
    return [
        (request.decode(), OverruledBy(event=key, by=by.decode()))
        for key, (request, by) in found
        if request is not None and by is not None
    ]


def _of_events(redis: Redis, event_keys: Sequence[str], *names: str) -> list[list[bytes | None]]:
    with redis.pipeline(transaction=False) as pipe:
        for key in event_keys:
            pipe.hmget(keys.event(key), names)
        return cast("list[list[bytes | None]]", pipe.execute())


def _read(redis: Redis, known: ApiKeys, named: Sequence[_Named]) -> list[Entry]:
    with redis.pipeline(transaction=False) as pipe:
        for request_id, _ in named:
            pipe.hmget(keys.request(request_id), _FIELDS)
            pipe.zscore(keys.ASKED, request_id)
            pipe.zscore(keys.UNVERIFIED, request_id)
        replies = iter(pipe.execute())
    found = list(zip(named, replies, replies, replies, strict=True))
    indexes = [_indexes(known, values, *positions) for _, values, *positions in found]
    with redis.pipeline(transaction=False) as pipe:
        for (request_id, _), own in zip(named, indexes, strict=True):
            pipe.zscore(own.asked, request_id)
            pipe.zscore(own.checks, request_id)
            pipe.exists(keys.unconfirmed(request_id))
        replies = iter(pipe.execute())
    gone = {one.suffix for one in known.gone}
    return [
        _entry(*name, values, created, look, unconfirmed, is_polled=own.suffix not in gone)
        for (name, values, *_), own, created, look, unconfirmed in zip(
            found, indexes, replies, replies, replies, strict=True
        )
    ]


def _indexes(known: ApiKeys, values: Sequence[bytes | None], *positions: float | None) -> KeyIndexes:
    """As the scripts find the key of a request."""
    key_hash = values[_FIELDS.index("api_key")]
    if key_hash is not None:
        return known.indexes(key_hash.decode())
    return known.current if all(position is None for position in positions) else known.indexes("")


def _entry(
    request_id: str,
    overruled: OverruledBy | None,
    values: Sequence[bytes | None],
    created: float | None,
    look: float | None,
    unconfirmed: int,
    *,
    is_polled: bool,
) -> Entry:
    fields = {name: value.decode() for name, value in zip(_FIELDS, values, strict=True) if value is not None}
    return Entry(
        request_id=request_id,
        state=_state(fields, is_polled=is_polled),
        learned=fields.get("learned"),
        # Of one that ended before anything else was heard of it, only its place is kept.
        created_at=_moment(fields.get("created_at", created)),
        timeout_at=_moment(fields.get("timeout_at")),
        checked_at=_moment(fields.get("checked_at")),
        next_check=_moment(look / 1000) if look is not None and is_polled else None,
        unconfirmed=bool(unconfirmed),
        refused="refused" in fields,
        missing="missing" in fields,
        event=fields.get("event"),
        overruled=overruled,
    )


def _state(fields: dict[str, str], *, is_polled: bool) -> str | None:
    if "outcome" in fields:
        return fields["outcome"]
    if fields.get("status") == "lost":
        return "lost"
    if not fields:
        return None
    return "open" if is_polled else "unreachable"


def _moment(seconds: str | float | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(float(seconds), UTC)
