"""Asks each question once, and returns its outcome. For asyncio.

A question is recorded before HITL.sh is called (*intent*), then the request is created, then it is bound to the
question. A process that dies in between leaves an unfinished intent. It is repaired once no call of that process can
still be in flight: by `AskingService.run_due`, which reconcile runs call, or by the next `submit` with its key.
"""

import hashlib
import logging
import secrets
import time
from base64 import urlsafe_b64encode
from collections.abc import Sequence
from datetime import UTC, datetime
from types import TracebackType
from typing import Self

import msgspec
from redis.asyncio import Redis as AsyncRedis
from redis.exceptions import RedisError

from hitlsh.api import AsyncClient, RetryPolicy
from hitlsh.api.questions.new_question import NewQuestion, differing_fields
from hitlsh.asking.ask_errors import AskRefused, AskUnknown, KeyConflict, QuestionInvalid
from hitlsh.asking.ask_outcomes import Lost
from hitlsh.asking.asked_request import AskedRequest
from hitlsh.callbacks import CallbackSigner
from hitlsh.events import Trust
from hitlsh.trace_context import current_traceparent
from workers.asking.question_lifecycle import HEAD_START, LEASE, QuestionLifecycle
from workers.asking.question_reader import QuestionReader
from workers.asking.request_creation import AskLater, AskRejected, RequestCreator
from workers.errors import CannotAsk
from workers.inbox.budget.redis_budget import AsyncRedisBudget
from workers.inbox.questions.question_records import QuestionRecord, QuestionStep, StoredQuestion
from workers.inbox.questions.question_store import QuestionChanges, QuestionStore, QuestionUnreadable, QueueFull
from workers.inbox.tracker.api_keys import api_key_hash
from workers.reconcile.snapshot import rules
from workers.settings import Settings

logger = logging.getLogger("hitl.asking")

#: Questions that may wait for calls at a time.
QUEUE_LIMIT = 1_000
#: Seconds that one call to HITL.sh may take.
CALL_TIMEOUT = 20.0
#: Seconds after such a call until an unfinished intent is repaired.
REPAIR_MARGIN = 40.0
#: Seconds for which a process that cannot ask leaves due questions to others.
_UNABLE = 60.0
_NO_RETRY = RetryPolicy(attempts=1, max_wait=0.0)
_ONE_RETRY = RetryPolicy(attempts=2, max_wait=1.0)


class Submission(msgspec.Struct, frozen=True, kw_only=True):
    """The result of `AskingService.submit`."""

    request: AskedRequest
    #: False if the same question was asked before with the same key.
    is_new: bool


