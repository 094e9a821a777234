"""Executes a plan without I/O: returns the next call, takes its answer, and returns what the answer shows.

An absent row proves nothing, because pages move while they are read; only a row, or a call for the request itself,
is a proof. A target that two pages did not show is read by itself, so that the execution ends.
"""

from bisect import bisect_left, insort

import msgspec

from workers.inbox.values import OpenRequest
from workers.reconcile.planning.open_pages import OpenPages
from workers.reconcile.planning.page_cover import Window, cover
from workers.reconcile.planning.planner import Plan
from workers.reconcile.planning.progress import Answer, Call, Checkpoint, Findings, Get, List, Missing, Row, Rows

#: Pages that may fail to show a target before it is read by itself.
MAX_PAGES = 2
#: Drifts that a checkpoint holds at most.
MAX_DRIFTS = 50


class PlanExecution:
    """Executes a plan: ``while (call := run.next_call()) is not None: run.step(call, answer)``.

    The caller charges the budget for each call, may stop at any time, and saves `checkpoint` with the findings
    of each step. Do not step a call that failed: `next_call` returns it again.
    """

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._span = max(1, plan.page_size - plan.overlap)
        self._unsettled = {request.id: request for request in plan.targets}
        self._singles: dict[str, None] = {}
        begin = plan.checkpoint or Checkpoint(overlap=plan.overlap)
        if not plan.open_statuses:
            begin = msgspec.structs.replace(begin, done=True)
        self._absent = {name: tries for name, tries in begin.absent.items() if name in self._unsettled}
        self._singles.update(dict.fromkeys(name for name, tries in self._absent.items() if tries >= MAX_PAGES))
        #: (created_at, rows): by how much the offset of a target differed from the expected one.
        self._drifts = list(begin.drifts)
        oldest = min((request.created_at for request in plan.targets), default=0.0)
        self._open_pages = OpenPages(plan.open_statuses, plan.page_size, oldest, begin)
        self._window: Window | None = None
        self._calls = 0

    @property
    def checkpoint(self) -> Checkpoint | None:
        """The checkpoint for the next plan; None if there is nothing to continue."""
        if not self._unsettled or (self._open_pages.done and not self._absent):
            return None
        return msgspec.structs.replace(
            self._open_pages.checkpoint, absent=dict(self._absent), drifts=tuple(self._drifts[-MAX_DRIFTS:])
        )

    def next_call(self) -> Call | None:
        """The next call; None if every target is settled or the plan's calls are used up."""
        if not self._unsettled or self._calls >= self._plan.calls:
            return None
        if not self._open_pages.done:
            return self._open_pages.next_call()
        if self._singles:
            return Get(id=next(iter(self._singles)))
        self._window = self._most_urgent_window()
        if len(self._window.ids) == 1 and self._window.offset > 0:
            return Get(id=self._window.ids[0])
        return List(offset=self._window.offset, limit=self._plan.page_size)

    def step(self, call: Call, answer: Answer) -> Findings:
        """Take the answer to this call, and return what it shows. Raises `TypeError` for an answer of another kind."""
        self._calls += 1
        match call, answer:
            case Get(), Row():
                return self._settle((answer,))
            case Get(), Missing():
                self._forget(answer.id)
                return Findings(missing=(answer.id,))
            case List(status=str()), Rows():
                return self._read_open_page(answer)
            case List(), Rows():
                return self._read_page(call, answer)
        raise TypeError(f"{answer!r} does not answer {call!r}: give Rows for a List, Row or Missing for a Get")

    def skip(self, call: Get) -> None:
        """Skip this request, because HITL.sh fails to show it. The call counts as made."""
        self._calls += 1
        self._forget(call.id)

    def _read_open_page(self, page: Rows) -> Findings:
        self._open_pages.advance(page)
        findings = self._settle(page.rows)
        if not self._open_pages.done:
            return findings
        self._absent.update({name: self._absent.get(name, 0) for name in self._unsettled})
        return msgspec.structs.replace(findings, hints=tuple(self._unsettled))

    def _read_page(self, call: List, page: Rows) -> Findings:
        expected = self._window.ids if self._window is not None else ()
        for offset, row in enumerate(page.rows, start=call.offset):
            if row.id in self._unsettled:
                insort(self._drifts, (row.created_at, offset - self._unsettled[row.id].newer))
        findings = self._settle(page.rows)
        absent = [self._unsettled[name] for name in expected if name in self._unsettled]
        hints = [request.id for request in absent if self._is_hint(request, page)]
        self._singles.update(dict.fromkeys(hints))
        if absent and len(hints) < len(absent):
            self._note_drift(absent, page)
        return msgspec.structs.replace(findings, hints=tuple(hints))

    def _is_hint(self, request: OpenRequest, page: Rows) -> bool:
        """Whether to read the request by itself: it should have been on this page, or several pages did not show it."""
        self._absent[request.id] = self._absent.get(request.id, 0) + 1
        if self._absent[request.id] >= MAX_PAGES or not page.rows:
            return True
        if request.created_at < page.rows[-1].created_at:
            return not page.more
        return request.created_at <= page.rows[0].created_at

    def _note_drift(self, absent: list[OpenRequest], page: Rows) -> None:
        """Record that the list moved by a page or more: down if others asked, up if loops were deleted."""
        last = page.rows[-1].created_at
        drifts = [
            (request.created_at, self._drift(request) + (self._span if request.created_at < last else -self._span))
            for request in absent
        ]
        for drift in drifts:
            insort(self._drifts, drift)

    def _drift(self, request: OpenRequest) -> int:
        """The measured drift that is nearest to the request in the list; 0 without any."""
        after = bisect_left(self._drifts, (request.created_at,))
        nearest = self._drifts[max(0, after - 1) : after + 1]
        return min(nearest, key=lambda drift: abs(drift[0] - request.created_at))[1] if nearest else 0

    def _most_urgent_window(self) -> Window:
        offsets = ((max(0, request.newer + self._drift(request)), request.id) for request in self._unsettled.values())
        order = {name: rank for rank, name in enumerate(self._unsettled)}
        return min(cover(offsets, self._span), key=lambda window: min(order[name] for name in window.ids))

    def _settle(self, rows: tuple[Row, ...]) -> Findings:
        for row in rows:
            self._forget(row.id)
        return Findings(
            ended=tuple(row.id for row in rows if row.ended),
            open=tuple(row.id for row in rows if not row.ended),
        )

    def _forget(self, request_id: str) -> None:
        self._unsettled.pop(request_id, None)
        self._singles.pop(request_id, None)
        self._absent.pop(request_id, None)
