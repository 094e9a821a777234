"""What a person does to effects that failed or are held: have them tried again, or end them.

Each change is made in batches, one script call a batch; each may be repeated, and none touches what a
worker holds. Replays are in `workers.inbox.operations.replaying`.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import cast

import msgspec
from redis import Redis

from hitlsh.events import Event
from workers.errors import WorkersError
from workers.inbox import keys, request_records, scripts
from workers.inbox.event_records import EventSummary
from workers.inbox.queries import lookup
from workers.inbox.queries.pagination import scan, until_now
from workers.inbox.queries.search import Filter, among, effect_of, resolve, split

#: Members named as examples of what a change is about.
EXAMPLES = 5


class Refused(WorkersError):
    """None of what was named may run again; the message says why, and what can be done."""


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """What was changed; of a dry run, what would be."""

    #: How many effects (failed routings among them).
    effects: int
    #: How many quarantined bodies turned out to be events: only a replay reads them again.
    bodies: int = 0
    #: The first few: ``handler|event key``, and the keys of bodies.
    examples: tuple[str, ...] = ()


#: What a change is about: a filter, or event keys, request ids and ``handler|event key``.
Chosen = Filter | Sequence[str]
#: Is called with the number of records that were read since the last call.
Advance = Callable[[int], None]


def advance_nothing(_count: int) -> None:
    """Show no progress."""


def retry(redis: Redis, chosen: Chosen, *, dry_run: bool = False, advance: Advance = advance_nothing) -> Change:
    """Failed effects become due now and have all the attempts of their policy again; so do failed routings.

    Not those of an outcome that stronger evidence overruled. Raises `Refused` where only such, or what waits to be
    confirmed, is named.
    """

    def begin(members: list[str]) -> Sequence[object]:
        words: list[str] = []
        for handler, key in map(split, members):
            words += [key, f"{handler}:due" if handler else ""]
        return _run(redis, "operations/rerun_effects", "retries", "retried_at", "failed", "", *words)

    members = _members(redis, chosen, (keys.FAILED,), advance, lambda event: event.overruled is None)
    return or_refuse(redis, chosen, _change(members, None if dry_run else begin))


def discard(
    redis: Redis,
    chosen: Chosen,
    *,
    reason: str,
    retention: int,
    dry_run: bool = False,
    advance: Advance = advance_nothing,
) -> Change:
    """Failed and held effects end undone, for this reason; an event with nothing open is kept `retention` seconds.

    So do those that wait to be confirmed, if they are named or the filter's state is ``unconfirmed``: most of what
    waits is confirmed soon. So do quarantined records, if they are named or the filter's state is ``quarantined``.
    What is paused is not held: resume it first.
    """

    def end(members: list[str]) -> Sequence[object]:
        return _run(redis, "operations/discard_effects", str(retention), reason, *members)

    waits = isinstance(chosen, Filter) and chosen.state != "unconfirmed"
    indexes = (keys.FAILED, keys.HELD) if waits else (keys.FAILED, keys.HELD, keys.UNCONFIRMED)
    if isinstance(chosen, Filter) and chosen.state == "quarantined":
        return _change(_quarantined(redis, chosen, advance), None if dry_run else end)
    return _change(_members(redis, chosen, indexes, advance), None if dry_run else end)


def or_refuse(redis: Redis, chosen: Chosen, change: Change) -> Change:
    """The change; raises `Refused` where it is none, because nothing of what was named may run again."""
    if isinstance(chosen, Filter) or change.effects or change.bodies:
        return change
    reasons = [reason for name in dict.fromkeys(chosen) for reason in _reasons(redis, name)]
    if reasons:
        raise Refused("; ".join(reasons[:EXAMPLES]))
    return change


def _reasons(redis: Redis, name: str) -> Iterator[str]:
    handler = split(name)[0] if "|" in name else None
    for event in lookup.summaries(redis, resolve(redis, name)):
        if event.overruled is not None:
            yield f"{event.key} was overruled by {event.overruled!r}, stronger evidence: nothing of it runs again"
        elif isinstance(event.content, Event) and event.content.outcome and event.content.request_id:
            record = request_records.read(redis, event.content.request_id)
            for name, other in record.effects.items() if record is not None else ():
                if other != event.key and handler in (None, name):
                    yield (
                        f"{name} ran for another outcome of request {event.content.request_id} ({other}): "
                        f"replay --force runs it for {event.key} too"
                    )
        for effect in event.effects:
            if effect.state == "unconfirmed" and handler in (None, effect.handler):
                yield (
                    f"{effect.handler}|{event.key} waits until stronger evidence confirms the event, and runs then: "
                    f"discard it if it never shall"
                )


def _members(
    redis: Redis,
    chosen: Chosen,
    indexes: Iterable[str],
    advance: Advance,
    wanted: Callable[[EventSummary], bool] = lambda _: True,
) -> Iterator[list[str]]:
    """The effects chosen, batch by batch: of one index after the other, or those of the named events."""
    states = {index.removeprefix(keys.PREFIX) for index in indexes}
    if not isinstance(chosen, Filter):
        for name in dict.fromkeys(chosen):
            yield list(_named(redis, name, states, wanted))
        return
    for index in indexes:
        until = until_now(redis, chosen.until)
        for positions in scan(redis, index, since=chosen.since, until=until, oldest_first=True):
            found = among(redis, positions, chosen)
            yield [one.member for one in found if one.effect.state in states and wanted(one.event)]
            advance(len(positions))


def _quarantined(redis: Redis, chosen: Filter, advance: Advance) -> Iterator[list[str]]:
    """The quarantined records of a filter, batch by batch, each as ``|event key``."""
    until = until_now(redis, chosen.until)
    for positions in scan(redis, keys.QUARANTINE, since=chosen.since, until=until, oldest_first=True):
        found = lookup.summaries(redis, [position.member for position in positions])
        yield [f"|{event.key}" for event in found if chosen.wants(event)]
        advance(len(positions))


def _named(redis: Redis, name: str, states: set[str], wanted: Callable[[EventSummary], bool]) -> Iterator[str]:
    handler = split(name)[0] if "|" in name else None
    for event in filter(wanted, lookup.summaries(redis, resolve(redis, name))):
        if event.state == "quarantined" and keys.HELD.removeprefix(keys.PREFIX) in states and not handler:
            yield f"|{event.key}"
        names = [effect.handler for effect in event.effects] + [""]
        for one in names if handler is None else [handler]:
            effect = effect_of(event, one)
            if effect is not None and effect.state in states:
                yield f"{one}|{event.key}"


def _change(batches: Iterable[list[str]], change: Callable[[list[str]], Sequence[object]] | None) -> Change:
    """Apply it to every batch, or only count; `change` answers something false for what was left alone."""
    effects, examples = 0, list[str]()
    for members in batches:
        answers = [1] * len(members) if change is None or not members else change(members)
        changed = [member for member, answer in zip(members, answers, strict=True) if answer]
        effects += len(changed)
        examples += changed[: EXAMPLES - len(examples)]
    return Change(effects=effects, examples=tuple(examples))


def _run(redis: Redis, script: str, *words: str) -> list[object]:
    return cast("list[object]", scripts.script(redis, script)(keys=[keys.PREFIX], args=words))
