"""How the ledger stands, in figures: quick, however many requests it holds."""

from typing import cast

import msgspec
from redis import Redis

from workers.inbox import inbox_clock, keys, scripts

LATELY = 24 * 3600


class LedgerCounts(msgspec.Struct, frozen=True, kw_only=True):
    """Times are seconds since 1970, by the inbox clock."""

    now: float
    #: Requests that have no outcome yet, and when the oldest of them was created.
    open: int
    oldest: str | None
    oldest_at: float | None
    #: Requests that have ended as we were told, and that wait to be confirmed.
    awaiting_proof: int
    #: Effects that wait for stronger evidence.
    unconfirmed: int
    lost: int
    #: Outcomes that stronger evidence overruled: all that are kept, and those of the last 24 hours.
    overruled: int
    overruled_lately: int
    #: When something is next worth a call to HITL.sh, which is left alone for a while after trouble.
    next_look: float | None


def counts(redis: Redis) -> LedgerCounts:
    """Three round trips."""
    now = inbox_clock.now(redis)
    with redis.pipeline(transaction=False) as pipe:
        pipe.zcard(keys.UNCONFIRMED)
        pipe.zcard(keys.LOST)
        pipe.zcard(keys.OVERRULED)
        pipe.zcount(keys.OVERRULED, int((now - LATELY) * 1000), "+inf")
        pipe.zrange(keys.CHECKS, 0, 0, withscores=True)
        pipe.hget(keys.SWEEP, "rests_until")
        unconfirmed, lost, overruled, lately, first, rests_until = pipe.execute()
    found = cast("list[int | bytes]", scripts.script(redis, "open_requests")(keys=[keys.PREFIX]))
    open_count, awaiting, oldest, created = found
    return LedgerCounts(
        now=now,
        open=cast("int", open_count),
        oldest=cast("bytes", oldest).decode() or None,
        oldest_at=float(created) if oldest else None,
        awaiting_proof=cast("int", awaiting),
        unconfirmed=unconfirmed,
        lost=lost,
        overruled=overruled,
        overruled_lately=lately,
        next_look=max(first[0][1] / 1000, float(rests_until or 0)) if first else None,
    )
