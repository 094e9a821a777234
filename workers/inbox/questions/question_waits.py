"""Redis commands for processes that wait for the answer to a question."""

from collections.abc import Collection, Sequence
from typing import cast

from redis.asyncio import Redis as AsyncRedis

from workers.inbox import keys, scripts

#: Minimum seconds between two checks of one request that waiting processes cause.
_PAUSE = 60


class QuestionWaits:
    """Reads versions of questions, and expedites checks of their requests."""

    def __init__(self, redis: AsyncRedis) -> None:
        self._redis = redis
        self._expedite = scripts.async_script(redis, "questions/check_soon")

    async def read_versions(self, question_ids: Sequence[str]) -> list[int]:
        """The version of each question, in one round trip; 0 if it does not exist."""
        async with self._redis.pipeline(transaction=False) as pipe:
            for question_id in question_ids:
                pipe.hget(keys.question(question_id), "version")
            return [int(version or 0) for version in cast("list[bytes | None]", await pipe.execute())]

    async def expedite_checks(self, request_ids: Collection[str]) -> int:
        """Have the next reconcile run check these requests; returns how many are checked sooner by that."""
        return cast("int", await self._expedite(keys=[keys.PREFIX], args=[_PAUSE, *request_ids]))
