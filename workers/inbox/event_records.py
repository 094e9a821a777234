"""One event and its effects as the inbox keeps them: the fields of their hash as values."""

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
from workers.inbox.values import moment

#: What an event's state can be, as `worst_state` gives it, or that of one of its effects.
STATES = (
    "due", "running", "retry", "waiting", "unconfirmed", "paused", "held", "failed", "done", "skipped", "discarded",
    "superseded", "overruled", "unrouted", "stale", "misused", "quarantined", "reread",
)  # fmt: skip
#: Of effects that have not ended, what most needs a person first.
_OPEN_STATES = ("failed", "held", "paused", "unconfirmed", "retry", "waiting", "running", "due")
#: States of what is no event: of a body that could not be read, and of one that could be later.
_UNREADABLE = frozenset({b"quarantined", b"reread"})

#: The fields of an event's record, but for its body and its effects.
HEADINGS = (
    *(f"{level}:{field}" for level in get_args(Trust) for field in ("head", "received_at")),
    "state", "trust", "deliveries", "accepted_at", "routed_at", "finished_at", "late",
    "conflict", "overrules", "overruled", "replays", "replayed_at", "replayed_as", "routed_to",
    "unreadable", "body_dropped",
)  # fmt: skip
#: Of one effect, behind its handler's name and a colon; of the routing itself, behind the colon alone.
PARTICULARS = (
    "state", "attempts", "errors", "crashes", "started_at", "settled_at", "error", "reason", "retries", "retried_at",
    "replays", "replayed_at", "overruled",
)  # fmt: skip


class AttemptRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One attempt that did not settle its effect for good, or settled it as failed."""

    number: int
    #: retry (it raised, or asked for another attempt), failed or crashed
    end: str
    began_at: datetime
    ended_at: datetime
    #: The end of the traceback; empty when the handler asked for a later attempt.
    error: str

    @property
    def seconds(self) -> float:
        """How long it took."""
        return (self.ended_at - self.began_at).total_seconds()


class EffectRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One handler's work on one event."""

    #: Empty for the routing itself.
    handler: str
    #: due, running, retry, waiting, unconfirmed (until its event has the trust that its route demands), paused, held,
    #: failed; or ended: done, skipped, discarded, superseded (stronger evidence says otherwise)
    state: str
    attempts: int
    #: Failed attempts, the last one too, since the effect was begun, or begun anew by a person.
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
    #: It had begun with evidence that stronger evidence overruled.
    overruled: bool = False
    #: The latest attempts that went wrong, oldest first; only in a whole record, not in a summary.
    tries: tuple[AttemptRecord, ...] = ()

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
    #: It takes the place of weaker evidence that differs, of which something had begun.
    overrules: bool
    #: What stronger evidence says instead: the key of that event, or ``open`` or ``missing`` as HITL.sh has the
    #: request; or why the event may not speak.
    overruled: str | None
    #: How often a person had it go through the routes again.
    replays: int
    replayed_at: datetime | None
    #: Of a quarantined body that could be read later: the key of the event that it is.
    replayed_as: str | None
    #: Redis was full: the body was dropped after the event had finished, and a replay uses what was read from it.
    body_dropped: bool = False
    effects: tuple[EffectRecord, ...]
    #: Set when workers died while they routed it.
    routing: EffectRecord | None

    @property
    def worst_state(self) -> str:
        """The state, or while effects of it are open, that of the effect that most needs a person."""
        states = {effect.state for effect in self.effects}
        return next((state for state in _OPEN_STATES if state in states), self.state)


