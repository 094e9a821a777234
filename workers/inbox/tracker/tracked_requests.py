"""The request tracker: every request that we know of, and when it is checked next at HITL.sh."""

from collections.abc import Mapping, Sequence
from typing import cast

import msgspec
from redis import Redis
from redis.asyncio import Redis as AsyncRedis

from hitlsh.callbacks import CallbackState
from hitlsh.request_details import RequestDetails
from workers.inbox import keys, request_records, scripts
from workers.inbox.queries import lookup
from workers.inbox.request_records import RequestRecord
from workers.inbox.store import LONGEST_ID
from workers.inbox.tracker.api_keys import DISCOVERY, KeyIndexes
from workers.inbox.values import Learned, OpenRequest

_encode = msgspec.json.Encoder().encode
_decode_callback = msgspec.json.Decoder(CallbackState).decode


class NewRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A request to track. Times are seconds since 1970."""

    request_id: str
    learned: Learned = "asked"
    created_at: float
    timeout_at: float | None = None
    #: The token of the callback URL that HITL.sh was given: from now on no other request may use it.
    callback: CallbackState | None = None
    #: What is asked in it.
    details: RequestDetails | None = None
    #: Of the trace in which it was asked; empty without tracing.
    traceparent: str = ""


def track(redis: Redis, request: NewRequest, *, retention: int, key_hash: str | None = None) -> bool:
    """Track a request; returns whether it is new. Safe to repeat. Raises `ValueError` for an id over 200 characters.

    `retention`: seconds that finished work is kept: what was asked may show that two outcomes are one answer.
    `key_hash`: hash of the API key that asked; by default the current key.
    """
    script = scripts.script(redis, "tracker/track_request")
    return cast("int", script(keys=keys.script_keys(key_hash), args=_arguments(request, retention))) == 1


async def atrack(redis: AsyncRedis, request: NewRequest, *, retention: int, key_hash: str | None = None) -> bool:
    """`track` for asyncio."""
    script = scripts.async_script(redis, "tracker/track_request")
    return cast("int", await script(keys=keys.script_keys(key_hash), args=_arguments(request, retention))) == 1


def _arguments(request: NewRequest, retention: int) -> list[str | bytes]:
    if len(request.request_id) > LONGEST_ID:
        raise ValueError(
            f"the request id has {len(request.request_id)} characters: pass the 24-character id of HITL.sh"
        )
    callback, details = request.callback, request.details
    return [
        str(retention),
        str(keys.LONGEST_REQUEST),
        request.request_id,
        request.learned,
        f"{request.created_at:.6f}",
        "" if request.timeout_at is None else f"{request.timeout_at:.6f}",
        "" if callback is None else _encode(callback),
        "" if callback is None else callback.id or "",
        "" if details is None else _encode(details),
        "" if details is None else details.loop_id or "",
        request.traceparent,
    ]


class TrackedRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A request that reconcile runs check."""

    request: OpenRequest
    #: It is due only because of an unverified delivery: a refused one, or one by a callback URL that is not the
    #: request's own. It is checked after all others.
    unverified: bool = False
    #: A delivery says that it has ended, and handlers wait until HITL.sh confirms it.
    awaits_confirmation: bool = False
    #: A row of a list does not suffice: only the request itself shows its callback URL and all details.
    needs_full_fetch: bool = False
    #: Not checked before this time (seconds since 1970).
    hold: float = 0.0
    callback: CallbackState | None = None


class _Evidence(msgspec.Struct, frozen=True):
    """One event that waits for confirmation."""

    trust: str
    #: Id of the callback token of the delivery; None if it did not come by callback URL.
    callback_id: str | None
    by_callback: bool


#: The indexes of the first API key.
_FIRST = KeyIndexes()
#: Requests read in one round trip.
_CHUNK = 500


