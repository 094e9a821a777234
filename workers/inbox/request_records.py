"""The record of a request: the fields of its Redis hash as a value. Nothing else reads that hash."""

from collections.abc import Mapping, Sequence
from typing import cast

import msgspec
from redis import Redis
from redis.client import Pipeline

from hitlsh.callbacks import CallbackState
from workers.inbox import keys
from workers.inbox.values import Learned

_EFFECT = "effect:"
#: All fields except the history and the effects, of which there may be many.
_FIELDS = (
    "learned", "status", "outcome", "event", "created_at", "timeout_at", "checked_at", "refused", "missing", "doubts",
    "contested", "hold", "callback", "details_wanted", "api_key",
)  # fmt: skip
_decode_callback = msgspec.json.Decoder(CallbackState).decode


class RequestRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One request. Times are seconds since 1970, by the inbox clock."""

    #: How we came to know of it; None if the delivery of its outcome was the first sign of it.
    learned: Learned | None
    #: The latest status by HITL.sh's own time, or ``lost``.
    status: str | None
    outcome: str | None
    #: Key of the event that decided it.
    event: str | None
    created_at: float | None
    timeout_at: float | None
    #: When HITL.sh last showed it as open.
    checked_at: float | None
    #: We refused a delivery that names it since it was last checked.
    is_refused: bool
    #: HITL.sh did not know it when it was last asked.
    is_missing: bool
    #: HITL.sh was asked about a delivered outcome and has not confirmed it.
    is_doubted: bool
    #: Two outcomes of equal trust differ; HITL.sh is asked which is true.
    is_contested: bool
    #: Not checked before this time; 0 for no bound.
    hold: float
    #: The token of the callback URL that HITL.sh was given.
    callback: CallbackState | None
    #: An effect waits until the request has been read for its details.
    wants_details: bool
    #: Hash of the API key that it belongs to.
    api_key: str | None
    #: Keys of its events, oldest first; only in a whole record.
    history: tuple[str, ...] = ()
    #: By handler that has an effect on an outcome of the request: the key of that event. Only in a whole record.
    effects: Mapping[str, str] = {}


def read(redis: Redis, request_id: str) -> RequestRecord | None:
    """The whole record; None if it does not exist or has expired."""
    fields = cast("dict[bytes, bytes]", redis.hgetall(keys.request(request_id)))
    return whole_record(fields) if fields else None


def whole_record(fields: Mapping[bytes, bytes]) -> RequestRecord:
    """The record whose hash has these fields."""
    return _record({name.decode(): value for name, value in fields.items()})


def queue_read(pipe: Pipeline, request_id: str) -> None:
    """Queue the read of a record without its history and effects; pass the reply to `parse`."""
    pipe.hmget(keys.request(request_id), _FIELDS)


def parse(values: Sequence[bytes | None]) -> RequestRecord | None:
    """The record from the reply to `queue_read`; None if it has none of these fields."""
    fields = {name: value for name, value in zip(_FIELDS, values, strict=True) if value is not None}
    return _record(fields) if fields else None


def _record(fields: Mapping[str, bytes]) -> RequestRecord:
    return RequestRecord(
        learned=cast("Learned | None", _text(fields, "learned")),
        status=_text(fields, "status"),
        outcome=_text(fields, "outcome"),
        event=_text(fields, "event"),
        created_at=_number(fields, "created_at"),
        timeout_at=_number(fields, "timeout_at"),
        checked_at=_number(fields, "checked_at"),
        is_refused="refused" in fields,
        is_missing="missing" in fields,
        is_doubted="doubts" in fields,
        is_contested="contested" in fields,
        hold=float(fields.get("hold", 0)) / 1000,
        callback=_decode_callback(fields["callback"]) if "callback" in fields else None,
        wants_details="details_wanted" in fields,
        api_key=_text(fields, "api_key"),
        history=tuple(fields.get("history", b"").decode().split()),
        effects={
            name.removeprefix(_EFFECT): event.decode() for name, event in fields.items() if name.startswith(_EFFECT)
        },
    )


def _text(fields: Mapping[str, bytes], name: str) -> str | None:
    return fields[name].decode() if name in fields else None


def _number(fields: Mapping[str, bytes], name: str) -> float | None:
    return float(fields[name]) if name in fields else None
