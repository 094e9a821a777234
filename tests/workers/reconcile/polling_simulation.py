"""HITL.sh and a request tracker on a virtual clock, without I/O, so that a test can simulate thousands of days."""

from collections.abc import Callable, Iterator

import msgspec

from tests.reconcile_model import after_decision, available, observe, spend
from workers.inbox.budget.hourly_calls import HOUR, BudgetRules, Purpose, initial, reconcile_calls_per_hour
from workers.inbox.values import OpenRequest, WebhookHealth
from workers.reconcile.planning.check_interval import CheckIntervals, intervals
from workers.reconcile.planning.discovery import Horizon, initial_horizon, is_delivered
from workers.reconcile.planning.open_pages import OpenPages
from workers.reconcile.planning.plan_execution import PlanExecution
from workers.reconcile.planning.planner import Situation, plan
from workers.reconcile.planning.progress import Answer, Call, Checkpoint, Findings, Get, List, Missing, Row, Rows

PAGE, OVERLAP = 10, 2
LIMIT = 20
LOOKBACK = 24 * HOUR
START = 1_800_000_000.0 + 1234


class Request(msgspec.Struct, kw_only=True):
    """One request at HITL.sh."""

    id: str
    created_at: float
    timeout_at: float
    status: str = "pending"
    decided_at: float | None = None

    @property
    def ended(self) -> bool:
        return self.decided_at is not None


