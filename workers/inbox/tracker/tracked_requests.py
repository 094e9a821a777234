"""The request tracker: every request known, how it was learned, and when it is next worth a call to HITL.sh."""

from collections.abc import Mapping, Sequence
from typing import cast

import msgspec
from redis import Redis
from redis.asyncio import Redis as AsyncRedis

from hitlsh.request_details import RequestDetails
from workers.completion import CallbackState
from workers.inbox import keys, scripts
from workers.inbox.store import LONGEST_ID
from workers.inbox.tracker.api_keys import DISCOVERY, KeyIndexes
from workers.inbox.values import Learned, OpenRequest

_encode = msgspec.json.Encoder().encode
_decode_callback = msgspec.json.Decoder(CallbackState).decode


class NewRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A request as it was made; times in seconds since 1970."""

    request_id: str
    learned: Learned = "asked"
    created_at: float
    timeout_at: float | None = None
    #: Of our own callback URL that HITL.sh was given: no other request may use it from now on.
    callback: CallbackState | None = None
    #: What was asked in it.
    details: RequestDetails | None = None


def track(redis: Redis, asked: NewRequest, *, key_hash: str | None = None) -> bool:
    """Keep it; answers whether it was not known before. May be repeated.

    `key_hash`: of the API key that asked; by default the current one.
    """
    return (
        cast("int", scripts.script(redis, "tracker/track_request")(keys=keys.script_keys(key_hash), args=_words(asked)))
        == 1
    )


async def atrack(redis: AsyncRedis, asked: NewRequest, *, key_hash: str | None = None) -> bool:
    """`learn`, awaited."""
    script = scripts.async_script(redis, "tracker/track_request")
    return cast("int", await script(keys=keys.script_keys(key_hash), args=_words(asked))) == 1


def _words(asked: NewRequest) -> list[str | bytes]:
    if len(asked.request_id) > LONGEST_ID:
        raise ValueError(f"a request id of {len(asked.request_id)} characters: HITL.sh's have 24")
    callback, details = asked.callback, asked.details
    return [
        str(keys.LONGEST_REQUEST),
        asked.request_id,
        asked.learned,
        f"{asked.created_at:.6f}",
        "" if asked.timeout_at is None else f"{asked.timeout_at:.6f}",
        "" if callback is None else _encode(callback),
        "" if callback is None else callback.id or "",
        "" if details is None else _encode(details),
        "" if details is None else details.loop_id or "",
    ]


class TrackedRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A request that is worth a call sooner or later, as a reconcile run sees it."""

    request: OpenRequest
    #: What makes it due now was said by nobody who can be verified: by a refused delivery, or by a callback URL that
    #: is not the request's own. It is worth a call only after all else.
    unverified: bool = False
    #: It has ended as far as we were told, and handlers wait until HITL.sh itself says so.
    awaits_confirmation: bool = False
    #: Only the request itself will do: its callback URL proves what came by one, and only it has all details.
    needs_full_fetch: bool = False
    #: Not worth a call before (seconds since 1970).
    hold: float = 0.0
    callback: CallbackState | None = None


_FIELDS = (
    "created_at", "timeout_at", "learned", "checked_at", "refused", "outcome", "hold", "callback", "details_wanted",
    "doubts",
)  # fmt: skip
#: Of the API key that was the first to be used.
_FIRST = KeyIndexes()
#: Requests read in one round trip.
_CHUNK = 500


def load(redis: Redis, indexes: KeyIndexes = _FIRST) -> dict[str, TrackedRequest]:
    """Every request of an API key that is open, or waits for confirmation; a few round trips a thousand."""
    members = [member.decode() for member in cast("list[bytes]", redis.zrange(indexes.checks, 0, -1))]
    ids = [member for member in members if member != DISCOVERY]
    found: dict[str, TrackedRequest] = {}
    for start in range(0, len(ids), _CHUNK):
        found |= known(redis, ids[start : start + _CHUNK], indexes)
    if gone := [request_id for request_id in ids if request_id not in found]:
        redis.zrem(indexes.checks, *gone)  # their records have expired: no request lives that long
    return found


