"""Counts of what the inbox holds."""

from typing import cast

import msgspec
from redis import Redis

from workers.inbox import counters, keys


class InboxCounts(msgspec.Struct, frozen=True, kw_only=True):
    """How many of each kind the inbox holds."""

    #: Effects and events to route: due now or later, and leased to workers.
    due: int
    leased: int
    #: Dead letters, and effects whose handler is missing or paused.
    failed: int
    held: int
    quarantined: int
    #: Events that no route matched, and how many of them end a request.
    unrouted: int
    unrouted_decisions: int
    events: int
    #: Questions that wait for calls to HITL.sh.
    queued_questions: int
    #: Resident drains.
    drains: int
    #: Deliveries that were not kept because of a quota.
    over_quota: int
    #: Foreign jobs that were found in our queues and refused.
    jobs_refused: int


def read(redis: Redis) -> InboxCounts:
    """Read all counts in two round trips."""
    with redis.pipeline(transaction=False) as pipe:
        for index in (
            keys.DUE, keys.FAILED, keys.HELD, keys.QUARANTINE, keys.UNROUTED, keys.UNROUTED_DECISIONS, keys.EVENTS,
            keys.DRAINS, keys.QUESTIONS_QUEUED,
        ):  # fmt: skip
            pipe.zcard(index)
        pipe.hlen(keys.LEASES)
        sizes = cast("list[int]", pipe.execute())
    due, failed, held, quarantined, unrouted, decisions, events, drains, queued, leased = sizes
    counted = counters.read(redis)
    return InboxCounts(
        due=due,
        leased=leased,
        failed=failed,
        held=held,
        quarantined=quarantined,
        unrouted=unrouted,
        unrouted_decisions=decisions,
        events=events,
        queued_questions=queued,
        drains=drains,
        over_quota=counted.get(counters.OVER_QUOTA, 0),
        jobs_refused=counted.get(counters.JOBS_REFUSED, 0),
    )