class AskingService:
    """Asks questions. Any number of services, on any hosts, share one inbox. Close it, or use ``async with``."""

    def __init__(
        self,
        settings: Settings,
        redis: AsyncRedis,
        *,
        queue_limit: int = QUEUE_LIMIT,
        call_timeout: float = CALL_TIMEOUT,
        repair_margin: float = REPAIR_MARGIN,
        submits: bool = True,
    ) -> None:
        """`call_timeout`, `repair_margin`: seconds, equal in all processes. Raises `CannotAsk` without a setting.

        `submits`: False if it only continues questions of other processes, which needs no HITL_PUBLIC_URL.
        """
        key, signer, self._public_url = _required_settings(settings, submits=submits)
        self._key_hash = api_key_hash(key)
        self._earlier_key_hashes = [api_key_hash(each) for each in settings.api_keys if each != key]
        self._store = QuestionStore(redis, retention=settings.retention, queue_limit=queue_limit)
        self._reader = QuestionReader(self._store)

        def client(key: str, retries: RetryPolicy) -> AsyncClient:
            budget = AsyncRedisBudget(redis, key, rules=rules(settings), purpose="asking")
            return AsyncClient(key, base_url=settings.base_url, timeout=call_timeout, retries=retries, budget=budget)

        creating = client(key, _NO_RETRY)
        readers = {api_key_hash(each): client(each, _ONE_RETRY) for each in settings.api_keys}
        self._clients = (creating, *readers.values())
        self._creator = RequestCreator(creating, readers, signer, self._store)
        self._lifecycle = QuestionLifecycle(
            redis,
            self._store,
            self._reader,
            self._creator,
            retention=settings.retention,
            key_hash=self._key_hash,
            repair_after=call_timeout + repair_margin,
        )

    async def close(self) -> None:
        """Close the connections to HITL.sh; the Redis client stays open."""
        for client in self._clients:
            await client.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    # -- asking -------------------------------------------------------------------------------------------

    async def submit(self, question: NewQuestion) -> Submission:
        """Ask a question, unless it was asked with this key.

        Raises `QuestionInvalid`, `KeyConflict` (the key belongs to another question), `AskRefused` (no call is left,
        and the question shall not wait or too many do) and `ApiError` (HITL.sh refuses it): then nothing was asked.
        When the task is cancelled meanwhile, the question stays, and is asked.
        """
        question.check()
        stored, is_new = await self._record(question)
        if is_new:
            stored = await self._ask_now(stored)
        elif await self._store.claim(lease=LEASE, question_id=stored.record.id):
            await self._lifecycle.process(stored.record.id)
            stored = await self._store.read(stored.record.id) or stored
        return Submission(request=await self._reader.show(stored), is_new=is_new)

    async def get(self, request_id: str, *, trust: Trust = "callback") -> AskedRequest | None:
        """The asked request with this id, ours or HITL.sh's; None where there is none, or it is no longer kept.

        `trust`: the least that its outcome must have, where that is more than was demanded when it was asked. Until it
        has that, the outcome is not shown, and HITL.sh is asked to confirm it.
        """
        return await self._reader.get(request_id, trust=trust)

    async def get_many(self, request_ids: Sequence[str]) -> dict[str, AskedRequest | QuestionUnreadable]:
        """The stored requests with these ids of ours; three round trips for any number.

        A record that this version cannot read, as in a rolling deploy, does not affect the others.
        """
        return await self._reader.get_many(request_ids)

    async def list_open(self, *, limit: int = 50, after: str | None = None) -> list[AskedRequest]:
        """Requests without an outcome, the oldest first; `after`: the last id of the previous page."""
        return await self._reader.list_open(limit=limit, after=after)

    async def cancel(self, request_id: str) -> AskedRequest:
        """Cancel a request that has no outcome.

        One that HITL.sh may not have yet is cancelled as soon as that is known. Raises `AskUnknown`, `CannotCancel` and
        `ApiError`.
        """
        stored = await self._reader.find(request_id)
        if stored is None:
            raise AskUnknown(request_id)
        return await self._reader.show(await self._lifecycle.cancel(stored))

    async def subscribe(self) -> QuestionChanges:
        """Receive the ids of requests that change from now on; the connection is the Redis client's."""
        return await self._store.subscribe()

    async def count_queued(self) -> int:
        """How many questions wait for calls to HITL.sh."""
        return await self._store.count_queued()

    async def run_due(self, *, seconds: float = 10.0) -> int:
        """Process due questions: ask queued ones, repair unfinished intents, and ask the next loop after a timeout.

        Begins none after `seconds`; returns how many it processed. Safe to run in several processes.
        """
        ends_at, count = time.monotonic() + seconds, 0
        while time.monotonic() < ends_at:
            claimed = await self._store.claim(lease=LEASE, limit=1)
            if not claimed:
                break
            try:
                await self._lifecycle.process(claimed[0])
            except (RedisError, TimeoutError):
                raise
            except Exception:  # one question must not keep others from being asked
                logger.exception("ask.failed id=%s: it is retried", claimed[0])
                await self._store.schedule(claimed[0], LEASE)
            count += 1
        return count

    # -- a new question ------------------------------------------------------------------------------------

    async def _record(self, question: NewQuestion) -> tuple[StoredQuestion, bool]:
        """The question as it is recorded, and whether it is new; raises `KeyConflict`."""
        record = QuestionRecord(
            id=await self._id(question.key),
            question=question,
            created_at=time.time(),
            public_url=self._public_url,
            traceparent=current_traceparent(),
            steps=tuple(QuestionStep(loop=loop, timeout_seconds=timeout) for loop, timeout in question.steps),
        )
        while True:
            existing = await self._store.read(record.id)
            if existing is not None:
                if fields := differing_fields(existing.record.question, question):
                    raise KeyConflict(question.key or "", fields, record.id)
                is_open = existing.record.ended is None and existing.record.is_unasked
                # The process that recorded it deletes it if it cannot be asked, unless another one has its id.
                if is_open and not await self._store.join(record.id, question.when_limited):
                    continue
                if not existing.record.is_rejected:
                    return existing, False
            revision = 0 if existing is None else existing.revision
            saved = await self._store.save(record, revision, due_in=HEAD_START, is_anew=existing is not None)
            if saved is not None:
                return saved, True

    async def _id(self, key: str | None) -> str:
        """The id of a question; derived from its key, so that processes that ask at once use the same id.

        A question that was asked with an earlier API key keeps its id.
        """
        if key is None:
            return f"ask_{secrets.token_urlsafe(16)}"
        for key_hash in self._earlier_key_hashes:
            earlier = await self._store.read(_derived_id(key_hash, key))
            if earlier is not None and not earlier.record.is_rejected:
                return earlier.record.id
        return _derived_id(self._key_hash, key)

    async def _ask_now(self, stored: StoredQuestion) -> StoredQuestion:
        """Ask a new question; delete it and raise if it cannot be asked and may not wait."""
        try:
            stored, failure = await self._lifecycle.attempt(stored)
        except QuestionInvalid as error:
            await self._give_up(stored, str(error))
            raise
        if isinstance(failure, AskRejected):
            await self._give_up(stored, f"HITL.sh refused the question: {failure.error}")
            raise failure.error
        if not isinstance(failure, AskLater):
            return stored
        retry_at = None if failure.retry_at is None else datetime.fromtimestamp(failure.retry_at, UTC)
        shall_wait = stored.record.question.when_limited == "queue"
        if not shall_wait and await self._store.drop(stored) != "queue":
            await self._give_up(stored, failure.reason)
            raise AskRefused(failure.reason, retry_at)
        try:
            return await self._lifecycle.postpone(stored, failure)
        except QueueFull:
            reason = "too many questions wait for calls to HITL.sh"
            await self._give_up(stored, reason)
            raise AskRefused(reason, retry_at) from None

    async def _give_up(self, stored: StoredQuestion, reason: str) -> None:
        """Delete a question that cannot be asked; it ends as `Lost` if others have submitted it meanwhile."""
        if await self._store.drop(stored) is not None:
            await self._lifecycle.end(stored, Lost(reason=reason))