def load(redis: Redis, indexes: KeyIndexes = _FIRST) -> dict[str, TrackedRequest]:
    """Every request of an API key that is open or waits for confirmation; a few round trips per 500 requests."""
    members = [member.decode() for member in cast("list[bytes]", redis.zrange(indexes.checks, 0, -1))]
    ids = [member for member in members if member != DISCOVERY]
    requests: dict[str, TrackedRequest] = {}
    for start in range(0, len(ids), _CHUNK):
        requests |= read(redis, ids[start : start + _CHUNK], indexes)
    if expired := [request_id for request_id in ids if request_id not in requests]:
        redis.zrem(indexes.checks, *expired)  # no request lives as long as its record
    return requests


def ended(redis: Redis, request_ids: Sequence[str]) -> set[str]:
    """The requests among these that have an outcome and wait for no confirmation."""
    with redis.pipeline(transaction=False) as pipe:
        for request_id in request_ids:
            request_records.queue_read(pipe, request_id)
            pipe.exists(keys.unconfirmed(request_id))
        replies = iter(pipe.execute())
    return {
        request_id
        for request_id, values, waits in zip(request_ids, replies, replies, strict=True)
        if (record := request_records.parse(values)) and record.outcome and not record.is_contested and not waits
    }


def read(redis: Redis, request_ids: Sequence[str], indexes: KeyIndexes = _FIRST) -> dict[str, TrackedRequest]:
    """The requests among these that are tracked."""
    with redis.pipeline(transaction=False) as pipe:
        for request_id in request_ids:
            request_records.queue_read(pipe, request_id)
            pipe.zrevrank(indexes.asked, request_id)
        replies = iter(pipe.execute())
    requests: dict[str, TrackedRequest] = {}
    for request_id, values, rank in zip(request_ids, replies, replies, strict=True):
        record = request_records.parse(values)
        if record is not None and (record.created_at is not None or record.outcome is not None):
            tracked = _tracked(request_id, record, rank or 0)
            if tracked.awaits_confirmation:
                tracked = _with_evidence(tracked, _unconfirmed(redis, request_id), is_doubted=record.is_doubted)
            requests[request_id] = tracked
    return requests


def _tracked(request_id: str, record: RequestRecord, newer: int) -> TrackedRequest:
    has_ended = record.outcome is not None
    request = OpenRequest(
        id=request_id,
        created_at=record.created_at or record.checked_at or 0.0,
        timeout_at=record.timeout_at,
        last_checked=record.checked_at,
        learned=record.learned or "event",
        refused=record.is_refused or has_ended or record.hold > 0,
        newer=newer,
    )
    return TrackedRequest(
        request=request,
        unverified=request.learned == "callback" or record.is_refused,
        awaits_confirmation=has_ended,
        hold=record.hold,
        callback=record.callback,
        needs_full_fetch=record.wants_details,
    )


def _unconfirmed(redis: Redis, request_id: str) -> list[_Evidence]:
    """The evidence of each event of the request that waits for confirmation."""
    event_keys = [key.decode() for key in cast("set[bytes]", redis.smembers(keys.unconfirmed(request_id)))]
    return [
        _evidence(fields) for fields in lookup.read_fields(redis, event_keys, ("trust", "callback:callback")).values()
    ]


def _evidence(fields: Mapping[str, bytes]) -> _Evidence:
    callback = fields.get("callback:callback")
    return _Evidence(
        trust=fields.get("trust", b"").decode(),
        callback_id=_decode_callback(callback).id if callback is not None else None,
        by_callback=callback is not None,
    )


def _with_evidence(tracked: TrackedRequest, evidence: Sequence[_Evidence], *, is_doubted: bool) -> TrackedRequest:
    """The request with what its evidence implies. `is_doubted`: HITL.sh was asked once and did not confirm it."""
    own_id = tracked.callback.id if tracked.callback is not None else None

    def is_verified(event: _Evidence) -> bool:
        if event.trust != "callback":
            return True
        # HITL.sh knows the token of the request's own callback URL; so does anybody to whom the URL leaked.
        return own_id is not None and event.callback_id == own_id and not is_doubted

    return msgspec.structs.replace(
        tracked,
        unverified=tracked.request.learned == "callback" or not any(map(is_verified, evidence)),
        needs_full_fetch=tracked.needs_full_fetch or (own_id is None and any(event.by_callback for event in evidence)),
    )
