"""Replays: events again through today's routes, and quarantined bodies through today's parser."""

from collections.abc import Iterable, Iterator
from typing import cast

import msgspec
from redis import Redis

from hitlsh.events import Event
from hitlsh.webhooks.parsing import parse
from workers.decision import Decision
from workers.inbox import keys, scripts
from workers.inbox.event_records import EventRecord
from workers.inbox.operations.failures import EXAMPLES, Advance, Change, Selection, advance_nothing, require_change
from workers.inbox.queries import lookup
from workers.inbox.queries.pagination import scan, until_now
from workers.inbox.queries.search import Filter, effect_of, resolve, split
from workers.inbox.settlements import RoutedEffect, encode_effects
from workers.inbox.store import accept
from workers.inbox.values import Delivery
from workers.routing.router import Router

#: Records, bodies and all, that are held in memory at a time.
BATCH = 25
_NEVER_SUCCEEDED = ("missing", "failed", "held", "skipped", "discarded", "superseded")


class _Plan(msgspec.Struct, frozen=True):
    """The effects of one event that run (again)."""

    key: str
    effects: tuple[RoutedEffect, ...]

    def members(self, names: Iterable[str]) -> list[str]:
        return [f"{handler}|{self.key}" for handler in names]


def replay(
    redis: Redis,
    router: Router,
    selection: Selection,
    *,
    retention: int,
    force: bool = False,
    dry_run: bool = False,
    advance: Advance = advance_nothing,
) -> Change:
    """Match events against the current routes again, oldest first, and make what never succeeded due.

    That is: handlers that never had the event, and effects that failed, are held, or were skipped or discarded; with
    `force` also effects that are done. Effects that are due or run are left alone; effects that demand more trust wait
    for it. A handler that began for another outcome of the request runs for this one only with `force`.

    A filter's `handler` restricts the replay to that handler. Quarantined bodies that today's parser reads become
    events and go to all their routes, unless a handler is given.

    Nothing of an overruled outcome runs again. Raises `ChangeRefused` if the selection names only such outcomes, or
    effects that wait for confirmation.
    """
    states = (*_NEVER_SUCCEEDED, "done") if force else _NEVER_SUCCEEDED
    flags = " ".join(["forced"] * force + ["dry"] * dry_run)
    effects, bodies, examples = 0, 0, list[str]()
    for records, handler in _selected_records(redis, selection):
        plans = [plan for record in records if (plan := _plan(record, router, handler, states))]
        readable = [] if handler else list(_readable(records, selection))
        members = _begin(redis, plans, states, flags, retention)
        if not dry_run:
            _accept(redis, readable, retention)
        effects += len(members)
        bodies += len(readable)
        examples += [*members, *(record.key for record, _ in readable)][: EXAMPLES - len(examples)]
        advance(BATCH)
    return require_change(redis, selection, Change(effects=effects, bodies=bodies, examples=tuple(examples)))


def _selected_records(redis: Redis, selection: Selection) -> Iterator[tuple[list[EventRecord], str | None]]:
    """Yield records with the one handler to run, or None for all."""
    if not isinstance(selection, Filter):
        for name in dict.fromkeys(selection):
            yield list(lookup.records(redis, resolve(redis, name))), split(name)[0] or None if "|" in name else None
        return
    index = keys.UNROUTED if selection.state == "unrouted" else keys.EVENTS
    for positions in scan(
        redis, index, since=selection.since, until=until_now(redis, selection.until), oldest_first=True, chunk=BATCH
    ):
        records = lookup.records(redis, [position.member for position in positions])
        conditions = msgspec.structs.replace(selection, handler=None)
        matching = [record for record in records if conditions.matches(record) or _is_unread(record, conditions)]
        yield matching, selection.handler


def _plan(record: EventRecord, router: Router, handler: str | None, states: tuple[str, ...]) -> _Plan | None:
    """Return the effects of today's routes that run (again) for this event; None if there are none."""
    stored = record.stored
    if stored is None or record.state == "due" or record.overruled is not None:
        return None  # an event that is not routed yet meets today's routes anyway
    decision = Decision.from_stored(stored)
    effects = [RoutedEffect.of(route, "due") for route in router.match(decision)]
    effects += [RoutedEffect.waiting(wait) for wait in router.waits(decision) if wait.is_urgent]
    effects_to_run = [
        effect for effect in effects if handler in (None, effect.handler) and _state(record, effect.handler) in states
    ]
    return _Plan(record.key, tuple(effects_to_run)) if effects_to_run else None


def _state(record: EventRecord, handler: str) -> str:
    effect = effect_of(record, handler)
    return effect.state if effect else "missing"


def _begin(redis: Redis, plans: list[_Plan], states: tuple[str, ...], flags: str, retention: int) -> list[str]:
    """Return ``handler|event key`` of each effect that became due or waits; not of those somebody else began."""
    if not plans:
        return []
    arguments = [word for plan in plans for word in (plan.key, encode_effects(plan.effects))]
    begin = scripts.script(redis, "operations/rerun_effects")
    parameters = [str(retention), "replays", "replayed_at", ",".join(states), flags, *arguments]
    begun = cast("list[bytes]", begin(keys=[keys.PREFIX], args=parameters))
    return [
        member
        for plan, names in zip(plans, begun, strict=True)
        if names
        for member in plan.members(names.decode().split(","))
    ]


# -- quarantined bodies ----------------------------------------------------------------------------------


def _is_unread(record: EventRecord, conditions: Filter) -> bool:
    """Whether it is a quarantined body: its name, loop and request are unknown until it is parsed."""
    return record.state == "quarantined" and conditions.state in (None, "quarantined")


def _readable(records: list[EventRecord], selection: Selection) -> Iterator[tuple[EventRecord, Event]]:
    """Yield the quarantined bodies that today's parser reads and that the selection matches."""
    for record in records:
        event = parse(record.body) if record.state == "quarantined" else None
        if isinstance(event, Event) and (not isinstance(selection, Filter) or selection.matches_content(event)):
            yield record, event


def _accept(redis: Redis, readable: list[tuple[EventRecord, Event]], retention: int) -> None:
    """Store the event first, then release the quarantine record: after a crash in between, a repeat does the rest."""
    if not readable:
        return
    accept(redis, (_delivery(record, event) for record, event in readable), retention=retention, unlimited=True)
    reread = scripts.script(redis, "operations/mark_reread")
    reread(
        keys=[keys.PREFIX], args=[retention, *(key for record, event in readable for key in (record.key, event.key))]
    )


def _delivery(record: EventRecord, event: Event) -> Delivery:
    return Delivery(
        content=event,
        body=record.body,
        trust=record.trust,
        received_at=record.received_at,
        callback_id=record.callback.id if record.callback else None,
        state=record.callback.state if record.callback else None,
        traceparent=record.traceparent,
    )
