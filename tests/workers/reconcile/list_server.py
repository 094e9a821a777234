"""A request list in memory, as HITL.sh documents it: newest first, by offset, moving while it is read."""

from workers.inbox.values import OpenRequest
from workers.reconcile.planning.progress import Answer, Call, Get, List, Missing, Row, Rows


class ListServer:
    """Requests of one API key, oldest first."""

    def __init__(self) -> None:
        self.rows: list[Row] = []
        #: How many there have been.
        self.asked = 0
        self.calls = 0
        #: Whether pages say that they are the last.
        self.says_more = True

    def ask(self, count: int = 1) -> list[Row]:
        # An id that was deleted is never given again.
        numbers = range(self.asked, self.asked + count)
        made = [Row(id=f"r{number}", created_at=float(number), ended=False) for number in numbers]
        self.asked += count
        self.rows += made
        return made

    def end(self, request_id: str) -> None:
        self.rows = [
            Row(id=row.id, created_at=row.created_at, ended=True) if row.id == request_id else row for row in self.rows
        ]

    def delete(self, request_id: str) -> None:
        """Its loop is deleted, and it with it."""
        self.rows = [row for row in self.rows if row.id != request_id]

    def answer(self, call: Call) -> Answer:
        self.calls += 1
        if isinstance(call, Get):
            return next((row for row in self.rows if row.id == call.id), Missing(id=call.id))
        return self._page(call)

    def _page(self, call: List) -> Rows:
        newest_first = [row for row in reversed(self.rows) if call.status is None or not row.ended]
        end = call.offset + call.limit
        more = end < len(newest_first) if self.says_more else True
        return Rows(rows=tuple(newest_first[call.offset : end]), more=more)

    def known(self, *, blind_to: frozenset[str] = frozenset(), **changes: object) -> tuple[OpenRequest, ...]:
        """The request tracker's view: what it does not know of makes its offsets too small."""
        seen = [row for row in self.rows if row.id not in blind_to]
        return tuple(
            OpenRequest(id=row.id, created_at=row.created_at, newer=len(seen) - 1 - place, **changes)  # type: ignore[arg-type] # fields by name
            for place, row in enumerate(seen)
        )
