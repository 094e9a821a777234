"""`InboxHitl`: the calls of `hitlsh.AsyncHitl` for a process that reaches Redis, without a web process in between."""

import asyncio
import time
from contextlib import suppress
from types import TracebackType
from typing import Self

from redis.asyncio import Redis as AsyncRedis
from redis.exceptions import RedisError

from hitlsh.api.errors import ArgumentInvalid, BudgetExhausted, RateLimited
from hitlsh.api.questions.new_question import NewQuestion
from hitlsh.asking.ask_errors import AskRefused, AskUnknown, FieldProblem, QuestionInvalid
from hitlsh.asking.asked_request import AskedRequest
from hitlsh.asking_client.async_asking import AsyncAsking
from hitlsh.asking_client.client_errors import StillOpen
from hitlsh.events import Trust
from workers.asking.asking_service import AskingService
from workers.asking.check_times import next_check
from workers.asking.question_changes import RECHECK_SECONDS, ChangeListener
from workers.inbox.group_commit import GroupCommit
from workers.inbox.questions.question_store import QuestionUnreadable
from workers.inbox.questions.question_waits import QuestionWaits
from workers.settings import Settings
from workers.trust import LEVELS

#: Seconds until a wait tries Redis again.
_RETRY_SECONDS = 1.0
#: Reads that may wait for a batch, and reads of single requests at once: each takes a connection.
_MAX_READS, _SINGLE_READS = 100_000, 8


class InboxHitl(AsyncAsking):
    """Asks people and waits for their answers beside Redis. Tasks may share it; use it in an ``async with`` block.

    Its calls are those of `hitlsh.AsyncHitl`, with the same outcomes and errors; a refusal of HITL.sh is raised as
    `hitlsh.api.ApiError`. Waiting makes no call to HITL.sh, and any number of waits costs one subscription. A clock and
    a worker do the rest, as for `AskingService`. Raises `CannotAsk` without a setting.
    """

    def __init__(self, settings: Settings, redis: AsyncRedis, *, recheck_seconds: float = RECHECK_SECONDS) -> None:
        """`recheck_seconds`: the longest time by which a lost message delays an answer."""
        self._service = AskingService(settings, redis)
        self._waits = QuestionWaits(redis)
        self._reads: GroupCommit[str, AskedRequest | QuestionUnreadable | None] = GroupCommit(
            self._read_many, max_waiting=_MAX_READS
        )
        self._slots = asyncio.Semaphore(_SINGLE_READS)
        self._listener = ChangeListener(self._service, recheck_seconds=recheck_seconds)

    async def close(self) -> None:
        """End the subscription and the connections to HITL.sh; the Redis client stays open."""
        await self._listener.close()
        await self._reads.close()
        await self._service.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def _submit(self, question: NewQuestion) -> AskedRequest:
        try:
            return (await self._service.submit(question)).request
        except ArgumentInvalid as error:
            raise QuestionInvalid([FieldProblem(field=error.field or "", problem=error.problem)]) from error
        except (BudgetExhausted, RateLimited) as error:
            raise AskRefused("no call to HITL.sh is left", error.reset_at) from error

    async def _wait(self, request_id: str, *, seconds: float | None, trust: Trust | None) -> AskedRequest:
        deadline = float("inf") if seconds is None else time.monotonic() + seconds
        request = await self._get(request_id, trust=trust)
        with self._listener.listening(request.id) as changed:
            # Read after the registration: changes from now on set the event.
            changed.set()
            check_at = next_check(request, time.time())
            while True:
                await _wait_for(changed, min(deadline - time.monotonic(), check_at - time.time()))
                changed.clear()
                is_over = time.monotonic() >= deadline
                try:
                    request = await self._get(request.id, trust=trust)
                    if request.outcome is None and time.time() >= check_at:
                        await self._expedite_check(request)
                except RedisError:
                    if is_over:
                        raise
                    await asyncio.sleep(_RETRY_SECONDS)
                    changed.set()
                    continue
                if request.outcome is not None:
                    return request
                if is_over:
                    raise StillOpen(request)
                check_at = next_check(request, time.time())

    async def _expedite_check(self, request: AskedRequest) -> None:
        """Schedule a check at HITL.sh soon, because the webhook may be lost."""
        if request.status == "open" and request.request_id is not None:
            await self._waits.expedite_checks([request.request_id])

    async def _get(self, request_id: str, *, trust: Trust | None) -> AskedRequest:
        trust = trust or "callback"
        request = await self._reads.submit(request_id) if request_id.startswith("ask_") else None
        if isinstance(request, QuestionUnreadable):
            raise request
        outcome = None if request is None else request.outcome
        if request is None or (outcome is not None and LEVELS[outcome.trust] < LEVELS[trust]):
            async with self._slots:
                request = await self._service.get(request_id, trust=trust)
        if request is None:
            raise AskUnknown(request_id)
        return request

    async def _read_many(self, request_ids: list[str]) -> list[AskedRequest | QuestionUnreadable | None]:
        requests = await self._service.get_many(list(dict.fromkeys(request_ids)))
        return [requests.get(request_id) for request_id in request_ids]

    async def _cancel(self, request_id: str) -> AskedRequest:
        return await self._service.cancel(request_id)

    async def _list_open(self, limit: int) -> list[AskedRequest]:
        return await self._service.list_open(limit=limit)


async def _wait_for(changed: asyncio.Event, seconds: float) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(None if seconds == float("inf") else max(0.0, seconds)):
            await changed.wait()
