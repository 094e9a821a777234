"""The record of an event and its effects: the fields of its Redis hash as values."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import cast, get_args

import msgspec

from hitlsh.callbacks import CallbackState
from hitlsh.event_json import decode_event
from hitlsh.events import Event, Trust, Unreadable
from hitlsh.trace_context import valid_traceparent
from workers.completion import NOTHING_KNOWN, KnownDetails
from workers.decision import StoredEvent
from workers.inbox.values import parse_time

#: The states of an event (`worst_state`) and of an effect.
STATES = (
    "due", "running", "retry", "waiting", "unconfirmed", "paused", "held", "failed", "done", "skipped", "discarded",
    "superseded", "overruled", "unrouted", "stale", "misused", "quarantined", "reread",
)  # fmt: skip
#: States of effects that have not ended; the one that most needs a person comes first.
OPEN_STATES = ("failed", "held", "paused", "unconfirmed", "retry", "waiting", "running", "due")
#: States of a body that could not be parsed, and of one that a later version parsed.
_UNREADABLE = frozenset({b"quarantined", b"reread"})

#: The fields of an event's record, except for its bodies and its effects.
EVENT_FIELDS = (
    *(f"{level}:{field}" for level in get_args(Trust) for field in ("head", "received_at")),
    "state", "trust", "deliveries", "accepted_at", "routed_at", "finished_at", "late",
    "conflict", "overrules", "overruled", "replays", "replayed_at", "replayed_as", "routed_to",
    "unreadable", "body_dropped",
)  # fmt: skip
#: The fields of one effect, each after ``handler:``; the routing itself has an empty handler name.
EFFECT_FIELDS = (
    "state", "attempts", "errors", "crashes", "started_at", "settled_at", "error", "reason", "retries", "retried_at",
    "replays", "replayed_at", "overruled",
)  # fmt: skip


class AttemptRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One attempt that failed, crashed, or asked for another attempt."""

    number: int
    #: retry (it raised, or asked for another attempt), failed or crashed
    end: str
    began_at: datetime
    ended_at: datetime
    #: The end of the traceback; empty when the handler asked for a later attempt.
    error: str

    @property
    def seconds(self) -> float:
        """Duration of the attempt."""
        return (self.ended_at - self.began_at).total_seconds()


class EffectRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One handler's work on one event."""

    #: Empty for the routing itself.
    handler: str
    #: due, running, retry, waiting, unconfirmed (until its event has the trust that its route demands), paused, held,
    #: failed; or ended: done, skipped, discarded, superseded (stronger evidence says otherwise)
    state: str
    attempts: int
    #: Failed attempts since the effect began, or since a person had it run again.
    errors: int
    crashes: int
    started_at: datetime | None
    settled_at: datetime | None
    #: The end of the last traceback.
    error: str | None
    #: Why a person discarded it.
    reason: str | None = None
    #: How often a person retried the effect, and replayed the event to it.
    retries: int = 0
    retried_at: datetime | None = None
    replays: int = 0
    replayed_at: datetime | None = None
    #: It began with evidence that stronger evidence overruled.
    overruled: bool = False
    #: The latest failed attempts, oldest first; only in an `EventRecord`, not in a summary.
    failed_attempts: tuple[AttemptRecord, ...] = ()

    @property
    def seconds(self) -> float | None:
        """Duration of the last attempt; None while it runs, and before the first."""
        if self.started_at is None or self.settled_at is None or self.settled_at < self.started_at:
            return None
        return (self.settled_at - self.started_at).total_seconds()


class EventSummary(msgspec.Struct, frozen=True, kw_only=True):
    """The record of an event without its body."""

    key: str
    content: Event | Unreadable
    #: due, routed, done, unrouted, discarded, overruled, failed (it could not be routed), stale (it ended before the
    #: horizon), misused (by a callback URL that may not speak of it), quarantined or reread
    state: str
    trust: Trust
    deliveries: int
    received_at: datetime
    accepted_at: datetime
    routed_at: datetime | None
    finished_at: datetime | None
    late: bool
    conflict: bool
    #: It overruled weaker evidence for which a handler had begun.
    overrules: bool
    #: What overruled it: the key of an event, ``open`` or ``missing`` (the request at HITL.sh), or why the event may
    #: not report the request. None if it is not overruled.
    overruled: str | None
    #: How often a person replayed it.
    replays: int
    replayed_at: datetime | None
    #: For a quarantined body that could be parsed later: the key of the event that it became.
    replayed_as: str | None
    #: Redis was full, so the body was dropped after the event had finished; a replay uses the parsed content.
    body_dropped: bool = False
    effects: tuple[EffectRecord, ...]
    #: Set when workers died while they routed it.
    routing: EffectRecord | None

    @property
    def worst_state(self) -> str:
        """The event's state; while effects are open, the state of the effect that most needs a person."""
        states = {effect.state for effect in self.effects}
        return next((state for state in OPEN_STATES if state in states), self.state)


