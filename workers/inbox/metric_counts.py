"""Metric counts of all processes, added up: one hash, never reset, as Prometheus expects of a counter."""

from collections.abc import Mapping
from typing import cast

from redis import Redis
from redis.asyncio.client import Pipeline as AsyncPipeline

from workers.inbox import keys


def add(pipe: AsyncPipeline, increments: Mapping[str, int]) -> None:
    """Add to the counts as part of a pipeline."""
    for field, increment in increments.items():
        pipe.hincrby(keys.METRICS, field, increment)


def read(redis: Redis) -> dict[str, int]:
    """Every field that was ever added to."""
    counts = cast("dict[bytes, bytes]", redis.hgetall(keys.METRICS))
    return {field.decode(errors="replace"): int(count) for field, count in counts.items()}
