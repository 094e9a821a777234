"""Recent counts of deliveries by reason, in time slots of five minutes that expire."""

from collections.abc import Mapping

from redis.asyncio import Redis as AsyncRedis
from redis.client import Pipeline

from workers.inbox import keys, scripts

#: Seconds of a slot.
SLOT = 300
#: The number of slots that count as recent, including the current one.
SLOTS = 3
#: Seconds after which a slot expires.
SLOT_LIFE = 3_600
#: The length of the recent slots as text; approximate, because the current slot is not over.
RECENTLY = "the last 15 min"


async def add(redis: AsyncRedis, counts: Mapping[str, int]) -> None:
    """Add counts by reason, and record when each last occurred; works while Redis is full."""
    if counts:
        arguments = [item for pair in counts.items() for item in pair]
        await scripts.async_script(redis, "alarms/count_recent")(keys=[keys.PREFIX], args=[SLOT, SLOT_LIFE, *arguments])


def queue_read(pipe: Pipeline, now: float) -> None:
    """Queue the reads of the recent slots; `total` adds up their `SLOTS` replies. `now`: the inbox clock."""
    latest = int(now) // SLOT
    for number in range(latest - SLOTS + 1, latest + 1):
        pipe.hgetall(keys.recent(number))


def total(slots: list[dict[bytes, bytes]]) -> dict[str, int]:
    """Add up the counts of these slots."""
    counts: dict[str, int] = {}
    for slot in slots:
        for name, count in slot.items():
            reason = name.decode(errors="replace")
            counts[reason] = counts.get(reason, 0) + int(count)
    return counts