class EventRecord(EventSummary, frozen=True, kw_only=True):
    """The whole record of an event."""

    body: bytes
    #: The token of the callback URL of the delivery.
    callback: CallbackState | None
    #: Details of the request, as of the latest start of an effect.
    known_details: KnownDetails = NOTHING_KNOWN
    #: Of its delivery; empty if that was not traced.
    traceparent: str = ""

    @property
    def stored(self) -> StoredEvent | None:
        """The event from which a `Decision` is made; None for an unreadable body."""
        if not isinstance(self.content, Event):
            return None
        return StoredEvent(
            event=self.content,
            body=self.body,
            trust=self.trust,
            received_at=self.received_at,
            callback=self.callback,
            known_details=self.known_details,
            late=self.late,
            conflict=self.conflict,
            overrules=self.overrules,
        )


def record(key: str, fields: Mapping[str, bytes]) -> EventRecord:
    """One event, from all of its fields."""
    trust = fields["trust"].decode()
    callback = fields.get(f"{trust}:callback")
    return EventRecord(
        **msgspec.structs.asdict(summary(key, fields)),
        body=fields[f"{trust}:body"],
        callback=msgspec.json.decode(callback, type=CallbackState) if callback else None,
        known_details=_known_details(fields),
        traceparent=valid_traceparent(fields.get(f"{trust}:traceparent")),
    )


def _known_details(fields: Mapping[str, bytes]) -> KnownDetails:
    """The latest copy of the details that details.lua stored with the event."""
    versions = [
        int(version) for name in fields if (version := name.removeprefix("details:")).isdigit() and version != name
    ]
    return msgspec.json.decode(fields[f"details:{max(versions)}"], type=KnownDetails) if versions else NOTHING_KNOWN


def summary(key: str, fields: Mapping[str, bytes]) -> EventSummary:
    """One event, from the fields of its event and of its effects, without its body."""
    return EventSummary(
        key=key,
        content=content(key, fields),
        state=fields["state"].decode(),
        trust=cast("Trust", fields["trust"].decode()),
        deliveries=int(fields["deliveries"]),
        received_at=parse_time(_evidence_field(fields, "received_at")),
        accepted_at=parse_time(fields["accepted_at"]),
        routed_at=_moment(fields, "routed_at"),
        finished_at=_moment(fields, "finished_at"),
        late="late" in fields,
        conflict="conflict" in fields,
        overrules="overrules" in fields,
        overruled=_text(fields, "overruled"),
        replays=int(fields.get("replays", 0)),
        replayed_at=_moment(fields, "replayed_at"),
        replayed_as=_text(fields, "replayed_as"),
        body_dropped="body_dropped" in fields,
        effects=tuple(_effect(name, fields) for name in _handlers(fields) if f"{name}:state" in fields),
        routing=_routing(fields),
    )


def content(key: str, fields: Mapping[str, bytes]) -> Event | Unreadable:
    """The content of the strongest evidence, from the fields of an event."""
    head = _evidence_field(fields, "head")
    if fields["state"] in _UNREADABLE or "unreadable" in fields:
        return msgspec.json.decode(head, type=Unreadable)
    try:
        event = decode_event(head)
    except (msgspec.MsgspecError, UnicodeDecodeError):  # another version wrote it: shown, not guessed at
        return Unreadable(reason="unknown_shape", key=key)
    # A conflicting outcome is kept under a key of its own.
    return event if event.key == key else msgspec.structs.replace(event, key=key)


def is_complete(fields: Mapping[str, bytes]) -> bool:
    """Whether these are the fields of an existing record; an expired one has none."""
    return "trust" in fields


def _evidence_field(fields: Mapping[str, bytes], name: str) -> bytes:
    """A field of the strongest evidence."""
    return fields[f"{fields['trust'].decode()}:{name}"]


def _routing(fields: Mapping[str, bytes]) -> EffectRecord | None:
    """The routing as an effect; None unless it failed or a worker died during it."""
    if ":state" not in fields and ":crashes" not in fields:
        return None
    return _effect("", {":state": b"done" if "routed_at" in fields else b"due", **fields})


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
        overruled=f"{handler}:overruled" in fields,
        failed_attempts=_failed_attempts(f"{handler}:attempt:", fields),
    )


def _failed_attempts(prefix: str, fields: Mapping[str, bytes]) -> tuple[AttemptRecord, ...]:
    attempts = [_attempt(int(name[len(prefix) :]), value) for name, value in fields.items() if name.startswith(prefix)]
    return tuple(sorted(attempts, key=lambda attempt: attempt.number))


def _attempt(number: int, value: bytes) -> AttemptRecord:
    heading, _, error = value.decode().partition("\n")
    end, began, ended = heading.split(" ")
    return AttemptRecord(number=number, end=end, began_at=parse_time(began), ended_at=parse_time(ended), error=error)


def _handlers(fields: Mapping[str, bytes]) -> list[str]:
    return [name for name in fields.get("routed_to", b"").decode().split(",") if name]


def effect_fields(fields: Mapping[str, bytes]) -> list[str]:
    """Names of the fields of all effects of the event that has these fields."""
    return [f"{handler}:{name}" for handler in ["", *_handlers(fields)] for name in EFFECT_FIELDS]


def existing_fields(names: Iterable[str], values: Iterable[bytes | None]) -> dict[str, bytes]:
    """The answer to an HMGET of these names, without the fields that do not exist."""
    return {name: value for name, value in zip(names, values, strict=True) if value is not None}


def _moment(fields: Mapping[str, bytes], name: str) -> datetime | None:
    return parse_time(fields[name]) if name in fields else None


def _text(fields: Mapping[str, bytes], name: str) -> str | None:
    return fields[name].decode() if name in fields else None
