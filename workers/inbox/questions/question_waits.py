"""What waiting for questions needs of Redis beyond the questions themselves."""

from collections.abc import Collection, Sequence
from typing import cast

from redis.asyncio import Redis as AsyncRedis

from workers.inbox import keys, scripts

#: Seconds between two checks of one request that waits bring forward.
_PAUSE = 60


class QuestionWaits:
    """The versions of questions, and the checks of their requests."""

    def __init__(self, redis: AsyncRedis) -> None:
        self._redis = redis
        self._expedite = scripts.async_script(redis, "questions/expedite_checks")

    async def read_versions(self, question_ids: Sequence[str]) -> list[int]:
        """The version of each, in one round trip; 0 where it is not kept."""
        async with self._redis.pipeline(transaction=False) as pipe:
            for question_id in question_ids:
                pipe.hget(keys.question(question_id), "version")
            return [int(version or 0) for version in cast("list[bytes | None]", await pipe.execute())]

    async def expedite_checks(self, request_ids: Collection[str]) -> int:
        """Have these requests of HITL.sh checked by the next reconcile run; returns for how many that is sooner."""
        return cast("int", await self._expedite(keys=[keys.PREFIX], args=[_PAUSE, *request_ids]))