class Vendor:
    """HITL.sh: a list that moves, and an hour of either documented kind in which it counts calls."""

    def __init__(self, *, top_of_hour: bool, tells: bool, says_more: bool) -> None:
        self.now = START
        self.requests: dict[str, Request] = {}
        self.calls = 0
        self._top_of_hour, self._tells, self._says_more = top_of_hour, tells, says_more
        self._resets_at = 0.0
        self._used = self._made = 0

    def create(self, *, age: float = 0.0) -> Request:
        """Times are whole seconds there."""
        created_at = (self.now - age) // 1
        request = Request(id=f"r{self._made}", created_at=created_at, timeout_at=created_at + 30 * 24 * HOUR)
        self._made += 1
        self.requests[request.id] = request
        return request

    def decide(self, request: Request, status: str, *, ago: float = 0.0) -> None:
        request.status, request.decided_at = status, self.now - ago

    def pay(self) -> None:
        """One call, of whichever kind."""
        if self.now >= self._resets_at:
            self._used = 0
            self._resets_at = (self.now // HOUR + 1) * HOUR if self._top_of_hour else self.now + HOUR
        self._used += 1
        self.calls += 1
        assert self._used <= LIMIT, "a call over the limit"

    @property
    def said(self) -> tuple[int | None, float | None]:
        """Calls left, and when the hour ends."""
        return (LIMIT - self._used, self._resets_at) if self._tells else (None, None)

    def answer(self, call: Call) -> Answer:
        self.pay()
        if isinstance(call, Get):
            found = self.requests.get(call.id)
            return Missing(id=call.id) if found is None else _row(found)
        listed = [one for one in self.requests.values() if call.status in (None, one.status)]
        listed.sort(key=lambda one: one.created_at, reverse=True)
        end = call.offset + call.limit
        return Rows(
            rows=tuple(map(_row, listed[call.offset : end])), more=end < len(listed) if self._says_more else True
        )


def _row(request: Request) -> Row:
    return Row(id=request.id, created_at=request.created_at, ended=request.ended)


class Ledger:
    """The request tracker, and reconcile runs as `workers.reconcile.runner` makes them; every step is checked."""

    def __init__(self, vendor: Vendor) -> None:
        self.vendor = vendor
        self.known: dict[str, OpenRequest] = {}
        #: When every request that was ever known was created.
        self.asked: dict[str, float] = {}
        self.found: set[str] = set()
        self.lost: set[str] = set()
        self.webhook_health = WebhookHealth()
        self.rules = BudgetRules(per_hour=LIMIT, share=0.8, reserve=0.1)
        self.tokens = initial(self.rules)
        self.horizon: Horizon = initial_horizon(vendor.now, LOOKBACK)
        self.checkpoint: Checkpoint | None = None
        self.first: Checkpoint | None = Checkpoint()
        self.statuses: tuple[str, ...] = ("pending",)

    def pays(self, purpose: Purpose) -> bool:
        self.tokens, wait = spend(self.tokens, self.rules, purpose, self.vendor.now)
        return wait == 0

    def heard(self) -> None:
        remaining, resets_at = self.vendor.said
        self.tokens = observe(self.tokens, self.vendor.now, remaining=remaining, resets_at=resets_at, limit=LIMIT)

    def ask(self) -> None:
        if self.pays("asking"):
            self.vendor.pay()
            self.heard()
            self.track(self.vendor.create())

    def track(self, request: Request | Row) -> None:
        self.asked[request.id] = request.created_at
        timeout_at = request.timeout_at if isinstance(request, Request) else None
        self.known[request.id] = OpenRequest(
            id=request.id, created_at=request.created_at, timeout_at=timeout_at, last_checked=self._first_seen(request)
        )

    def _first_seen(self, request: Request | Row) -> float | None:
        return self.vendor.now if isinstance(request, Row) else None

    def webhook(self, request: Request) -> None:
        self.known.pop(request.id, None)
        self.asked.setdefault(request.id, request.created_at)
        self.found.add(request.id)
        self.webhook_health = after_decision(self.webhook_health, by_webhook=True, now=self.vendor.now)

    def refuse(self, request: Request) -> None:
        if (known := self.known.get(request.id)) is not None:
            self.known[request.id] = msgspec.structs.replace(known, refused=True)

    # -- reconciling -------------------------------------------------------------------------------------

    @property
    def placed(self) -> tuple[OpenRequest, ...]:
        order = sorted(self.asked, key=lambda name: (self.asked[name], name), reverse=True)
        places = {name: place for place, name in enumerate(order)}
        return tuple(msgspec.structs.replace(one, newer=places[one.id]) for one in self.known.values())

    @property
    def intervals(self) -> CheckIntervals:
        calls = reconcile_calls_per_hour(self.tokens, self.rules)
        return intervals(
            self.placed, self.webhook_health, now=self.vendor.now, calls_per_hour=calls, page_size=PAGE, overlap=OVERLAP
        )

    def reconcile(self, calls: int, meanwhile: Callable[[], None]) -> None:
        """At most so many calls, and something happens after each."""
        allowed = iter(range(calls))
        if not self._read_all_open(allowed, meanwhile):
            return
        if self.horizon.is_starved(self.intervals.shortest, self.vendor.now):
            self._discover(allowed, meanwhile)
        self._carry_out(allowed, meanwhile)
        self._discover(allowed, meanwhile)

    def _discover(self, allowed: Iterator[int], meanwhile: Callable[[], None]) -> None:
        while self.horizon.due_at(self.intervals.shortest) <= self.vendor.now and self._may(allowed, "reconcile"):
            call = self.horizon.next_call(PAGE)
            page = self._answer(call)
            assert isinstance(page, Rows)
            self._saw(call, page)
            self._note(_all_of(page), page)
            meanwhile()

    def _read_all_open(self, allowed: Iterator[int], meanwhile: Callable[[], None]) -> bool:
        while self.first is not None:
            if not self._may(allowed, "reconcile"):
                return False
            walk = OpenPages(self.statuses, PAGE, 0.0, self.first)
            page = self._answer(walk.next_call())
            assert isinstance(page, Rows)
            walk.advance(page)
            self.first = None if walk.done else _kept(walk.checkpoint)
            self._note(_all_of(page), page)
            meanwhile()
        return True

    def _carry_out(self, allowed: Iterator[int], meanwhile: Callable[[], None]) -> None:
        now, calls = self.vendor.now, available(self.tokens, self.rules, "reconcile", self.vendor.now)
        made = plan(
            Situation(
                now=now,
                requests=self.placed,
                webhook_health=self.webhook_health,
                intervals=self.intervals,
                calls=calls,
                borrowed=available(self.tokens, self.rules, "overdue", now),
                page_size=PAGE,
                overlap=OVERLAP,
                open_statuses=self.statuses,
                checkpoint=self.checkpoint,
            )
        )
        if made.kind == "nothing":
            return
        reconcile = PlanExecution(made)
        while (call := reconcile.next_call()) is not None and self._may(allowed, "reconcile" if calls else "overdue"):
            answer = self._answer(call)
            findings = reconcile.step(call, answer)
            if isinstance(call, List) and isinstance(answer, Rows):
                self._saw(call, answer)
            self.checkpoint = None if reconcile.checkpoint is None else _kept(reconcile.checkpoint)
            self._note(findings, answer)
            meanwhile()
        if reconcile.next_call() is None:
            self.checkpoint = reconcile.checkpoint

    def _may(self, allowed: Iterator[int], purpose: Purpose) -> bool:
        return next(allowed, None) is not None and self.pays(purpose)

    def _answer(self, call: Call) -> Answer:
        answer = self.vendor.answer(call)
        self.heard()
        return answer

    def _saw(self, call: List, page: Rows) -> None:
        stepped = self.horizon.step(call, page, self.vendor.now)
        self.horizon = msgspec.json.decode(msgspec.json.encode(stepped), type=Horizon)

    def _note(self, findings: Findings, answer: Answer) -> None:
        rows = {row.id: row for row in (answer.rows if isinstance(answer, Rows) else (answer,)) if isinstance(row, Row)}
        for name in findings.ended:
            assert self.vendor.requests[name].ended, "an open request was reported as ended"
            self._ended(rows[name])
        for name in findings.open:
            assert not self.vendor.requests[name].ended, "an ended request was reported as open"
            self._still_open(rows[name])
        for name in findings.missing:
            assert name not in self.vendor.requests, "a request that is listed was reported as missing"
            self.known.pop(name)
            self.lost.add(name)

    def _ended(self, row: Row) -> None:
        decided_at = self.vendor.requests[row.id].decided_at
        if row.id in self.found or (row.id not in self.known and not is_delivered(row, self.horizon, 0.0, decided_at)):
            return
        if self.known.pop(row.id, None) is not None:
            self.webhook_health = after_decision(self.webhook_health, by_webhook=False, now=self.vendor.now)
        self.asked.setdefault(row.id, row.created_at)
        self.found.add(row.id)

    def _still_open(self, row: Row) -> None:
        if row.id not in self.known:
            self.track(row)
        self.known[row.id] = msgspec.structs.replace(self.known[row.id], last_checked=self.vendor.now, refused=False)
        if self.vendor.requests[row.id].status == "claimed":
            self.statuses = ("pending", "claimed")

    # -- the end --------------------------------------------------------------------------------------

    @property
    def next_check(self) -> float:
        """When the clock would enqueue the next reconcile run."""
        intervals, now = self.intervals, self.vendor.now
        moments = [self.horizon.due_at(intervals.shortest), *(intervals.due_at(one) for one in self.known.values())]
        return max(now + 300.0, min(moments))

    @property
    def overlooked(self) -> set[str]:
        """Requests whose end, or whose loss, nobody has told us of though we know or should know of them."""
        requests = self.vendor.requests
        ours = {name for name in self.asked if name not in requests or requests[name].ended}
        others = {one.id for one in requests.values() if one.ended and one.created_at >= self.horizon.since}
        return (ours | others) - self.found - self.lost


def _kept(checkpoint: Checkpoint) -> Checkpoint:
    return msgspec.json.decode(msgspec.json.encode(checkpoint), type=Checkpoint)


def _all_of(page: Rows) -> Findings:
    return Findings(
        ended=tuple(row.id for row in page.rows if row.ended), open=tuple(row.id for row in page.rows if not row.ended)
    )
