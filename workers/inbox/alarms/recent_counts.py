"""What happened lately: counts of deliveries by reason, in slots of some minutes that expire by themselves."""

from collections.abc import Mapping

from redis.asyncio import Redis as AsyncRedis
from redis.client import Pipeline

from workers.inbox import keys, scripts

#: Seconds of a slot.
SLOT = 300
#: Slots that count as recent, the present one included.
SLOTS = 3
#: Seconds after which a slot expires.
SLOT_LIFE = 3_600
#: Words for how long that is; the present slot has just begun or is nearly over.
RECENTLY = "the last 15 min"


async def add(redis: AsyncRedis, counts: Mapping[str, int]) -> None:
    """Count these reasons, each also as the latest of its kind; also while Redis is full."""
    if counts:
        words = [word for pair in counts.items() for word in pair]
        await scripts.async_script(redis, "alarms/count_recent")(keys=[keys.PREFIX], args=[SLOT, SLOT_LIFE, *words])


def queue_read(pipe: Pipeline, now: float) -> None:
    """Have a pipeline read the recent slots; give its `SLOTS` answers to `total`. `now`: the inbox clock."""
    latest = int(now) // SLOT
    for number in range(latest - SLOTS + 1, latest + 1):
        pipe.hgetall(keys.recent(number))


def total(slots: list[dict[bytes, bytes]]) -> dict[str, int]:
    """The counts of all these slots."""
    counts: dict[str, int] = {}
    for slot in slots:
        for name, count in slot.items():
            reason = name.decode(errors="replace")
            counts[reason] = counts.get(reason, 0) + int(count)
    return counts