class EventRecord(EventSummary, frozen=True, kw_only=True):
    """One event as it is kept."""

    body: bytes
    #: What the callback URL carried.
    callback: CallbackState | None
    #: What the request tracker knew of its request when one of its effects began last.
    known: KnownDetails = NOTHING_KNOWN
    #: Of its delivery; empty if that was not traced.
    traceparent: str = ""

    @property
    def stored(self) -> StoredEvent | None:
        """The event, as decisions are made of it; None for a body that could not be read."""
        if not isinstance(self.content, Event):
            return None
        return StoredEvent(
            event=self.content,
            body=self.body,
            trust=self.trust,
            received_at=self.received_at,
            callback=self.callback,
            known=self.known,
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
        known=_known(fields),
        traceparent=valid_traceparent(fields.get(f"{trust}:traceparent")),
    )


def _known(fields: Mapping[str, bytes]) -> KnownDetails:
    """The latest of the copies that details.lua made."""
    versions = [
        int(version) for name in fields if (version := name.removeprefix("details:")).isdigit() and version != name
    ]
    return msgspec.json.decode(fields[f"details:{max(versions)}"], type=KnownDetails) if versions else NOTHING_KNOWN


def summary(key: str, fields: Mapping[str, bytes]) -> EventSummary:
    """One event, from its headings and particulars."""
    return EventSummary(
        key=key,
        content=content(key, fields),
        state=fields["state"].decode(),
        trust=cast("Trust", fields["trust"].decode()),
        deliveries=int(fields["deliveries"]),
        received_at=moment(_of_evidence(fields, "received_at")),
        accepted_at=moment(fields["accepted_at"]),
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
    """What the strongest evidence says, by a record's headings."""
    head = _of_evidence(fields, "head")
    if fields["state"] in _UNREADABLE or "unreadable" in fields:
        return msgspec.json.decode(head, type=Unreadable)
    try:
        event = decode_event(head)
    except (msgspec.MsgspecError, UnicodeDecodeError):  # another version wrote it: shown, not guessed at
        return Unreadable(reason="unknown_shape", key=key)
    # A conflicting outcome is kept under a key of its own.
    return event if event.key == key else msgspec.structs.replace(event, key=key)


def is_whole(fields: Mapping[str, bytes]) -> bool:
    """Whether these are the fields of a record: one that has expired meanwhile has none."""
    return "trust" in fields


def _of_evidence(fields: Mapping[str, bytes], name: str) -> bytes:
    """Of the strongest evidence."""
    return fields[f"{fields['trust'].decode()}:{name}"]


def _routing(fields: Mapping[str, bytes]) -> EffectRecord | None:
    """Shown only if it did not go smoothly: it has a state of its own once it failed."""
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
        tries=_tries(f"{handler}:attempt:", fields),
    )


def _tries(prefix: str, fields: Mapping[str, bytes]) -> tuple[AttemptRecord, ...]:
    found = [_try(int(name[len(prefix) :]), value) for name, value in fields.items() if name.startswith(prefix)]
    return tuple(sorted(found, key=lambda attempt: attempt.number))


def _try(number: int, value: bytes) -> AttemptRecord:
    heading, _, error = value.decode().partition("\n")
    end, began, ended = heading.split(" ")
    return AttemptRecord(number=number, end=end, began_at=moment(began), ended_at=moment(ended), error=error)


def _handlers(fields: Mapping[str, bytes]) -> list[str]:
    return [name for name in fields.get("routed_to", b"").decode().split(",") if name]


def particulars(fields: Mapping[str, bytes]) -> list[str]:
    """The fields of the effects of the event whose headings these are."""
    return [f"{handler}:{name}" for handler in ["", *_handlers(fields)] for name in PARTICULARS]


def present(names: Iterable[str], values: Iterable[bytes | None]) -> dict[str, bytes]:
    """The answer to an HMGET of these names, as far as they are there."""
    return {name: value for name, value in zip(names, values, strict=True) if value is not None}


def _moment(fields: Mapping[str, bytes], name: str) -> datetime | None:
    return moment(fields[name]) if name in fields else None


def _text(fields: Mapping[str, bytes], name: str) -> str | None:
    return fields[name].decode() if name in fields else None
