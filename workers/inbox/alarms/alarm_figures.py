"""Figures that only alarms need, read in one round trip of bounded size."""

from collections.abc import Iterable, Mapping
from typing import Any, cast

import msgspec
from redis import Redis
from redis.asyncio import Redis as AsyncRedis
from redis.exceptions import ResponseError

from workers.inbox import keys, scripts
from workers.inbox.alarms import recent_counts
from workers.redis_checks import CHECKED_SETTINGS

#: The number of held effects that are read from each end of their index.
MAX_HELD = 500
#: Seconds after which a handler that no drain has announced is missing.
ANNOUNCED = 10.0
#: Seconds that route warnings are kept after the latest drain began.
WARNINGS_LIFE = 3_600
DAY = 86_400.0

_decode_warnings = msgspec.json.Decoder(tuple[str, ...]).decode


class AlarmFigures(msgspec.Struct, frozen=True, kw_only=True):
    """The state of the inbox and of its server, for alarms. Times are seconds since 1970, by the inbox clock."""

    now: float
    #: Deliveries by reason in the recent slots, and when each reason last occurred.
    recent: Mapping[str, int]
    latest: Mapping[str, float]
    #: The event with which a reason last occurred, where one event is the reason.
    latest_events: Mapping[str, str]
    #: Whether processes of this kind are running.
    has_clock: bool
    has_web: bool
    #: Held effects by handler, among those that were read; and the handlers of resident drains.
    held: Mapping[str, int]
    handlers: frozenset[str]
    paused: frozenset[str]
    #: Times of the oldest dead letter and the oldest quarantined delivery.
    failed_since: float | None
    quarantined_since: float | None
    #: Outcomes that no route matched, accepted in the last 24 hours.
    unrouted_decisions: int
    #: Total of unfinished work that the clock has repaired.
    repaired: int
    #: Warnings about routes that read fields which nobody sends.
    route_warnings: tuple[str, ...]
    #: INFO and CONFIG GET of the server; empty if the server forbids them.
    info: Mapping[str, Any]
    config: Mapping[str, str]

    def seconds_since(self, reason: str) -> float | None:
        """Seconds since a reason last occurred; None if it never did."""
        at = self.latest.get(reason)
        return None if at is None else max(0.0, self.now - at)


def read(redis: Redis, now: float) -> AlarmFigures:
    """Read the figures. `now`: the inbox clock in seconds since 1970."""
    with redis.pipeline(transaction=False) as pipe:
        pipe.hgetall(keys.LATEST)
        pipe.hgetall(keys.LATEST_EVENTS)
        pipe.exists(keys.present("clock"))
        pipe.exists(keys.present("web"))
        scripts.script(redis, "alarms/count_held")(keys=[keys.PREFIX], args=[MAX_HELD], client=pipe)
        pipe.zrange(keys.HANDLERS, int((now - ANNOUNCED) * 1000), "+inf", byscore=True)
        pipe.smembers(keys.PAUSED)
        pipe.zrange(keys.FAILED, 0, 0, withscores=True)
        pipe.zrange(keys.QUARANTINE, 0, 0, withscores=True)
        pipe.zcount(keys.UNROUTED_DECISIONS, int((now - DAY) * 1000), "+inf")
        pipe.hget(keys.COUNTERS, "repaired")
        pipe.get(keys.ROUTE_WARNINGS)
        pipe.info()
        pipe.config_get(*CHECKED_SETTINGS)
        recent_counts.queue_read(pipe, now)
        replies = pipe.execute(raise_on_error=False)
    *figures, info, config = replies[: -recent_counts.SLOTS]
    slots = replies[-recent_counts.SLOTS :]
    _raise_errors([*figures, *slots])
    latest, events, clock, web, held, handlers, paused, failed, quarantined, unrouted, repaired, warnings = figures
    return AlarmFigures(
        now=now,
        recent=recent_counts.total(slots),
        latest={name.decode(errors="replace"): int(at) / 1000 for name, at in latest.items()},
        latest_events={name.decode(errors="replace"): key.decode(errors="replace") for name, key in events.items()},
        has_clock=clock == 1,
        has_web=web == 1,
        held={name.decode(errors="replace"): count for name, count in zip(held[::2], held[1::2], strict=True)},
        handlers=frozenset(name.decode(errors="replace") for name in handlers),
        paused=frozenset(name.decode(errors="replace") for name in paused),
        failed_since=failed[0][1] / 1000 if failed else None,
        quarantined_since=quarantined[0][1] / 1000 if quarantined else None,
        unrouted_decisions=unrouted,
        repaired=int(repaired or 0),
        route_warnings=_decode_warnings(warnings) if warnings else (),
        info=_allowed(info),
        config={_text(name): _text(value) for name, value in _allowed(config).items()},
    )


async def publish_route_warnings(redis: AsyncRedis, sentences: Iterable[str]) -> None:
    """Replace the warnings about routes; called when a drain begins."""
    warnings = list(sentences)
    if warnings:
        await redis.set(keys.ROUTE_WARNINGS, msgspec.json.encode(warnings), ex=WARNINGS_LIFE)
    else:
        await redis.delete(keys.ROUTE_WARNINGS)


def _raise_errors(replies: Iterable[object]) -> None:
    for reply in replies:
        if isinstance(reply, Exception):
            raise reply


def _allowed(reply: Any) -> Mapping[Any, Any]:
    """The reply; empty if a managed server forbids INFO or CONFIG."""
    if isinstance(reply, ResponseError):
        return {}
    _raise_errors([reply])
    return cast("Mapping[Any, Any]", reply)


def _text(value: str | bytes) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else value
