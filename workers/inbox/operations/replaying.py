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
from workers.inbox.operations.failures import EXAMPLES, Advance, Change, Chosen, advance_nothing, or_refuse
from workers.inbox.queries import lookup
from workers.inbox.queries.pagination import scan, until_now
from workers.inbox.queries.search import Filter, effect_of, resolve, split
from workers.inbox.settlements import RoutedEffect, effect_words
from workers.inbox.store import accept
from workers.inbox.values import Delivery
from workers.routing.router import Router

#: Records, bodies and all, that are held in memory at a time.
BATCH = 25
_NEVER_SUCCEEDED = ("missing", "failed", "held", "skipped", "discarded", "superseded")


class _Plan(msgspec.Struct, frozen=True):
    """The effects that an event shall have (again)."""

    key: str
    effects: tuple[RoutedEffect, ...]

    def members(self, names: Iterable[str]) -> list[str]:
        return [f"{handler}|{self.key}" for handler in names]


def replay(
    redis: Redis,
    router: Router,
    chosen: Chosen,
    *,
    retention: int,
    force: bool = False,
    dry_run: bool = False,
    advance: Advance = advance_nothing,
) -> Change:
    """Events go through today's routes again, the oldest first.

    What never succeeded becomes due: handlers that never had the event, and effects that failed, are held,
    or were skipped or discarded; with `force` also those that are done. What is due or runs is left alone,
    what demands more trust waits for it. A handler that began for another outcome of the request has no effect on
    this one but with `force`. A filter's `handler` is the one that shall have the events. Quarantined
    bodies that can be read by now are kept as events, and go to all their routes; not where a handler is
    given, which they would not keep to.

    Nothing of an outcome that stronger evidence overruled runs again. Raises `Refused` where only such, or what waits
    to be confirmed, is named.
    """
    states = (*_NEVER_SUCCEEDED, "done") if force else _NEVER_SUCCEEDED
    flags = " ".join(["forced"] * force + ["dry"] * dry_run)
    effects, bodies, examples = 0, 0, list[str]()
    for records, handler in _chosen(redis, chosen):
        plans = [plan for record in records if (plan := _plan(record, router, handler, states))]
        readable = [] if handler else list(_readable(records, chosen))
        members = _begin(redis, plans, states, flags)
        if not dry_run:
            _accept(redis, readable, retention)
        effects += len(members)
        bodies += len(readable)
        examples += [*members, *(record.key for record, _ in readable)][: EXAMPLES - len(examples)]
        advance(BATCH)
    return or_refuse(redis, chosen, Change(effects=effects, bodies=bodies, examples=tuple(examples)))


def _chosen(redis: Redis, chosen: Chosen) -> Iterator[tuple[list[EventRecord], str | None]]:
    """Records, and the one handler that is meant, if only one is."""
    if not isinstance(chosen, Filter):
        for name in dict.fromkeys(chosen):
            yield list(lookup.records(redis, resolve(redis, name))), split(name)[0] or None if "|" in name else None
        return
    index = keys.UNROUTED if chosen.state == "unrouted" else keys.EVENTS
    for positions in scan(
        redis, index, since=chosen.since, until=until_now(redis, chosen.until), oldest_first=True, chunk=BATCH
    ):
        records = lookup.records(redis, [position.member for position in positions])
        wanted = msgspec.structs.replace(chosen, handler=None)
        yield [record for record in records if wanted.wants(record) or _unread(record, wanted)], chosen.handler


def _plan(record: EventRecord, router: Router, handler: str | None, states: tuple[str, ...]) -> _Plan | None:
    """Return the effects of today's routes that shall have this event (again)."""
    stored = record.stored
    if stored is None or record.state == "due" or record.overruled is not None:
        return None  # what is not routed yet goes through today's routes anyway
    decision = Decision.from_stored(stored)
    effects = [RoutedEffect.of(route, "due") for route in router.match(decision)]
    effects += [RoutedEffect.waiting(wait) for wait in router.waits(decision) if wait.is_urgent]
    wanted = [
        effect for effect in effects if handler in (None, effect.handler) and _state(record, effect.handler) in states
    ]
    return _Plan(record.key, tuple(wanted)) if wanted else None


def _state(record: EventRecord, handler: str) -> str:
    effect = effect_of(record, handler)
    return effect.state if effect else "missing"


def _begin(redis: Redis, plans: list[_Plan], states: tuple[str, ...], flags: str) -> list[str]:
    """Answers ``handler|event key`` of those that became due or wait, and not of what somebody else began."""
    if not plans:
        return []
    words = [word for plan in plans for word in (plan.key, effect_words(plan.effects))]
    begin = scripts.script(redis, "operations/rerun_effects")
    begun = cast(
        "list[bytes]", begin(keys=[keys.PREFIX], args=["replays", "replayed_at", ",".join(states), flags, *words])
    )
    return [
        member
        for plan, names in zip(plans, begun, strict=True)
        if names
        for member in plan.members(names.decode().split(","))
    ]


# -- quarantined bodies ----------------------------------------------------------------------------------


def _unread(record: EventRecord, wanted: Filter) -> bool:
    """A quarantined body says nothing of name, loop or request until it is read."""
    return record.state == "quarantined" and wanted.state in (None, "quarantined")


def _readable(records: list[EventRecord], chosen: Chosen) -> Iterator[tuple[EventRecord, Event]]:
    """Quarantined bodies that are events by now, and looked for."""
    for record in records:
        event = parse(record.body) if record.state == "quarantined" else None
        if isinstance(event, Event) and (not isinstance(chosen, Filter) or chosen.admits(event)):
            yield record, event


def _accept(redis: Redis, readable: list[tuple[EventRecord, Event]], retention: int) -> None:
    """Kept as an event first, out of quarantine then: whoever dies in between has it done again."""
    if not readable:
        return
    accept(redis, (_delivery(record, event) for record, event in readable), retention=retention, unlimited=True)
    reread = scripts.script(redis, "operations/mark_reread")
    reread(
        keys=[keys.PREFIX], args=[retention, *(word for record, event in readable for word in (record.key, event.key))]
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
