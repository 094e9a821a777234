"""Reads asked requests: records of questions, with the records of their requests in the inbox."""

import logging
from collections.abc import Sequence

from redis.exceptions import RedisError

from hitlsh.asking.asked_request import AskedRequest
from hitlsh.events import Trust
from workers.asking.question_view import QuestionEvidence, asked_request, demanded_trust
from workers.inbox.questions.question_records import QuestionRecord, StoredQuestion
from workers.inbox.questions.question_store import QuestionStore, QuestionUnreadable
from workers.trust import LEVELS

logger = logging.getLogger("hitl.asking")


class QuestionReader:
    """The reads of `AskingService`. They change no question, but may schedule checks of requests at HITL.sh."""

    def __init__(self, store: QuestionStore) -> None:
        self._store = store

    async def get(self, request_id: str, *, trust: Trust = "callback") -> AskedRequest | None:
        """See `AskingService.get`."""
        stored = await self.find(request_id)
        if stored is None:
            return None
        evidence = await self.evidence([stored.record])
        shown = asked_request(stored, evidence, trust)
        await self._demand_evidence(stored.record, shown, evidence, trust=trust, beyond="callback")
        return shown

    async def get_many(self, request_ids: Sequence[str]) -> dict[str, AskedRequest | QuestionUnreadable]:
        """See `AskingService.get_many`."""
        try:
            return dict(await self._read_many(request_ids))
        except (RedisError, TimeoutError):
            raise
        except Exception as error:
            if len(request_ids) == 1:
                logger.exception("ask.unreadable id=%s", request_ids[0])
                return {request_ids[0]: QuestionUnreadable(request_ids[0], type(error).__name__)}
        requests: dict[str, AskedRequest | QuestionUnreadable] = {}
        for request_id in request_ids:
            requests |= await self.get_many([request_id])
        return requests

    async def _read_many(self, request_ids: Sequence[str]) -> dict[str, AskedRequest]:
        stored = [each for each in await self._store.read_many(request_ids) if each is not None]
        evidence = await self.evidence([each.record for each in stored])
        shown = {each.record.id: asked_request(each, evidence) for each in stored}
        for each in stored:
            # The inbox itself schedules the checks for the trust that the question demands.
            await self._demand_evidence(each.record, shown[each.record.id], evidence, beyond=each.record.question.trust)
        return shown

    async def list_open(self, *, limit: int, after: str | None) -> list[AskedRequest]:
        """See `AskingService.list_open`."""
        page: list[AskedRequest] = []
        while len(page) < limit:
            ids = await self._store.list_open(limit=limit, after=after)
            shown = await self.get_many(ids)
            # A cancelled one is listed until HITL.sh reports its end.
            requests = (shown.get(question_id) for question_id in ids)
            page += [request for request in requests if isinstance(request, AskedRequest) and request.outcome is None]
            if len(ids) < limit:
                break
            after = ids[-1]
        return page[:limit]

    async def find(self, request_id: str) -> StoredQuestion | None:
        """The question with this id, or the one that HITL.sh's request with this id belongs to."""
        if request_id.startswith("ask_"):
            return await self._store.read(request_id)
        question_id = await self._store.id_of_request(request_id)
        return None if question_id is None else await self._store.read(question_id)

    async def show(self, stored: StoredQuestion, trust: Trust = "callback") -> AskedRequest:
        """The request of a question that was read."""
        return asked_request(stored, await self.evidence([stored.record]), trust)

    async def _demand_evidence(
        self,
        record: QuestionRecord,
        shown: AskedRequest,
        evidence: QuestionEvidence,
        *,
        trust: Trust = "callback",
        beyond: Trust,
    ) -> None:
        """Schedule a check of the request at HITL.sh if its outcome has too little trust to be shown.

        `beyond`: no check is scheduled for this trust or less.
        """
        request = evidence.requests.get(shown.request_id or "")
        if shown.request_id is None or request is None or request.outcome is None or shown.outcome is not None:
            return
        needs = demanded_trust(record, evidence, trust)
        if LEVELS[needs] > LEVELS[beyond]:
            await self._store.demand_evidence(shown.request_id, needs)

    async def evidence(self, records: Sequence[QuestionRecord]) -> QuestionEvidence:
        """Read the records of the requests and events of these questions."""
        names = [step.request_id for record in records for step in record.steps if step.request_id is not None]
        requests = await self._store.read_requests(names) if names else {}
        ended = [key for request in requests.values() if request.outcome is not None for key in request.history]
        return QuestionEvidence(requests=requests, events=await self._store.read_events(ended) if ended else {})