def _derived_id(key_hash: str, key: str) -> str:
    """The id of the question that is asked with this API key and idempotency key."""
    digest = hashlib.sha256(f"{key_hash} {key}".encode()).digest()
    return f"ask_{urlsafe_b64encode(digest[:16]).decode().rstrip('=')}"


def _required_settings(settings: Settings, *, submits: bool) -> tuple[str, CallbackSigner, str]:
    """API key, signer and public URL; raises `CannotAsk` if one is not set."""
    if settings.api_key is None:
        raise CannotAsk("HITL_API_KEY is not set: set it to the API key of your HITL.sh account.")
    if not settings.callback_secrets:
        raise CannotAsk(
            "HITL_CALLBACK_SECRETS is not set, so no callback URL can be signed: set it as at the receiver."
        )
    if settings.public_url is None and submits:
        raise CannotAsk("HITL_PUBLIC_URL is not set: write the address under which HITL.sh reaches the receiver.")
    return settings.api_key, CallbackSigner(settings.callback_secrets), settings.public_url or ""


async def run_due_questions(settings: Settings, redis: AsyncRedis, *, seconds: float) -> int:
    """`AskingService.run_due` as the first part of a reconcile run; returns how many questions were processed."""
    try:
        service = AskingService(settings, redis, submits=False)
    except CannotAsk as error:
        store = QuestionStore(redis, retention=settings.retention, queue_limit=QUEUE_LIMIT)
        if await store.claim(lease=_UNABLE, limit=QUEUE_LIMIT):
            logger.warning("ask.off: questions wait for this process, which cannot ask: %s", error)
        return 0
    async with service:
        return await service.run_due(seconds=seconds)
