"""What a person does to effects that failed or are held: have them tried again, or end them.

Each change is made in batches, one script call a batch; each may be repeated, and none touches what a
worker holds. Replays are in `workers.inbox.replaying`.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import cast

import msgspec
from redis import Redis

from workers.inbox import history, keys, scripts
from workers.inbox.listing import Filter, among, effect_of, resolve, split
from workers.inbox.walking import until_now, walk

#: Members named as examples of what a change is about.
EXAMPLES = 5


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


def retry(redis: Redis, chosen: Chosen, *, dry_run: bool = False) -> Change:
    """Failed effects become due now and have all the attempts of their policy again; so do failed routings."""

    def begin(members: list[str]) -> list[int]:
        words = [word for member in members for word in reversed(split(member))]
        return _run(redis, "again", "retries", "retried_at", "failed", *words)

    return _change(_members(redis, chosen, (keys.FAILED,)), None if dry_run else begin)


def discard(redis: Redis, chosen: Chosen, *, reason: str, retention: int, dry_run: bool = False) -> Change:
    """Failed and held effects end undone, for this reason; an event with nothing open is kept `retention` seconds.

    What is paused is not held: resume it first.
    """

    def end(members: list[str]) -> list[int]:
        return _run(redis, "discard", str(retention), reason, *members)

    return _change(_members(redis, chosen, (keys.FAILED, keys.HELD)), None if dry_run else end)


def _members(redis: Redis, chosen: Chosen, indexes: Iterable[str]) -> Iterator[list[str]]:
    """The effects chosen, batch by batch: of one index after the other, or those of the named events."""
    states = {index.removeprefix(keys.PREFIX) for index in indexes}
    if not isinstance(chosen, Filter):
        for name in dict.fromkeys(chosen):
            yield list(_named(redis, name, states))
        return
    for index in indexes:
        until = until_now(redis, chosen.until)
        for places in walk(redis, index, since=chosen.since, until=until, oldest_first=True):
            yield [one.member for one in among(redis, places, chosen) if one.effect.state in states]


def _named(redis: Redis, name: str, states: set[str]) -> Iterator[str]:
    handler = split(name)[0] if "|" in name else None
    for event in history.summaries(redis, resolve(redis, name)):
        names = [effect.handler for effect in event.effects] + [""]
        for one in names if handler is None else [handler]:
            effect = effect_of(event, one)
            if effect is not None and effect.state in states:
                yield f"{one}|{event.key}"


def _change(batches: Iterable[list[str]], change: Callable[[list[str]], list[int]] | None) -> Change:
    """Apply it to every batch, or only count."""
    effects, examples = 0, list[str]()
    for members in batches:
        counts = [1] * len(members) if change is None or not members else change(members)
        changed = [member for member, count in zip(members, counts, strict=True) if count]
        effects += len(changed)
        examples += changed[: EXAMPLES - len(examples)]
    return Change(effects=effects, examples=tuple(examples))


def _run(redis: Redis, script: str, *words: str) -> list[int]:
    return cast("list[int]", scripts.script(redis, script)(keys=[keys.PREFIX], args=words))
