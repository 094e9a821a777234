"""Refuses names of handlers, loops, requests and events that do not exist, with those that do."""

from redis import Redis

from service.cli.environment import environment
from service.cli.error_messages import NoMatch
from workers.event_names import closest_event_name
from workers.handlers.loading import load_router
from workers.inbox.operations import pausing
from workers.inbox.queries import known_names, search
from workers.inbox.queries.search import Filter
from workers.inbox.tracker import tracked_listing
from workers.settings import Settings
from workers.telemetry.name_suggestions import closest_or_all


def check_handler(redis: Redis, name: str) -> None:
    """Raise `NoMatch` for a handler that no worker has had, and that HITL_HANDLERS does not name either."""
    announced = known_names.handlers(redis)
    if name in announced or name in pausing.paused(redis):
        return
    names = [*announced, *(own for own in _own_handlers() if own not in announced)]
    if name in names:
        return
    if not names:
        raise NoMatch(f"No handler is named {name!r}: no worker has run here yet. Start `hitl-receiver work` first.")
    raise NoMatch(f"No handler is named {name!r}: {closest_or_all(name, names)}")


def check_values(redis: Redis, filters: Filter) -> None:
    """Raise `NoMatch` where a filter matches nothing because what it names does not exist."""
    if filters.handler is not None:
        check_handler(redis, filters.handler)
    if filters.event is not None and (meant := closest_event_name(filters.event)) is not None:
        raise NoMatch(f"There is no event {filters.event!r} (did you mean {meant!r}?)")
    if filters.request is not None and not _request_exists(redis, filters.request):
        raise NoMatch(
            f"There is no request {filters.request!r}: list request ids with `hitl-receiver requests`, "
            "or with `hitl-receiver events`."
        )
    if filters.loop is not None and not search.events(redis, Filter(loop=filters.loop), limit=1).events:
        loops = known_names.latest_loops(redis)
        hint = f": {closest_or_all(filters.loop, loops)}" if loops else "."
        raise NoMatch(f"No event is of a loop with the id or name {filters.loop!r}{hint}")


def _request_exists(redis: Redis, request_id: str) -> bool:
    return tracked_listing.entry(redis, request_id) is not None or bool(search.of_request(redis, request_id))


def _own_handlers() -> list[str]:
    """The handlers of HITL_HANDLERS, where it is set here and they can be imported."""
    settings = Settings.from_env({"REDIS_URL": "redis://unused", **environment()})
    if settings.handlers is None:
        return []
    try:
        return [route.name for route in load_router(settings.handlers).routes]
    except Exception:  # noqa: BLE001 - the command does without code that only workers can import
        return []
