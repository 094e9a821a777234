"""Scans an index (a sorted set by time) a chunk at a time, while others add to it and remove from it."""

import math
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Self, cast

import msgspec
from redis import Redis

from workers.errors import WorkersError
from workers.inbox import inbox_clock

#: Members read at a time.
CHUNK = 100


class CursorInvalid(WorkersError):
    """The cursor of a page is malformed."""


class Position(msgspec.Struct, frozen=True):
    """One member of an index and its score, in milliseconds since 1970."""

    member: str
    score: float

    @property
    def at(self) -> datetime:
        """The score as a time."""
        return datetime.fromtimestamp(self.score / 1000, UTC)

    @classmethod
    def of(cls, cursor: str | None) -> Self | None:
        """The position that a cursor names. Raises `CursorInvalid`."""
        if cursor is None:
            return None
        score, _, member = cursor.partition("@")
        try:
            at = float(score)
        except ValueError:
            at = math.nan
        if not member or not math.isfinite(at):
            raise CursorInvalid(
                f"{cursor!r} is not a cursor: pass the cursor of the previous page, or none for the first"
            )
        return cls(member, at)

    def __str__(self) -> str:
        return f"{self.score}@{self.member}"


def scan(
    redis: Redis,
    index: str,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    after: Position | None = None,
    oldest_first: bool = False,
    chunk: int = CHUNK,
) -> Iterator[list[Position]]:
    """The members from `since` to before `until`, newest first by default, a chunk at a time.

    Members that are added meanwhile at the far end are included, and a removal skips no other member: each chunk begins
    after the last member of the previous chunk, or where that member was.
    """
    lowest = -math.inf if since is None else _milliseconds(since)
    highest = math.inf if until is None else _milliseconds(until)
    while True:
        begin = _first(redis, index, lowest, highest, oldest_first)
        if after is not None:
            begin = max(begin, _after(redis, index, after, oldest_first))
        positions = _chunk(redis, index, begin, chunk, oldest_first)
        within = [position for position in positions if lowest <= position.score < highest]
        if within:
            yield within
        if len(within) < len(positions) or not positions:
            return
        after = positions[-1]


def count(redis: Redis, index: str, *, since: datetime | None = None, until: datetime | None = None) -> int:
    """Count the members of an index from `since` to before `until`."""
    lowest = "-inf" if since is None else _milliseconds(since)
    highest = "+inf" if until is None else f"({_milliseconds(until)}"
    return redis.zcount(index, lowest, highest)


def until_now(redis: Redis, until: datetime | None) -> datetime:
    """`until`, but not later than the inbox clock, so that a change does not process its own results."""
    now = datetime.fromtimestamp(inbox_clock.now(redis), UTC) + timedelta(milliseconds=1)
    return now if until is None else min(until, now)


def _chunk(redis: Redis, index: str, begin: int, count: int, oldest_first: bool) -> list[Position]:
    members = cast(
        "list[tuple[bytes, float]]",
        redis.zrange(index, begin, begin + count - 1, desc=not oldest_first, withscores=True),
    )
    return [Position(member.decode(), float(score)) for member, score in members]


def _first(redis: Redis, index: str, lowest: float, highest: float, oldest_first: bool) -> int:
    """The rank at which the range begins."""
    if oldest_first:
        return redis.zcount(index, "-inf", f"({lowest}")
    return 0 if math.isinf(highest) else redis.zcount(index, highest, "+inf")


def _after(redis: Redis, index: str, last: Position, oldest_first: bool) -> int:
    """The rank after the last position; if its member was removed, the first rank with its score."""
    rank = redis.zrank(index, last.member) if oldest_first else redis.zrevrank(index, last.member)
    if rank is not None and redis.zscore(index, last.member) == last.score:
        return cast("int", rank) + 1
    if oldest_first:
        return redis.zcount(index, "-inf", f"({last.score}")
    return redis.zcount(index, f"({last.score}", "+inf")


def _milliseconds(moment: datetime) -> int:
    return math.ceil(moment.timestamp() * 1000)