def decided(redis: Redis, request_ids: Sequence[str]) -> set[str]:
    """Which of these have ended as far as we know, and wait for nothing."""
    with redis.pipeline(transaction=False) as pipe:
        for request_id in request_ids:
            pipe.hmget(keys.request(request_id), "outcome", "contested")
            pipe.exists(keys.unconfirmed(request_id))
        replies = pipe.execute()
    ended, waiting = replies[::2], replies[1::2]
    return {
        request_id
        for request_id, (outcome, contested), waits in zip(request_ids, ended, waiting, strict=True)
        if outcome and not contested and not waits
    }


def known(redis: Redis, ids: Sequence[str], indexes: KeyIndexes = _FIRST) -> dict[str, TrackedRequest]:
    """These, as far as the request tracker has them."""
    with redis.pipeline(transaction=False) as pipe:
        for request_id in ids:
            pipe.hmget(keys.request(request_id), _FIELDS)
            pipe.zrevrank(indexes.asked, request_id)
        replies = pipe.execute()
    found: dict[str, TrackedRequest] = {}
    for request_id, values, position in zip(ids, replies[::2], replies[1::2], strict=True):
        fields = {name: value for name, value in zip(_FIELDS, values, strict=True) if value is not None}
        if "created_at" in fields or "outcome" in fields:
            found[request_id] = _known(request_id, fields, position or 0)
    doubted = {request_id for request_id, values in zip(ids, replies[::2], strict=True) if values[-1] is not None}
    return found | _proofs(redis, found, doubted)


def _known(request_id: str, fields: Mapping[str, bytes], newer: int) -> TrackedRequest:
    hold = float(fields.get("hold", 0)) / 1000
    checked = _number(fields, "checked_at")
    request = OpenRequest(
        id=request_id,
        created_at=_number(fields, "created_at") or checked or 0.0,
        timeout_at=_number(fields, "timeout_at"),
        last_checked=checked,
        learned=cast("Learned", fields.get("learned", b"event").decode()),
        refused="refused" in fields or "outcome" in fields or hold > 0,
        newer=newer,
    )
    return TrackedRequest(
        request=request,
        unverified=request.learned == "callback" or "refused" in fields,
        awaits_confirmation="outcome" in fields,
        hold=hold,
        callback=_decode_callback(fields["callback"]) if "callback" in fields else None,
        needs_full_fetch="details_wanted" in fields,
    )


def _proofs(redis: Redis, found: Mapping[str, TrackedRequest], doubted: set[str]) -> dict[str, TrackedRequest]:
    """Those that wait for confirmation, with what has to be confirmed.

    `doubted`: HITL.sh has not confirmed them once already.
    """
    waiting = [request_id for request_id, one in found.items() if one.awaits_confirmation]
    return {
        request_id: _to_prove(found[request_id], _posted(redis, request_id), is_doubted=request_id in doubted)
        for request_id in waiting
    }


def _posted(redis: Redis, request_id: str) -> list[tuple[bytes | None, bytes | None]]:
    """Trust and callback of each event of the request that waits for confirmation."""
    events = cast("set[bytes]", redis.smembers(keys.unconfirmed(request_id)))
    with redis.pipeline(transaction=False) as pipe:
        for event in events:
            pipe.hmget(keys.event(event.decode()), "trust", "callback:callback")
        return [(trust, callback) for trust, callback in pipe.execute()]


def _to_prove(
    known: TrackedRequest, posted: Sequence[tuple[bytes | None, bytes | None]], *, is_doubted: bool
) -> TrackedRequest:
    own = known.callback.id if known.callback is not None else None

    def is_verified(trust: bytes | None, callback: bytes | None) -> bool:
        if trust != b"callback":
            return True
        # The token of its own callback URL is known to HITL.sh, and to whoever it leaked to.
        return own is not None and callback is not None and _decode_callback(callback).id == own and not is_doubted

    return msgspec.structs.replace(
        known,
        unverified=known.request.learned == "callback" or not any(is_verified(*one) for one in posted),
        needs_full_fetch=known.needs_full_fetch
        or (own is None and any(callback is not None for _, callback in posted)),
    )


def _number(fields: Mapping[str, bytes], name: str) -> float | None:
    return float(fields[name]) if name in fields else None
