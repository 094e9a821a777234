"""The state of reconcile runs for each API key: when they may run, and what one run leaves to the next."""

from collections.abc import Mapping, Sequence
from typing import cast

import msgspec
from redis import Redis
from redis.client import Pipeline

from workers.inbox.tracker.api_keys import DISCOVERY, KeyIndexes

_TIMES = ("since", "rests_until", "limited_at")


class ReconcileRecord(msgspec.Struct, frozen=True, kw_only=True):
    """The state of one API key. Times are seconds since 1970, by the inbox clock."""

    #: What ended earlier is not delivered: the key was not in use yet.
    since: float = 0.0
    #: After an error of HITL.sh no call is made until then.
    rests_until: float = 0.0
    #: The latest answer of 429 to a reconcile run.
    limited_at: float | None = None
    #: What the latest run left to the next, as `workers.reconcile.state` encodes it. None before the first run, and
    #: where only the times were read.
    state: bytes | None = None


def read(redis: Redis, indexes: KeyIndexes) -> ReconcileRecord:
    """The whole record of an API key."""
    return _record(cast("dict[bytes, bytes]", redis.hgetall(indexes.state)))


def queue_times(pipe: Pipeline, indexes: KeyIndexes) -> None:
    """Have a pipeline read the times of an API key; give its answer to `times`."""
    pipe.hmget(indexes.state, _TIMES)


def times(values: Sequence[bytes | None]) -> ReconcileRecord:
    """The record from the answer to `queue_times`, without its state."""
    return _record({name.encode(): value for name, value in zip(_TIMES, values, strict=True) if value is not None})


def _record(fields: Mapping[bytes, bytes]) -> ReconcileRecord:
    return ReconcileRecord(
        since=float(fields.get(b"since", 0)),
        rests_until=float(fields.get(b"rests_until", 0)),
        limited_at=float(fields[b"limited_at"]) if b"limited_at" in fields else None,
        state=fields.get(b"state"),
    )


def has_due_check(redis: Redis, indexes: KeyIndexes, now: float) -> bool:
    """Whether something is worth a call with this API key at that moment (seconds since 1970)."""
    return redis.zcount(indexes.checks, "-inf", now * 1000) > 0


def record_rate_limit(redis: Redis, indexes: KeyIndexes, now: float) -> None:
    """Record that HITL.sh answered 429 to a reconcile run with this API key."""
    redis.hset(indexes.state, "limited_at", f"{now:.6f}")


def end_discovery(redis: Redis, indexes: KeyIndexes) -> None:
    """Schedule no more discovery with this API key."""
    redis.zrem(indexes.checks, DISCOVERY)
