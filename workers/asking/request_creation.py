"""Creates the request of a question's step at HITL.sh, or finds the one that an earlier attempt created.

HITL.sh has no idempotency key. So the intent is recorded first, with the id of its callback token; a request whose
callback URL carries such a token belongs to the step, even if the reply was lost.
"""

import time
from collections.abc import Mapping
from datetime import UTC, datetime

import msgspec

from hitlsh.api import AsyncClient, SentRequest
from hitlsh.api.errors import (
    ApiError,
    ArgumentInvalid,
    BudgetExhausted,
    RateLimited,
    StatusError,
    Unauthorized,
    UnexpectedReply,
    Unreachable,
)
from hitlsh.api.models.requests import CreatedRequest, Request
from hitlsh.asking.ask_errors import FieldProblem, QuestionInvalid
from hitlsh.callbacks import CallbackSigner
from hitlsh.trace_context import valid_traceparent
from workers.asking.asking_clients import entry
from workers.asking.question_view import question_details
from workers.asking.request_search import RequestSearch
from workers.inbox.questions.question_records import QuestionRecord, SearchPosition
from workers.inbox.questions.question_store import QuestionStore
from workers.inbox.tracker.tracked_requests import NewRequest

#: Statuses below 500 after which HITL.sh may still have created the request.
_UNCERTAIN = frozenset({408})
#: Names of loops that are listed for a caller who gave another.
_SHOWN_LOOPS = 20


class AskLater(msgspec.Struct, frozen=True, kw_only=True):
    """HITL.sh created nothing, and may be asked again."""

    reason: str
    #: Seconds since 1970; None where it is not known.
    retry_at: float | None = None
    #: The reason applies to every question, not only this one.
    blocks_all_questions: bool = False


class AskUncertain(msgspec.Struct, frozen=True, kw_only=True):
    """HITL.sh may have created a request: the intent remains, and is repaired later."""


class AskRejected(msgspec.Struct, frozen=True, kw_only=True):
    """HITL.sh refuses the question, and would refuse it again."""

    error: ApiError


Failure = AskLater | AskUncertain | AskRejected


def failure_of(error: ApiError) -> Failure:
    """Classify an error of the call that creates a request."""
    match error:
        case BudgetExhausted() | RateLimited():
            retry_at = None if error.reset_at is None else error.reset_at.timestamp()
            return AskLater(
                reason="no call to HITL.sh is left in this hour", retry_at=retry_at, blocks_all_questions=True
            )
        case Unreachable(sent=False):
            return AskLater(reason="HITL.sh cannot be reached", blocks_all_questions=True)
        case Unreachable() | UnexpectedReply():
            return AskUncertain()
        case StatusError(status=status) if status >= 500 or status in _UNCERTAIN:
            return AskUncertain()
        case ArgumentInvalid() | StatusError():
            return AskRejected(error=error)
    return AskUncertain()


def is_key_error(error: ApiError) -> bool:
    """Whether HITL.sh refuses the API key: no question can be asked until it is replaced."""
    return isinstance(error, Unauthorized)


class RequestCreator:
    """Creates, finds and cancels requests at HITL.sh."""

    def __init__(
        self, creating: AsyncClient, readers: Mapping[str, AsyncClient], signer: CallbackSigner, store: QuestionStore
    ) -> None:
        """`creating`: a client without retries. `readers`: clients by hashes of their API keys; the last is current."""
        self._creating = creating
        self._readers = readers
        self._reading = [*readers.values()][-1]
        self._signer = signer
        self._store = store
        #: Ids of loops by name, from the latest read.
        self._loops: dict[str, str] = {}

    async def find_loop(self, id_or_name: str) -> str:
        """The id of a loop; the first use of a name costs a call. Raises `ApiError`, `QuestionInvalid` for no loop."""
        if len(id_or_name) == 24 and all(digit in "0123456789abcdefABCDEF" for digit in id_or_name):
            return id_or_name
        if id_or_name not in self._loops:
            loops = await self._reading.loops.list()
            names = [loop.name for loop in loops]
            self._loops = {loop.name: loop.id for loop in loops if loop.name and names.count(loop.name) == 1}
            self._loops |= {loop.id: loop.id for loop in loops}
            if id_or_name in names and id_or_name not in self._loops:
                raise _invalid_loop(f"{id_or_name!r} is the name of several loops: give an id")
        if id_or_name not in self._loops:
            raise _invalid_loop(f"is {id_or_name!r}, and no loop of this API key has that id or name: {self._names()}")
        return self._loops[id_or_name]

    def _names(self) -> str:
        names = sorted(name for name, loop_id in self._loops.items() if name != loop_id)
        if not names:
            return "it has none with a name"
        more = ["..."] if len(names) > _SHOWN_LOOPS else []
        return f"there are {', '.join([*map(repr, names[:_SHOWN_LOOPS]), *more])}"

    def mint(self, record: QuestionRecord) -> tuple[str, str]:
        """A new callback URL for the question, and the id of its token."""
        token = self._signer.mint(record.question.state)
        return self._signer.url(record.public_url, token), self._signer.read(token).id

    async def create(self, record: QuestionRecord, loop_id: str, callback_url: str) -> NewRequest:
        """Create the request of the current step; raises `ApiError`."""
        question, step = record.question, record.step
        created = await self._creating.requests.create(
            loop_id,
            question.text,
            question.question(),
            default_response=question.default_response,
            priority=question.priority,
            timeout_seconds=step.timeout_seconds,
            content=question.content,
            context=question.context,
            callback_url=callback_url,
        )
        return self._tracked(record, created, loop_id, callback_url)

    async def find_created(self, record: QuestionRecord) -> NewRequest | SearchPosition | None:
        """The request that an unfinished attempt created; None if HITL.sh has none.

        A position if the search is to be continued. Raises `ApiError` if it came no further.
        """
        search = RequestSearch(record, self._reader_of(record), self._signer, self._store)
        try:
            found = await search.run()
        except ApiError:
            if search.position is None or search.position == record.step.searched_to:
                raise
            return search.position
        if not isinstance(found, Request):
            return found
        created = CreatedRequest(request_id=found.id, timeout_at=found.timeout_at, created_at=found.created_at)
        return self._tracked(record, created, found.loop_id, found.callback_url)

    async def cancel(self, record: QuestionRecord, request_id: str) -> datetime:
        """Cancel a request of the current step; returns when it was cancelled. Raises `ApiError`."""
        cancelled = await self._reader_of(record).requests.cancel(request_id)
        return cancelled.cancelled_at or datetime.now(UTC)

    def _reader_of(self, record: QuestionRecord) -> AsyncClient:
        """A client with the API key that asks the current step: HITL.sh shows its requests to no other key."""
        return self._readers.get(record.step.api_key, self._reading)

    def _tracked(
        self, record: QuestionRecord, created: CreatedRequest, loop_id: str | None, callback_url: str | None
    ) -> NewRequest:
        details = msgspec.structs.replace(question_details(record), loop_id=loop_id)
        sent = SentRequest(
            loop_id=loop_id,
            callback_url=callback_url,
            details=details,
            timeout_seconds=record.step.timeout_seconds,
        )
        tracked = entry(created, sent, self._signer, time.time())
        return msgspec.structs.replace(tracked, traceparent=valid_traceparent(record.traceparent))


def _invalid_loop(problem: str) -> QuestionInvalid:
    return QuestionInvalid([FieldProblem(field="loop", problem=problem)])
