"""Builders of tracked requests and their events, for tests of commands."""

import re
from collections.abc import Callable
from typing import Any

from click.testing import Result
from redis import Redis

from tests.builders import delivery, payload
from workers.inbox import keys
from workers.inbox.scripts import script
from workers.inbox.store import pack

RETENTION = 86_400
Run = Callable[..., Result]


def accept(redis: Redis, request_id: str, **more: Any) -> str:
    """A completed request's callback, as the receiver does; answers the event's key."""
    body = payload(request_id=request_id, **more)
    script(redis, "store/accept")(
        keys=[keys.PREFIX], args=[RETENTION, keys.LONGEST_REQUEST + RETENTION, pack([delivery(body)])]
    )
    return f"request.completed:{request_id}"


def overrule(redis: Redis, key: str, *, at: float, by: str = "open") -> None:
    """As a reconcile run leaves it."""
    redis.hset(keys.event(key), "overruled", by)
    redis.zadd(keys.OVERRULED, {key: at * 1000})


def await_confirmation(redis: Redis, request_id: str, key: str, *handlers: str, at: float) -> None:
    """As a drain leaves it."""
    redis.zadd(keys.UNCONFIRMED, {f"{handler}|{key}": at * 1000 for handler in handlers})
    redis.sadd(keys.unconfirmed(request_id), key)
    redis.zadd(keys.CHECKS, {request_id: at * 1000})


def counts(output: str) -> dict[str, int]:
    """The labels and counts of the fields that have a count."""
    return {
        label: int(count.replace(",", ""))
        for label, count in re.findall(r"^(\S.*?)  +([\d,]+)(?:  .*)?$", output, re.MULTILINE)
    }
