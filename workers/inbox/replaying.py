"""Replays: events again through today's routes, and quarantined bodies through today's parser."""

from collections.abc import Iterator, Mapping
from typing import cast

import msgspec
from redis import Redis

from hitlsh.events import Event, Trust
from hitlsh.payloads import parse
from workers.decision import Decision
from workers.inbox import history, keys, scripts
from workers.inbox.inbox import accept
from workers.inbox.kept import EventRecord
from workers.inbox.listing import Filter, effect_of, resolve, split
from workers.inbox.operations import EXAMPLES, Change, Chosen, or_refuse
from workers.inbox.records import Delivery
from workers.inbox.walking import until_now, walk
from workers.router import Router

#: Records, bodies and all, that are held in memory at a time.
BATCH = 25
_NEVER_SUCCEEDED = ("missing", "failed", "held", "skipped", "discarded")


class _Plan(msgspec.Struct, frozen=True):
    """Handlers that shall have an event (again)."""

    key: str
    handlers: tuple[str, ...]
    #: Of those that demand more trust than the event has, how much.
    needs: Mapping[str, Trust] = {}

    @property
    def names(self) -> str:
        """As again.lua reads them."""
        return ",".join(
            f"{name}:await-{self.needs[name]}" if name in self.needs else f"{name}:due" for name in self.handlers
        )

    @property
    def members(self) -> list[str]:
        return [f"{handler}|{self.key}" for handler in self.handlers]


def replay(
    redis: Redis, router: Router, chosen: Chosen, *, retention: int, force: bool = False, dry_run: bool = False
) -> Change:
    """Events go through today's routes again, the oldest first.

    What never succeeded becomes due: handlers that never had the event, and effects that failed, are held,
    or were skipped or discarded; with `force` also those that are done. What is due or runs is left alone,
    what demands more trust waits for it. A filter's `handler` is the one that shall have the events. Quarantined
    bodies that can be read by now are kept as events, and go to all their routes; not where a handler is
    given, which they would not keep to.

    Nothing of an outcome that stronger evidence overruled runs again. Raises `Refused` where only such, or what waits
    to be confirmed, is named.
    """
    states = (*_NEVER_SUCCEEDED, "done") if force else _NEVER_SUCCEEDED
    effects, bodies, examples = 0, 0, list[str]()
    for records, handler in _chosen(redis, chosen):
        plans = [plan for record in records if (plan := _plan(record, router, handler, states))]
        readable = [] if handler else list(_readable(records, chosen))
        if not dry_run:
            plans = _begin(redis, plans, states)
            _accept(redis, readable, retention)
        effects += sum(len(plan.handlers) for plan in plans)
        bodies += len(readable)
        found = [*(member for plan in plans for member in plan.members), *(record.key for record, _ in readable)]
        examples += found[: EXAMPLES - len(examples)]
    return or_refuse(redis, chosen, Change(effects=effects, bodies=bodies, examples=tuple(examples)))


def _chosen(redis: Redis, chosen: Chosen) -> Iterator[tuple[list[EventRecord], str | None]]:
    """Records, and the one handler that is meant, if only one is."""
    if not isinstance(chosen, Filter):
        for name in dict.fromkeys(chosen):
            yield list(history.records(redis, resolve(redis, name))), split(name)[0] or None if "|" in name else None
        return
    for places in walk(
        redis, keys.EVENTS, since=chosen.since, until=until_now(redis, chosen.until), oldest_first=True, chunk=BATCH
    ):
        records = history.records(redis, [place.member for place in places])
        wanted = msgspec.structs.replace(chosen, handler=None)
        yield [record for record in records if wanted.wants(record) or _unread(record, wanted)], chosen.handler


def _plan(record: EventRecord, router: Router, handler: str | None, states: tuple[str, ...]) -> _Plan | None:
    """Which of today's routes shall have this event (again)."""
    if not isinstance(record.content, Event) or record.state == "due" or record.overruled is not None:
        return None  # what is not routed yet goes through today's routes anyway
    decision = _decision(record, record.content)
    needs = {wait.route.name: wait.needs for wait in router.waits(decision) if wait.is_urgent}
    names = [name for name in (*(route.name for route in router.match(decision)), *needs) if handler in (None, name)]
    effects = {name: effect_of(record, name) for name in names}
    wanted = tuple(name for name, effect in effects.items() if (effect.state if effect else "missing") in states)
    return _Plan(record.key, wanted, needs) if wanted else None


def _decision(record: EventRecord, event: Event) -> Decision:
    return Decision.from_event(
        event,
        trust=record.trust,
        received_at=record.received_at,
        state=record.callback.state if record.callback else None,
        late=record.late,
        conflict=record.conflict,
        overrules=record.overrules,
        body=record.body,
    )


def _begin(redis: Redis, plans: list[_Plan], states: tuple[str, ...]) -> list[_Plan]:
    """Answers the plans that were carried out; one whose every effect was begun by another is none."""
    if not plans:
        return []
    words = [word for plan in plans for word in (plan.key, plan.names)]
    begin = scripts.script(redis, "again")
    counts = cast("list[int]", begin(keys=[keys.PREFIX], args=["replays", "replayed_at", ",".join(states), *words]))
    return [plan for plan, count in zip(plans, counts, strict=True) if count]


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
    reread = scripts.script(redis, "reread")
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
    )
