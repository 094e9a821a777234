"""Takes one recorded question from its intent to its end: attempt, bind, repair, escalate, cancel."""

import logging
import time
import warnings
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime

from redis.asyncio import Redis as AsyncRedis

from hitlsh.api.errors import ApiError, BadRequest
from hitlsh.api.questions.request_body import DocumentedLimitWarning
from hitlsh.asking.ask_errors import CannotCancel, QuestionInvalid
from hitlsh.asking.ask_outcomes import Cancelled, Lost, TimedOut
from hitlsh.events import Trust
from workers.asking.question_reader import QuestionReader
from workers.asking.question_view import current_outcome, trusted_outcome
from workers.asking.request_creation import AskLater, AskRejected, RequestCreator, failure_of, is_key_error
from workers.inbox.questions.question_records import QuestionRecord, SearchPosition, StoredQuestion
from workers.inbox.questions.question_store import QuestionStore, QueueFull
from workers.inbox.tracker import tracked_requests
from workers.inbox.tracker.tracked_requests import NewRequest
from workers.trust import LEVELS

logger = logging.getLogger("hitl.asking")

#: Seconds during which only the process that recorded a question may call HITL.sh for it.
HEAD_START = 10.0
#: Seconds of the lease on a due question.
LEASE = 120.0
#: Seconds until HITL.sh is tried again after it could not be reached, doubled each time; and where it is not known when
#: calls return.
_BACKOFF, _LONGEST_BACKOFF = 15.0, 900.0
#: The factor by which the repair of an unfinished intent is delayed at most, relative to the first attempt.
_LONGEST_REPAIR = 16
#: Seconds by which a timeout may be delivered early.
_EARLY = 5.0


class QuestionLifecycle:
    """Changes one question at a time; each change is saved by compare-and-set, so that processes may compete."""

    def __init__(
        self,
        redis: AsyncRedis,
        store: QuestionStore,
        reader: QuestionReader,
        creator: RequestCreator,
        *,
        retention: int,
        key_hash: str,
        repair_after: float,
    ) -> None:
        """`retention`: seconds. `key_hash`: of the API key that asks.

        `repair_after`: seconds until an unfinished intent is repaired.
        """
        self._redis = redis
        self._store = store
        self._reader = reader
        self._creator = creator
        self._retention = retention
        self._key_hash = key_hash
        self._repair_after = repair_after

    async def process(self, question_id: str) -> None:
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
            await self.end(stored, Cancelled(responded_at=datetime.now(UTC), trust="confirmed"))
            return
        try:
            stored, failure = await self.attempt(stored)
        except QuestionInvalid as error:
            await self.end(stored, Lost(reason=str(error)))
            return
        if isinstance(failure, AskRejected):
            if is_key_error(failure.error):
                failure = AskLater(reason="HITL.sh refuses the API key", blocks_all_questions=True)
            else:
                logger.error("ask.rejected id=%s error=%s", stored.record.id, type(failure.error).__name__)
                await self.end(stored, Lost(reason=f"HITL.sh refused the question: {failure.error}"))
                return
        if isinstance(failure, AskLater):
            # It has its place already, or is a later step of a question that was asked.
            try:
                await self.postpone(stored, failure)
            except QueueFull:
                await self._store.schedule(stored.record.id, _BACKOFF)

    async def attempt(self, stored: StoredQuestion) -> tuple[StoredQuestion, AskLater | AskRejected | None]:
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
            cleared = await self._store.save(begun.record.with_step(begun_at=None), begun.revision, due_in=HEAD_START)
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
        cleared = await self._store.save(unasked, stored.revision, due_in=HEAD_START)
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
                await self.cancel(stored)
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
            await self._store.schedule(record.id, LEASE)
            return
        passed_on = record.with_step(outcome="timed_out").with_changes(current=record.current + 1)
        saved = await self._store.save(passed_on, stored.revision, due_in=HEAD_START)
        if saved is not None:
            logger.info("ask.escalated id=%s step=%d", record.id, passed_on.current)
            await self._ask_later(saved)

    async def cancel(self, stored: StoredQuestion) -> StoredQuestion:
        """Cancel a question without an outcome, as soon as it is known whether HITL.sh has it.

        Raises `CannotCancel` and `ApiError`.
        """
        record = stored.record
        evidence = await self._reader.evidence([record])
        if trusted_outcome(record, evidence, record.question.trust) is not None:
            if record.ended is None and record.cancelled_at is None:
                raise CannotCancel(record.id, "it has ended")
            return stored
        if record.step.request_id is None:
            if record.is_unfinished:
                return await self._mark_unwanted(stored)
            return await self.end(stored, Cancelled(responded_at=datetime.now(UTC), trust="confirmed"))
        try:
            moment = await self._creator.cancel(record, record.step.request_id)
        except BadRequest as error:
            outcome = current_outcome(record, evidence)
            has_timed_out = isinstance(outcome, TimedOut) and LEVELS[outcome.trust] >= LEVELS[_trust_of_timeout(record)]
            if has_timed_out and not record.is_last_step:
                # The next loop is not asked.
                return await self.end(stored, Cancelled(responded_at=datetime.now(UTC), trust="confirmed"))
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

    async def postpone(self, stored: StoredQuestion, failure: AskLater) -> StoredQuestion:
        """Queue the question until calls are possible; raises `QueueFull`."""
        now, record = time.time(), stored.record
        backoff = min(_LONGEST_BACKOFF, _BACKOFF * 2.0 ** min(record.postponements, 10))
        retry_at = failure.retry_at if failure.retry_at is not None and failure.retry_at > now else now + backoff
        if failure.blocks_all_questions:
            await self._store.postpone_queued(retry_at - now)
        waiting = record.with_changes(retry_at=retry_at, postponements=record.postponements + 1)
        saved = await self._store.save(waiting, stored.revision, due_in=retry_at - now)
        return saved or await self._store.read(record.id) or stored

    async def end(self, stored: StoredQuestion, outcome: Cancelled | Lost) -> StoredQuestion:
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
