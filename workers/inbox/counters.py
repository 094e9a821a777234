"""Counters of deliveries by reason, refused jobs, repairs and 429 replies: one hash, never reset."""

from collections.abc import Mapping
from typing import cast

from redis import Redis
from redis.asyncio.client import Pipeline as AsyncPipeline
from redis.client import Pipeline

from workers.inbox import keys

#: Foreign jobs that were found in our queues and refused.
JOBS_REFUSED = "jobs_refused"
#: Replies of 429 to reconcile runs.
RATE_LIMITED = "api_429"
#: Deliveries that were not kept because of a quota.
OVER_QUOTA = "over_quota"
#: Outcomes that differ from the decision of their request and are no stronger, and events that a callback URL may not
#: report: counted where they are stored.
CONFLICTS = "conflicts"
MISUSES = "misuses"


def add(redis: Redis | Pipeline | AsyncPipeline, counts: Mapping[str, int]) -> None:
    """Add to these counters, at once or as part of a pipeline."""
    for name, count in counts.items():
        redis.hincrby(keys.COUNTERS, name, count)


def read(redis: Redis) -> dict[str, int]:
    """Every counter that was ever added to."""
    counts = cast("dict[bytes, bytes]", redis.hgetall(keys.COUNTERS))
    return {name.decode(): int(count) for name, count in counts.items()}
