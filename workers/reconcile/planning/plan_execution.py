"""Carries out a plan without I/O: names the next call, takes its answer, and returns what the answer shows.

An absent row proves nothing, for pages move while they are read: only a row, or a call for the request itself.
A target that two pages did not show is read by itself, so that the execution ends.
"""

from bisect import bisect_left, insort

import msgspec

from workers.inbox.values import OpenRequest
from workers.reconcile.planning.open_pages import OpenPages
from workers.reconcile.planning.page_cover import Window, cover
from workers.reconcile.planning.planner import Plan
from workers.reconcile.planning.progress import Answer, Call, Checkpoint, Findings, Get, List, Missing, Row, Rows

#: Pages that may fail to show a target before it is read by itself.
MOST_PAGES = 2
#: Latest drifts that go into a checkpoint.
DRIFTS_KEPT = 50


class PlanExecution:
    """Carries out a plan: ``while (call := run.next_call()) is not None: run.step(call, answer)``.

    The caller charges the budget for each call, may stop at any time, and saves `checkpoint` with the findings
    of each step. A call that failed is simply not stepped: `next_call` names it again.
    """

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._span = max(1, plan.page_size - plan.overlap)
        self._left = {request.id: request for request in plan.targets}
        self._singles: dict[str, None] = {}
        begin = plan.checkpoint or Checkpoint(overlap=plan.overlap)
        if not plan.open_statuses:
            begin = msgspec.structs.replace(begin, done=True)
        self._absent = {name: tries for name, tries in begin.absent.items() if name in self._left}
        self._singles.update(dict.fromkeys(name for name, tries in self._absent.items() if tries >= MOST_PAGES))
        #: Where targets were found, less where they were expected: rows that the request tracker does not know of.
        self._drifts = list(begin.drifts)
        oldest = min((request.created_at for request in plan.targets), default=0.0)
        self._open_pages = OpenPages(plan.open_statuses, plan.page_size, oldest, begin)
        self._window: Window | None = None
        self._calls = 0

    @property
    def checkpoint(self) -> Checkpoint | None:
        """Give it to the next plan; None when there is nothing to continue."""
        if not self._left or (self._open_pages.done and not self._absent):
            return None
        return msgspec.structs.replace(
            self._open_pages.checkpoint, absent=dict(self._absent), drifts=tuple(self._drifts[-DRIFTS_KEPT:])
        )

    def next_call(self) -> Call | None:
        """None when every target is settled, or the plan's calls are used up."""
        if not self._left or self._calls >= self._plan.calls:
            return None
        if not self._open_pages.done:
            return self._open_pages.next_call()
        if self._singles:
            return Get(id=next(iter(self._singles)))
        self._window = self._most_urgent()
        if len(self._window.ids) == 1 and self._window.offset > 0:
            return Get(id=self._window.ids[0])
        return List(offset=self._window.offset, limit=self._plan.page_size)

    def step(self, call: Call, answer: Answer) -> Findings:
        """What the answer to this call shows."""
        self._calls += 1
        match call, answer:
            case Get(), Row():
                return self._settle((answer,))
            case Get(), Missing():
                self._forget(answer.id)
                return Findings(missing=(answer.id,))
            case List(status=str()), Rows():
                return self._take_open_page(answer)
            case List(), Rows():
                return self._take_page(call, answer)
        raise TypeError(f"{answer!r} does not answer {call!r}: give Rows for a List, Row or Missing for a Get")

    def skip(self, call: Get) -> None:
        """Go on without this request: HITL.sh fails to show it alone. The call counts as made."""
        self._calls += 1
        self._forget(call.id)

    def _take_open_page(self, page: Rows) -> Findings:
        self._open_pages.take(page)
        findings = self._settle(page.rows)
        if not self._open_pages.done:
            return findings
        self._absent.update({name: self._absent.get(name, 0) for name in self._left})
        return msgspec.structs.replace(findings, hints=tuple(self._left))

    def _take_page(self, call: List, page: Rows) -> Findings:
        expected = self._window.ids if self._window is not None else ()
        for offset, row in enumerate(page.rows, start=call.offset):
            if row.id in self._left:
                insort(self._drifts, (row.created_at, offset - self._left[row.id].newer))
        findings = self._settle(page.rows)
        absent = [self._left[name] for name in expected if name in self._left]
        hints = [request.id for request in absent if self._is_hint(request, page)]
        self._singles.update(dict.fromkeys(hints))
        if absent and len(hints) < len(absent):
            self._note_drift(absent, page)
        return msgspec.structs.replace(findings, hints=tuple(hints))

    def _is_hint(self, request: OpenRequest, page: Rows) -> bool:
        """Whether another page is no use: it should have been on this one, or has been searched for enough."""
        self._absent[request.id] = self._absent.get(request.id, 0) + 1
        if self._absent[request.id] >= MOST_PAGES or not page.rows:
            return True
        if request.created_at < page.rows[-1].created_at:
            return not page.more
        return request.created_at <= page.rows[0].created_at

    def _note_drift(self, absent: list[OpenRequest], page: Rows) -> None:
        """The list has moved by a page or more: down where others asked, up where loops were deleted."""
        last = page.rows[-1].created_at
        moved = [
            (request.created_at, self._drift(request) + (self._span if request.created_at < last else -self._span))
            for request in absent
        ]
        for drift in moved:
            insort(self._drifts, drift)

    def _drift(self, request: OpenRequest) -> int:
        """The nearest to it in the list that was measured."""
        after = bisect_left(self._drifts, (request.created_at,))
        nearest = self._drifts[max(0, after - 1) : after + 1]
        return min(nearest, key=lambda drift: abs(drift[0] - request.created_at))[1] if nearest else 0

    def _most_urgent(self) -> Window:
        offsets = ((max(0, request.newer + self._drift(request)), request.id) for request in self._left.values())
        order = {name: rank for rank, name in enumerate(self._left)}
        return min(cover(offsets, self._span), key=lambda window: min(order[name] for name in window.ids))

    def _settle(self, rows: tuple[Row, ...]) -> Findings:
        for row in rows:
            self._forget(row.id)
        return Findings(
            ended=tuple(row.id for row in rows if row.ended),
            open=tuple(row.id for row in rows if not row.ended),
        )

    def _forget(self, request_id: str) -> None:
        self._left.pop(request_id, None)
        self._singles.pop(request_id, None)
        self._absent.pop(request_id, None)
