"""Webhook health: the share of decisions that webhooks delivered, recently and by hour."""

from datetime import UTC, datetime
from typing import cast

import msgspec
from redis import Redis

from workers.inbox import inbox_clock, keys
from workers.inbox.values import WebhookHealth

HOUR = 3600
#: Hours over which the rate of decisions is measured; the current hour counts in part.
RECENT = 3


class Hour(msgspec.Struct, frozen=True, kw_only=True):
    """Decisions of one hour, by what delivered them first."""

    begins_at: datetime
    webhook: int = 0
    reconcile: int = 0
    #: Decisions found by a reconcile run whose webhook came later.
    overtaken: int = 0


def health(redis: Redis) -> tuple[WebhookHealth, int]:
    """Webhook health, and how many decisions reconcile runs found since the last webhook."""
    now = inbox_clock.now(redis)
    fields = cast("dict[bytes, bytes]", redis.hgetall(keys.WEBHOOK_HEALTH))
    recent = history(redis, RECENT)
    hours = (RECENT - 1) + (now % HOUR) / HOUR
    webhook_health = WebhookHealth(
        loss=float(fields.get(b"loss", 0)),
        ended_per_hour=sum(hour.webhook + hour.reconcile for hour in recent) / hours,
        last_webhook=float(fields[b"last_webhook"]) if b"last_webhook" in fields else None,
    )
    return webhook_health, int(fields.get(b"since_webhook", 0))


def last_webhook(redis: Redis) -> float | None:
    """When a webhook last delivered a decision, in seconds since 1970; None for never."""
    at = cast("bytes | None", redis.hget(keys.WEBHOOK_HEALTH, "last_webhook"))
    return None if at is None else float(at)


def history(redis: Redis, hours: int) -> list[Hour]:
    """The last `hours` hours, oldest first; kept for 31 days."""
    latest = int(inbox_clock.now(redis)) // HOUR
    numbers = range(latest - hours + 1, latest + 1)
    with redis.pipeline(transaction=False) as pipe:
        for number in numbers:
            pipe.hgetall(keys.webhook_health(number))
        replies = cast("list[dict[bytes, bytes]]", pipe.execute())
    return [_hour(number, fields) for number, fields in zip(numbers, replies, strict=True)]


def _hour(number: int, fields: dict[bytes, bytes]) -> Hour:
    counts = {name.decode(): int(count) for name, count in fields.items()}
    return Hour(begins_at=datetime.fromtimestamp(number * HOUR, UTC), **counts)
