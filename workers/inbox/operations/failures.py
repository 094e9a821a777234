"""Operator commands on effects that failed or are held: retry and discard.

Each change is made in batches, one script call a batch. It is safe to repeat, and never touches what a worker holds.
Replays are in `workers.inbox.operations.replaying`.
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
from workers.inbox.queries.search import Filter, effect_of, matching_effects, resolve, split

#: How many members a `Change` names as examples.
EXAMPLES = 5


class ChangeRefused(WorkersError):
    """Nothing of the selection may run again; the message says why, and what to do."""


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """What a command changed; after a dry run, what it would change."""

    #: How many effects (failed routings included).
    effects: int
    #: How many quarantined bodies turned out to be events: only a replay reads them again.
    bodies: int = 0
    #: The first few: ``handler|event key``, and the keys of bodies.
    examples: tuple[str, ...] = ()


#: What a command applies to: a filter, or a list of event keys, request ids and ``handler|event key``.
Selection = Filter | Sequence[str]
#: Called with the number of records that were read since the last call.
Advance = Callable[[int], None]


def advance_nothing(_count: int) -> None:
    """Show no progress."""


def retry(
    redis: Redis,
    selection: Selection,
    *,
    retention: int,
    dry_run: bool = False,
    advance: Advance = advance_nothing,
) -> Change:
    """Make failed effects and failed routings due now, with all the attempts of their policy.

    Effects of an overruled outcome are left out. Raises `ChangeRefused` if the selection names only those, or effects
    that wait for confirmation.
    """

    def begin(members: list[str]) -> Sequence[object]:
        arguments: list[str] = []
        for handler, key in map(split, members):
            arguments += [key, f"{handler}:due" if handler else ""]
        return _run(
            redis, "operations/rerun_effects", str(retention), "retries", "retried_at", "failed", "", *arguments
        )

    members = _members(redis, selection, (keys.FAILED,), advance, lambda event: event.overruled is None)
    return require_change(redis, selection, _change(members, None if dry_run else begin))


def discard(
    redis: Redis,
    selection: Selection,
    *,
    reason: str,
    retention: int,
    dry_run: bool = False,
    advance: Advance = advance_nothing,
) -> Change:
    """End failed and held effects without running them, for this reason.

    An event without open effects is kept for `retention` seconds. Effects that wait for confirmation are discarded only
    if they are named or the filter's state is ``unconfirmed``: most of them are confirmed soon. Quarantined records are
    discarded only if they are named or the filter's state is ``quarantined``. Paused effects must be resumed first.
    """

    def end(members: list[str]) -> Sequence[object]:
        return _run(redis, "operations/discard_effects", str(retention), reason, *members)

    keeps_unconfirmed = isinstance(selection, Filter) and selection.state != "unconfirmed"
    indexes = (keys.FAILED, keys.HELD) if keeps_unconfirmed else (keys.FAILED, keys.HELD, keys.UNCONFIRMED)
    if isinstance(selection, Filter) and selection.state == "quarantined":
        return _change(_quarantined(redis, selection, advance), None if dry_run else end)
    return _change(_members(redis, selection, indexes, advance), None if dry_run else end)


def require_change(redis: Redis, selection: Selection, change: Change) -> Change:
    """Return the change; raises `ChangeRefused` if it is empty because nothing of the selection may run again."""
    if isinstance(selection, Filter) or change.effects or change.bodies:
        return change
    reasons = [reason for name in dict.fromkeys(selection) for reason in _refusal_reasons(redis, name)]
    if reasons:
        raise ChangeRefused("; ".join(reasons[:EXAMPLES]))
    return change


def _refusal_reasons(redis: Redis, name: str) -> Iterator[str]:
    handler = split(name)[0] if "|" in name else None
    for event in lookup.summaries(redis, resolve(redis, name)):
        if event.overruled is not None:
            yield f"{event.key} was overruled by {event.overruled!r}, stronger evidence: nothing of it runs again"
        else:
            yield from _other_outcome_reasons(redis, event, handler)
        for effect in event.effects:
            if effect.state == "unconfirmed" and handler in (None, effect.handler):
                yield (
                    f"{effect.handler}|{event.key} waits until stronger evidence confirms the event, and runs then: "
                    f"discard it if it must never run"
                )


def _other_outcome_reasons(redis: Redis, event: EventSummary, handler: str | None) -> Iterator[str]:
    """Yield a reason for each handler (or the given one) that ran for another outcome of the event's request."""
    if not isinstance(event.content, Event) or not event.content.outcome or not event.content.request_id:
        return
    record = request_records.read(redis, event.content.request_id)
    for name, event_key in record.effects.items() if record is not None else ():
        if event_key != event.key and handler in (None, name):
            yield (
                f"{name} ran for another outcome of request {event.content.request_id} ({event_key}): "
                f"replay --force runs it for {event.key} too"
            )


def _members(
    redis: Redis,
    selection: Selection,
    indexes: Iterable[str],
    advance: Advance,
    is_selected: Callable[[EventSummary], bool] = lambda _: True,
) -> Iterator[list[str]]:
    """Yield the selected effects batch by batch: index after index, or those of the named events."""
    states = {index.removeprefix(keys.PREFIX) for index in indexes}
    if not isinstance(selection, Filter):
        for name in dict.fromkeys(selection):
            yield list(_named_members(redis, name, states, is_selected))
        return
    for index in indexes:
        until = until_now(redis, selection.until)
        for positions in scan(redis, index, since=selection.since, until=until, oldest_first=True):
            matches = matching_effects(redis, positions, selection)
            yield [match.member for match in matches if match.effect.state in states and is_selected(match.event)]
            advance(len(positions))


def _quarantined(redis: Redis, selection: Filter, advance: Advance) -> Iterator[list[str]]:
    """The quarantined records of a filter, batch by batch, each as ``|event key``."""
    until = until_now(redis, selection.until)
    for positions in scan(redis, keys.QUARANTINE, since=selection.since, until=until, oldest_first=True):
        summaries = lookup.summaries(redis, [position.member for position in positions])
        yield [f"|{event.key}" for event in summaries if selection.matches(event)]
        advance(len(positions))


def _named_members(
    redis: Redis, name: str, states: set[str], is_selected: Callable[[EventSummary], bool]
) -> Iterator[str]:
    handler = split(name)[0] if "|" in name else None
    for event in filter(is_selected, lookup.summaries(redis, resolve(redis, name))):
        if event.state == "quarantined" and keys.HELD.removeprefix(keys.PREFIX) in states and not handler:
            yield f"|{event.key}"
        names = [effect.handler for effect in event.effects] + [""]
        for effect_name in names if handler is None else [handler]:
            effect = effect_of(event, effect_name)
            if effect is not None and effect.state in states:
                yield f"{effect_name}|{event.key}"


def _change(batches: Iterable[list[str]], change: Callable[[list[str]], Sequence[object]] | None) -> Change:
    """Apply `change` to every batch; None only counts. `change` returns a falsy answer for each member left alone."""
    effects, examples = 0, list[str]()
    for members in batches:
        answers = [1] * len(members) if change is None or not members else change(members)
        changed = [member for member, answer in zip(members, answers, strict=True) if answer]
        effects += len(changed)
        examples += changed[: EXAMPLES - len(examples)]
    return Change(effects=effects, examples=tuple(examples))


def _run(redis: Redis, script: str, *arguments: str) -> list[object]:
    return cast("list[object]", scripts.script(redis, script)(keys=[keys.PREFIX], args=arguments))
