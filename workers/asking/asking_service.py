"""Asks each question once, and returns its outcome. For asyncio.

A question is recorded before HITL.sh is called (*intent*), then the request is created, then it is bound to the
question. A process that dies in between leaves an unfinished intent. It is repaired once no call of that process can
still be in flight: by `AskingService.run_due`, which reconcile runs call, or by the next `submit` with its key.
"""

import hashlib
import logging
import secrets
import time
import warnings
from base64 import urlsafe_b64encode
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from types import TracebackType
from typing import Self

import msgspec
from redis.asyncio import Redis as AsyncRedis
from redis.exceptions import RedisError

from hitlsh.api import AsyncClient, RetryPolicy
from hitlsh.api.errors import ApiError, BadRequest
from hitlsh.api.questions.new_question import NewQuestion, differing_fields
from hitlsh.api.questions.request_body import DocumentedLimitWarning
from hitlsh.asking.ask_errors import AskRefused, AskUnknown, CannotCancel, KeyConflict, QuestionInvalid
from hitlsh.asking.ask_outcomes import Cancelled, Lost, TimedOut
from hitlsh.asking.asked_request import AskedRequest
from hitlsh.callbacks import CallbackSigner
from hitlsh.events import Trust
from hitlsh.trace_context import current_traceparent
from workers.asking.question_reader import QuestionReader
from workers.asking.question_view import current_outcome, trusted_outcome
from workers.asking.request_creation import AskLater, AskRejected, RequestCreator, failure_of, is_key_error
from workers.errors import CannotAsk
from workers.inbox.budget.redis_budget import AsyncRedisBudget
from workers.inbox.questions.question_records import QuestionRecord, QuestionStep, SearchPosition, StoredQuestion
from workers.inbox.questions.question_store import QuestionChanges, QuestionStore, QuestionUnreadable, QueueFull
from workers.inbox.tracker import tracked_requests
from workers.inbox.tracker.api_keys import api_key_hash
from workers.inbox.tracker.tracked_requests import NewRequest
from workers.reconcile.snapshot import rules
from workers.settings import Settings
from workers.trust import LEVELS

logger = logging.getLogger("hitl.asking")

