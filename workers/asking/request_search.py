"""Searches HITL.sh for the request that an unfinished attempt created.

A list of requests shows no callback URLs. So each request that is newer than the attempt and has the text of the
question is read, and the right one is recognised by its callback token. A search that needs more calls than are left is
continued later, where it stopped.
"""

from collections.abc import Sequence

import msgspec

from hitlsh.api import AsyncClient
from hitlsh.api.errors import Forbidden, NotFound
from hitlsh.api.models.requests import Request, RequestSummary
from hitlsh.callbacks import CallbackSigner
from workers.inbox.questions.question_records import QuestionRecord, SearchPosition
from workers.inbox.questions.question_store import QuestionStore
from workers.reconcile.api_reading import callback_of, is_last_page

#: Seconds by which HITL.sh's clock may be behind ours.
CLOCK_SKEW = 300.0
#: Rows of a page, and pages after which a search lets other questions go first.
_PAGE, _MAX_PAGES = 100, 10


class RequestSearch:
    """The search for the request of a question's current step, whose creation has begun."""

    def __init__(
        self, record: QuestionRecord, client: AsyncClient, signer: CallbackSigner, store: QuestionStore
    ) -> None:
        """`client`: reads lists and single requests."""
        self._record = record
        self._client = client
        self._signer = signer
        self._store = store
        #: Also after an error: everything before has been searched.
        self.position = record.step.searched_to

    async def run(self) -> Request | SearchPosition | None:
        """The request; None if HITL.sh has none; a position if the search is to be continued.

        Costs a call per 100 requests created since, and one for each unknown request with the same text. Raises
        `ApiError`.
        """
        for _ in range(_MAX_PAGES):
            offset = 0 if self.position is None else self.position.offset
            page = await self._client.requests.page(sort="created_at_desc", limit=_PAGE, offset=offset)
            first = _first_unread(page.requests, self.position)
            if first is None and self.position is not None and offset > 0:
                # Requests were deleted: unread ones have moved to an earlier page.
                self.position = msgspec.structs.replace(self.position, offset=max(0, offset - _PAGE + 1))
                continue
            unread = page.requests[first or 0 :]
            recent = [row for row in unread if not self._is_older(row)]
            if (shown := await self._read_rows(recent, offset + (first or 0))) is not None:
                return shown
            # Pages overlap by a row, which shows whether the list has shifted.
            if len(recent) < len(unread) or len(page.requests) < 2 or is_last_page(page, offset):
                return None
            if not unread and self.position is not None:
                self.position = msgspec.structs.replace(self.position, offset=offset + len(page.requests) - 1)
        return self.position

    def _is_older(self, row: RequestSummary) -> bool:
        begun_at = self._record.step.begun_at
        assert begun_at is not None
        return row.created_at is not None and row.created_at.timestamp() < begun_at - CLOCK_SKEW

    async def _read_rows(self, rows: Sequence[RequestSummary], offset: int) -> Request | None:
        """The request among these whose callback URL has a token of the step, or None."""
        candidates = await self._candidates(rows)
        for place, row in enumerate(rows, offset):
            if row.id in candidates and (shown := await self._read(row.id)) is not None:
                return shown
            created_at = None if row.created_at is None else row.created_at.timestamp()
            self.position = SearchPosition(request_id=row.id, created_at=created_at, offset=place)
        return None

    async def _candidates(self, rows: Sequence[RequestSummary]) -> set[str]:
        """Ids of the rows with the text of the question, except those that are known to be of another."""
        step, text = self._record.step, self._record.question.text
        ids = [row.id for row in rows if row.request_text in (None, text)]
        tracked = await self._store.read_requests(ids)
        callbacks = {request_id: request.callback for request_id, request in tracked.items()}
        return {
            request_id
            for request_id in ids
            if (callback := callbacks.get(request_id)) is None or callback.id in step.token_ids
        }

    async def _read(self, request_id: str) -> Request | None:
        """The request if it belongs to the step, else None."""
        try:
            shown = await self._client.requests.get(request_id)
        except (NotFound, Forbidden):
            return None
        callback = callback_of(shown.callback_url, self._signer)
        return shown if callback is not None and callback.id in self._record.step.token_ids else None


def _first_unread(rows: Sequence[RequestSummary], position: SearchPosition | None) -> int | None:
    """The index of the first row behind the position; None if there may be some on an earlier page."""
    if position is None:
        return 0
    ids = [row.id for row in rows]
    if position.request_id in ids:
        return ids.index(position.request_id) + 1
    # Newer requests move the others to later pages.
    newer = sum(_is_newer(row, position) for row in rows)
    return newer or None


def _is_newer(row: RequestSummary, position: SearchPosition) -> bool:
    if row.created_at is None or position.created_at is None:
        return False
    return row.created_at.timestamp() > position.created_at
