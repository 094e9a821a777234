"""Reads all decisions of a period, with a progress bar."""

from collections.abc import Iterator

import msgspec
from redis import Redis

from hitlsh.events import Event
from service.cli.output import progress_bar
from workers.inbox.event_records import EventSummary
from workers.inbox.queries import search
from workers.inbox.queries.search import Filter


class DecidedEvent(msgspec.Struct, frozen=True, kw_only=True):
    """An event that ended its request, and its content."""

    event: EventSummary
    content: Event

    @property
    def is_decision(self) -> bool:
        """Whether it is the decision of its request: neither overruled nor in conflict with an earlier outcome."""
        has_lost = self.event.conflict or self.event.overruled is not None
        return not has_lost and self.event.state not in {"stale", "misused"}


def scan_decisions(redis: Redis, conditions: Filter, *, label: str, prints: bool = False) -> Iterator[DecidedEvent]:
    """The matching events that ended a request, oldest first. Holds few of them in memory at a time.

    `prints`: each is written to standard output.
    """
    with progress_bar(search.count_accepted(redis, conditions), label, prints=prints) as advance:
        for count, events in search.scan_events(redis, conditions):
            for event in events:
                if isinstance(event.content, Event) and event.content.outcome is not None:
                    yield DecidedEvent(event=event, content=event.content)
            advance(count)
