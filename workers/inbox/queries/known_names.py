"""Names that a filter may use: handlers that workers have announced, and loops of recent events."""

from typing import cast

from redis import Redis

from hitlsh.events import Event
from workers.inbox import keys
from workers.inbox.queries import lookup
from workers.inbox.queries.pagination import scan


def handlers(redis: Redis) -> list[str]:
    """Names of handlers that drains have announced, the latest announced first."""
    return [name.decode() for name in cast("list[bytes]", redis.zrange(keys.HANDLERS, 0, -1, desc=True))]


def latest_loops(redis: Redis) -> list[str]:
    """Names of the loops of the latest events; the id of a loop whose name is unknown."""
    for positions in scan(redis, keys.EVENTS):
        summaries = list(lookup.summaries(redis, [position.member for position in positions]))
        events = [summary.content for summary in summaries if isinstance(summary.content, Event)]
        return list(dict.fromkeys(name for event in events if (name := event.loop_name or event.loop_id)))
    return []
