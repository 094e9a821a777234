"""Finds events and effects by filters, page by page."""

from collections.abc import Iterator, Sequence
from datetime import datetime

import msgspec
from redis import Redis

from hitlsh.events import Event, Unreadable
from workers.event_names import listens_to
from workers.inbox import keys, request_records
from workers.inbox.event_records import EffectRecord, EventSummary
from workers.inbox.queries import lookup
from workers.inbox.queries.pagination import Position, count, scan, until_now

#: Events in one chunk of a scan: each may hold a large answer.
SCAN_CHUNK = 50


class Filter(msgspec.Struct, frozen=True, kw_only=True):
    """Conditions that must all hold; without any, everything matches."""

    #: State of the event or of any of its effects; with `handler`, of that handler's effect.
    state: str | None = None
    #: A name such as ``request.completed``, or a beginning and a star: ``request.*``.
    event: str | None = None
    #: Id or name of the loop.
    loop: str | None = None
    handler: str | None = None
    request: str | None = None
    #: Aware times: when an event was accepted, or a failed effect failed. `until` is exclusive.
    since: datetime | None = None
    until: datetime | None = None

    def matches_content(self, content: Event | Unreadable) -> bool:
        """Whether the content matches; an unreadable body only if no condition asks for its content."""
        if not isinstance(content, Event):
            return self.event is None and self.loop is None and self.request is None
        return (
            (self.event is None or listens_to((self.event,), content.name))
            and (self.loop is None or self.loop in (content.loop_id, content.loop_name))
            and (self.request is None or self.request == content.request_id)
        )

    def matches(self, event: EventSummary) -> bool:
        """Whether the event matches all conditions except the times."""
        if not self.matches_content(event.content):
            return False
        if self.handler is not None:
            effect = effect_of(event, self.handler)
            return effect is not None and self.state in (None, effect.state)
        return self.state is None or self.state in {event.worst_state, *(effect.state for effect in event.effects)}


#: Everything.
ALL = Filter()


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """A dead letter: an effect (or the routing) of an event that gave up."""

    event: EventSummary
    effect: EffectRecord
    failed_at: datetime

    @property
    def member(self) -> str:
        """Its name for `retry` and `discard`: ``handler|event key``."""
        return f"{self.effect.handler}|{self.event.key}"


class EventPage(msgspec.Struct, frozen=True, kw_only=True):
    """Events, newest first, and where the next page begins: None on the last."""

    events: tuple[EventSummary, ...]
    cursor: str | None


class FailurePage(msgspec.Struct, frozen=True, kw_only=True):
    """Failures, newest first, and where the next page begins: None on the last."""

    failures: tuple[Failure, ...]
    cursor: str | None


def events(redis: Redis, conditions: Filter = ALL, *, limit: int = 50, cursor: str | None = None) -> EventPage:
    """A page of the matching events, newest first; `cursor` is the previous page's.

    Raises `CursorInvalid`.
    """
    matches: list[EventSummary] = []
    last: Position | None = None
    for positions in scan(
        redis, keys.EVENTS, since=conditions.since, until=conditions.until, after=Position.of(cursor)
    ):
        by_key = {
            summary.key: summary for summary in lookup.summaries(redis, [position.member for position in positions])
        }
        for position in positions:
            if len(matches) == limit:
                return EventPage(events=tuple(matches), cursor=str(last))
            last = position
            if position.member in by_key and conditions.matches(by_key[position.member]):
                matches.append(by_key[position.member])
    return EventPage(events=tuple(matches), cursor=None)


def count_accepted(redis: Redis, conditions: Filter = ALL) -> int:
    """Count the events that were accepted between `since` and `until`; other conditions are ignored."""
    return count(redis, keys.EVENTS, since=conditions.since, until=conditions.until)


def scan_events(redis: Redis, conditions: Filter = ALL) -> Iterator[tuple[int, list[EventSummary]]]:
    """Read all matching events, oldest first, in chunks: the number of events read, and those that match.

    Events that are accepted meanwhile are left out, unless `until` is in the future.
    """
    until = until_now(redis, conditions.until)
    for positions in scan(redis, keys.EVENTS, since=conditions.since, until=until, oldest_first=True, chunk=SCAN_CHUNK):
        summaries = lookup.summaries(redis, [position.member for position in positions])
        yield len(positions), [summary for summary in summaries if conditions.matches(summary)]


def failures(redis: Redis, conditions: Filter = ALL, *, limit: int = 50, cursor: str | None = None) -> FailurePage:
    """A page of the dead letters, the latest first. Raises `CursorInvalid`."""
    matches: list[Failure] = []
    last: Position | None = None
    for positions in scan(
        redis, keys.FAILED, since=conditions.since, until=conditions.until, after=Position.of(cursor)
    ):
        by_member = {failure.member: failure for failure in matching_effects(redis, positions, conditions)}
        for position in positions:
            if len(matches) == limit:
                return FailurePage(failures=tuple(matches), cursor=str(last))
            last = position
            if position.member in by_member:
                matches.append(by_member[position.member])
    return FailurePage(failures=tuple(matches), cursor=None)


def matching_effects(redis: Redis, positions: Sequence[Position], conditions: Filter) -> Iterator[Failure]:
    """Yield the matching effects of an index (`failed` or `held`)."""
    named = [(position, *split(position.member)) for position in positions]
    candidates = [entry for entry in named if conditions.handler in (None, entry[1])]
    by_key = {summary.key: summary for summary in lookup.summaries(redis, {key for _, _, key in candidates})}
    for position, handler, key in candidates:
        summary = by_key.get(key)
        effect = effect_of(summary, handler) if summary else None
        if (
            summary
            and effect
            and conditions.matches_content(summary.content)
            and conditions.state in (None, effect.state)
        ):
            yield Failure(event=summary, effect=effect, failed_at=position.at)


def effect_of(event: EventSummary, handler: str) -> EffectRecord | None:
    """The effect of that handler; the routing for an empty name."""
    if not handler:
        return event.routing
    return next((effect for effect in event.effects if effect.handler == handler), None)


def split(member: str) -> tuple[str, str]:
    """Handler and event key of ``handler|event key``."""
    handler, _, key = member.partition("|")
    return handler, key


def of_request(redis: Redis, request_id: str) -> list[str]:
    """Keys of the events of a request, oldest first."""
    record = request_records.read(redis, request_id)
    return [] if record is None else [key for key in record.history if redis.exists(keys.event(key))]


def resolve(redis: Redis, name: str) -> list[str]:
    """Keys of the events named by an event key, ``handler|event key`` or a request id; empty for none."""
    _, key = split(name) if "|" in name else ("", name)
    if redis.exists(keys.event(key)):
        return [key]
    return [] if "|" in name else of_request(redis, name)