#: Questions that may wait for calls at a time.
QUEUE_LIMIT = 1_000
#: Seconds that one call to HITL.sh may take.
CALL_TIMEOUT = 20.0
#: Seconds after such a call until an unfinished intent is repaired.
REPAIR_MARGIN = 40.0
#: Seconds during which only the process that recorded a question may call HITL.sh for it.
_HEAD_START = 10.0
#: Seconds of the lease on a due question.
_LEASE = 120.0
#: Seconds until HITL.sh is tried again after it could not be reached, doubled each time; and where it is not known when
#: calls return.
_BACKOFF, _LONGEST_BACKOFF = 15.0, 900.0
#: The factor by which the repair of an unfinished intent is delayed at most, relative to the first attempt.
_LONGEST_REPAIR = 16
#: Seconds by which a timeout may be delivered early.
_EARLY = 5.0
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
        self._redis = redis
        self._key_hash = api_key_hash(key)
        self._repair_after = call_timeout + repair_margin
        self._retention = settings.retention
        self._store = QuestionStore(redis, retention=settings.retention, queue_limit=queue_limit)
        self._reader = QuestionReader(self._store)

        def client(key: str, retries: RetryPolicy) -> AsyncClient:
            budget = AsyncRedisBudget(redis, key, rules=rules(settings), purpose="asking")
            return AsyncClient(key, base_url=settings.base_url, timeout=call_timeout, retries=retries, budget=budget)

        creating = client(key, _NO_RETRY)
        readers = {api_key_hash(each): client(each, _ONE_RETRY) for each in settings.api_keys}
        self._clients = (creating, *readers.values())
        self._creator = RequestCreator(creating, readers, signer, self._store)

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
        elif await self._store.claim(lease=_LEASE, question_id=stored.record.id):
            await self._process(stored.record.id)
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
        """Requests without an outcome, the oldest first; `after`: the last id of the page before."""
        return await self._reader.list_open(limit=limit, after=after)

    async def cancel(self, request_id: str) -> AskedRequest:
        """Cancel a request that has no outcome.

        One that HITL.sh may not have yet is cancelled as soon as that is known. Raises `AskUnknown`, `CannotCancel` and
        `ApiError`.
        """
        stored = await self._reader.find(request_id)
        if stored is None:
            raise AskUnknown(request_id)
        return await self._reader.show(await self._cancel(stored))

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
            claimed = await self._store.claim(lease=_LEASE, limit=1)
            if not claimed:
                break
            try:
                await self._process(claimed[0])
            except (RedisError, TimeoutError):
                raise
            except Exception:  # one question must not keep others from being asked
                logger.exception("ask.failed id=%s: it is retried", claimed[0])
                await self._store.schedule(claimed[0], _LEASE)
            count += 1
        return count

    # -- one question -------------------------------------------------------------------------------------

    async def _record(self, question: NewQuestion) -> tuple[StoredQuestion, bool]:
        """The question as it is recorded, and whether it is new; raises `KeyConflict`."""
        record = QuestionRecord(
            id=self._id(question.key),
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
            saved = await self._store.save(record, revision, due_in=_HEAD_START, is_anew=existing is not None)
            if saved is not None:
                return saved, True

    def _id(self, key: str | None) -> str:
        """The id of a question; derived from its key, so that processes that ask at once use the same id."""
        if key is None:
            return f"ask_{secrets.token_urlsafe(16)}"
        digest = hashlib.sha256(f"{self._key_hash} {key}".encode()).digest()
        return f"ask_{urlsafe_b64encode(digest[:16]).decode().rstrip('=')}"

    async def _ask_now(self, stored: StoredQuestion) -> StoredQuestion:
        """Ask a new question; delete it and raise if it cannot be asked and may not wait."""
        try:
            stored, failure = await self._attempt(stored)
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
            return await self._postpone(stored, failure)
        except QueueFull:
            reason = "too many questions wait for calls to HITL.sh"
            await self._give_up(stored, reason)
            raise AskRefused(reason, retry_at) from None

    async def _give_up(self, stored: StoredQuestion, reason: str) -> None:
        """Delete a question that cannot be asked; it ends as `Lost` if others have submitted it meanwhile."""
        if await self._store.drop(stored) is not None:
            await self._end(stored, Lost(reason=reason))

    async def _process(self, question_id: str) -> None:
        """Process a due question that this process has claimed."""
        stored = await self._store.read(question_id)
        if stored is None or stored.record.ended is not None:
            await self._store.schedule(question_id, None)
            return
        record = stored.record
        try:
            if record.step.request_id is not None:
                await self._follow(stored)
            elif record.is_unfinished:
                await self._repair(stored)
            else:
                await self._ask_later(stored)
        except ApiError as error:  # of a read: it is claimed until then, and tried again
            logger.warning("ask.postponed id=%s error=%s", question_id, type(error).__name__)
            await self._store.schedule(question_id, _pause(record))

    async def _ask_later(self, stored: StoredQuestion) -> None:
        """Ask a question in place of the process that submitted it: errors become its outcome."""
        if stored.record.wants_cancel:
            await self._end(stored, Cancelled(responded_at=datetime.now(UTC), trust="confirmed"))
            return
        try:
            stored, failure = await self._attempt(stored)
        except QuestionInvalid as error:
            await self._end(stored, Lost(reason=str(error)))
            return
        if isinstance(failure, AskRejected):
            if is_key_error(failure.error):
                failure = AskLater(reason="HITL.sh refuses the API key", blocks_all_questions=True)
            else:
                logger.error("ask.rejected id=%s error=%s", stored.record.id, type(failure.error).__name__)
                await self._end(stored, Lost(reason=f"HITL.sh refused the question: {failure.error}"))
                return
        if isinstance(failure, AskLater):
            # It has its place already, or is a later step of a question that was asked.
            try:
                await self._postpone(stored, failure)
            except QueueFull:
                await self._store.schedule(stored.record.id, _BACKOFF)

    async def _attempt(self, stored: StoredQuestion) -> tuple[StoredQuestion, AskLater | AskRejected | None]:
        """Create the request of the current step: intent, create, bind.

        Returns the question as it is then, and why HITL.sh has not been asked, if that is so. Raises `QuestionInvalid`
        for a loop that does not exist.
        """
        record = stored.record
        try:
            loop_id = await self._creator.find_loop(record.step.loop)
        except ApiError as error:
            failure = failure_of(error)
            later = failure if isinstance(failure, AskLater | AskRejected) else AskLater(reason="HITL.sh fails")
            return stored, later
        url, token_id = self._creator.mint(record)
        token_ids = (*record.step.token_ids, token_id)[-20:]
        intent = record.with_step(begun_at=time.time(), api_key=self._key_hash, token_ids=token_ids)
        # While HITL.sh fails, each attempt and each search for its request costs calls of the hour.
        repair_in = self._repair_after * min(2.0 ** len(record.step.token_ids), _LONGEST_REPAIR)
        begun = await self._store.save(intent.with_changes(retry_at=None), stored.revision, due_in=repair_in)
        if begun is None:  # another process asks it
            return await self._store.read(record.id) or stored, None
        try:
            created = await self._create(begun.record, loop_id, url)
        except ApiError as error:
            failure = failure_of(error)
            if not isinstance(failure, AskLater | AskRejected):
                logger.warning("ask.uncertain id=%s error=%s", record.id, type(error).__name__)
                return begun, None
            cleared = await self._store.save(begun.record.with_step(begun_at=None), begun.revision, due_in=_HEAD_START)
            return cleared or begun, failure
        return await self._bind(begun, created), None

    async def _create(self, record: QuestionRecord, loop_id: str, url: str) -> NewRequest:
        with warnings.catch_warnings():  # the sender of the question has nowhere to see them
            warnings.simplefilter("ignore", DocumentedLimitWarning)
            return await self._creator.create(record, loop_id, url)

    async def _bind(self, stored: StoredQuestion, created: NewRequest) -> StoredQuestion:
        """Bind the request of HITL.sh to the current step. Safe to repeat, in several processes."""
        number = stored.record.current
        while True:
            step = stored.record.steps[number]
            if step.request_id is not None:
                if step.request_id != created.request_id:
                    await self._withdraw(stored.record, created.request_id)
                return stored
            await tracked_requests.atrack(
                self._redis, created, retention=self._retention, key_hash=step.api_key or self._key_hash
            )
            bound = stored.record.with_step(
                request_id=created.request_id,
                begun_at=None,
                searched_to=None,
                asked_at=created.created_at,
                timeout_at=created.timeout_at,
            ).with_changes(retry_at=None, postponements=0)
            saved = await self._store.save(bound, stored.revision, due_in=0.0 if bound.wants_cancel else None)
            if saved is not None:
                return saved
            current = await self._store.read(stored.record.id)
            if current is None or current.record.current != number:
                return current or stored
            stored = current

    async def _withdraw(self, record: QuestionRecord, request_id: str) -> None:
        """Cancel a second request for one step: this process was suspended for longer than a call may take."""
        logger.error("ask.duplicate id=%s request=%s: it is cancelled", record.id, request_id)
        try:
            await self._creator.cancel(record, request_id)
        except ApiError as error:
            logger.warning("ask.duplicate_open id=%s error=%s", record.id, type(error).__name__)

    async def _repair(self, stored: StoredQuestion) -> None:
        """Find the request that an unfinished attempt created; ask again if there is none."""
        found = await self._creator.find_created(stored.record)
        if isinstance(found, SearchPosition):
            await self._store.save(stored.record.with_step(searched_to=found), stored.revision, due_in=0.0)
            return
        if found is not None:
            logger.info("ask.repaired id=%s request=%s", stored.record.id, found.request_id)
            bound = await self._bind(stored, found)
            if bound.record.wants_cancel:
                await self._follow(bound)
            return
        unasked = stored.record.with_step(begun_at=None, searched_to=None)
        cleared = await self._store.save(unasked, stored.revision, due_in=_HEAD_START)
        if cleared is not None:
            logger.info("ask.repeated id=%s: HITL.sh has no request of the attempt before", stored.record.id)
            await self._ask_later(cleared)

    async def _follow(self, stored: StoredQuestion) -> None:
        """Continue a question whose request exists at HITL.sh: cancel it, or ask the next loop."""
        record = stored.record
        evidence = await self._reader.evidence([record])
        outcome = current_outcome(record, evidence)
        if outcome is None and record.wants_cancel:
            with suppress(CannotCancel):
                await self._cancel(stored)
        if isinstance(outcome, TimedOut) and not record.is_last_step:
            await self._escalate(stored, outcome)
            return
        await self._store.schedule(record.id, None)

    async def _escalate(self, stored: StoredQuestion, outcome: TimedOut) -> None:
        """Ask the next loop once the timeout has enough trust: a forged one must not escalate the question."""
        record, step = stored.record, stored.record.step
        assert step.request_id is not None
        needs = _trust_of_timeout(record)
        if LEVELS[outcome.trust] < LEVELS[needs]:
            await self._store.demand_evidence(step.request_id, needs)
            # Whatever comes makes it due; should that be missed, it is looked at again.
            await self._store.schedule(record.id, _LEASE)
            return
        passed_on = record.with_step(outcome="timed_out").with_changes(current=record.current + 1)
        saved = await self._store.save(passed_on, stored.revision, due_in=_HEAD_START)
        if saved is not None:
            logger.info("ask.escalated id=%s step=%d", record.id, passed_on.current)
            await self._ask_later(saved)

    async def _cancel(self, stored: StoredQuestion) -> StoredQuestion:
        record = stored.record
        evidence = await self._reader.evidence([record])
        if trusted_outcome(record, evidence, record.question.trust) is not None:
            if record.ended is None and record.cancelled_at is None:
                raise CannotCancel(record.id, "it has ended")
            return stored
        if record.step.request_id is None:
            if record.is_unfinished:
                return await self._mark_unwanted(stored)
            return await self._end(stored, Cancelled(responded_at=datetime.now(UTC), trust="confirmed"))
        try:
            moment = await self._creator.cancel(record, record.step.request_id)
        except BadRequest as error:
            outcome = current_outcome(record, evidence)
            has_timed_out = isinstance(outcome, TimedOut) and LEVELS[outcome.trust] >= LEVELS[_trust_of_timeout(record)]
            if has_timed_out and not record.is_last_step:
                # The next loop is not asked.
                return await self._end(stored, Cancelled(responded_at=datetime.now(UTC), trust="confirmed"))
            raise CannotCancel(record.id, f"HITL.sh says: {error.msg}") from error
        saved = await self._update(
            record.id, lambda current: current.with_changes(cancelled_at=moment.timestamp(), wants_cancel=False)
        )
        return saved or stored

    async def _mark_unwanted(self, stored: StoredQuestion) -> StoredQuestion:
        """Mark it to be cancelled once it is known whether HITL.sh has it."""
        marked = await self._update(
            stored.record.id, lambda current: current.with_changes(wants_cancel=True), due_in=self._repair_after
        )
        return marked or stored

    async def _postpone(self, stored: StoredQuestion, failure: AskLater) -> StoredQuestion:
        """Queue the question until calls are possible; raises `QueueFull`."""
        now, record = time.time(), stored.record
        backoff = min(_LONGEST_BACKOFF, _BACKOFF * 2.0 ** min(record.postponements, 10))
        retry_at = failure.retry_at if failure.retry_at is not None and failure.retry_at > now else now + backoff
        if failure.blocks_all_questions:
            await self._store.postpone_queued(retry_at - now)
        waiting = record.with_changes(retry_at=retry_at, postponements=record.postponements + 1)
        saved = await self._store.save(waiting, stored.revision, due_in=retry_at - now)
        return saved or await self._store.read(record.id) or stored

    async def _end(self, stored: StoredQuestion, outcome: Cancelled | Lost) -> StoredQuestion:
        """End a question that has no request at HITL.sh."""
        ended = stored.record.with_changes(ended=outcome, retry_at=None)
        saved = await self._store.save(ended, stored.revision)
        return saved or await self._store.read(stored.record.id) or stored

    async def _update(
        self, question_id: str, change: Callable[[QuestionRecord], QuestionRecord], *, due_in: float | None = None
    ) -> StoredQuestion | None:
        """Apply and save a change, again if another process saves the question meanwhile."""
        while (current := await self._store.read(question_id)) is not None:
            saved = await self._store.save(change(current.record), current.revision, due_in=due_in)
            if saved is not None:
                return saved
        return None


def _trust_of_timeout(record: QuestionRecord) -> Trust:
    """The least trust of a timeout of the current step: before its time, a callback URL may have leaked."""
    timeout_at = record.step.timeout_at
    is_early = timeout_at is not None and time.time() < timeout_at - _EARLY
    return max(record.question.trust, "signed" if is_early else "callback", key=LEVELS.__getitem__)


def _pause(record: QuestionRecord) -> float:
    """Seconds until the next call for a question after a failed call: half of its age, within limits."""
    since = record.step.begun_at or record.step.asked_at or record.created_at
    return min(_LONGEST_BACKOFF, max(_BACKOFF, (time.time() - since) / 2))


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
