"""Counts of the request tracker, read without loading its requests."""

from typing import Any, cast

import msgspec
from redis import Redis

from workers.inbox import inbox_clock, keys, scripts
from workers.inbox.tracker import api_keys, reconcile_state
from workers.inbox.tracker.api_keys import KeyIndexes

#: Seconds.
RECENTLY = 24 * 3600


class TrackedCounts(msgspec.Struct, frozen=True, kw_only=True):
    """Counts over all API keys. Times are seconds since 1970, by the inbox clock."""

    now: float
    #: Requests without an outcome, the id of the oldest, and when it was created.
    open: int
    oldest: str | None
    oldest_at: float | None
    #: Open requests of API keys that are no longer polled: their outcome cannot be read.
    unreachable: int
    #: Requests whose delivered outcome waits for confirmation.
    awaiting_confirmation: int
    #: Effects that wait for stronger evidence.
    unconfirmed: int
    lost: int
    #: Outcomes that stronger evidence overruled: all that are kept, and those of the last 24 hours.
    overruled: int
    recently_overruled: int
    #: When the next check is due, not before the end of the pause after an error.
    next_check: float | None


def counts(redis: Redis) -> TrackedCounts:
    """A few round trips, two more for each API key."""
    now = inbox_clock.now(redis)
    used_keys = api_keys.read(redis)
    polled = [_of_key(redis, indexes) for indexes in used_keys.polled]
    retired = [_of_key(redis, indexes) for indexes in used_keys.retired]
    oldest = min((each for each in polled if each.oldest is not None), key=_created, default=None)
    with redis.pipeline(transaction=False) as pipe:
        pipe.zcard(keys.UNCONFIRMED)
        pipe.zcard(keys.LOST)
        pipe.zcard(keys.OVERRULED)
        pipe.zcount(keys.OVERRULED, int((now - RECENTLY) * 1000), "+inf")
        unconfirmed, lost, overruled, recently_overruled = pipe.execute()
    return TrackedCounts(
        now=now,
        open=sum(each.open for each in polled),
        oldest=None if oldest is None else oldest.oldest,
        oldest_at=None if oldest is None else oldest.oldest_at,
        unreachable=sum(each.open for each in retired),
        awaiting_confirmation=sum(each.awaiting for each in polled),
        unconfirmed=unconfirmed,
        lost=lost,
        overruled=overruled,
        recently_overruled=recently_overruled,
        next_check=min((each.next_check for each in polled if each.next_check is not None), default=None),
    )


class _Counts(msgspec.Struct, frozen=True, kw_only=True):
    """Of one API key."""

    open: int
    awaiting: int
    oldest: str | None
    oldest_at: float
    next_check: float | None


def _of_key(redis: Redis, indexes: KeyIndexes) -> _Counts:
    with redis.pipeline(transaction=False) as pipe:
        pipe.zrange(indexes.checks, 0, 0, withscores=True)
        reconcile_state.queue_times(pipe, indexes)
        first, times = pipe.execute()
    script = scripts.script(redis, "tracker/count_open_requests")
    open_count, awaiting, oldest, created = cast("list[Any]", script(keys=[keys.PREFIX], args=[indexes.suffix]))
    return _Counts(
        open=open_count,
        awaiting=awaiting,
        oldest=oldest.decode() or None,
        oldest_at=float(created),
        next_check=max(first[0][1] / 1000, reconcile_state.times(times).rests_until) if first else None,
    )


def _created(counts: _Counts) -> float:
    return counts.oldest_at
