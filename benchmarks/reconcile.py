"""Reconciliation of a simulated day whose webhooks are lost: our planner, and the two usual ways.

`bound` is the least number of calls: the fewest pages of a list of only ended requests that show what ours found, at
the moments at which ours found it. A client would need to know beforehand which requests have ended. Where all webhooks
are lost, the bound is a fair measure. Where few are lost, no client can reach it, because a client must read a page to
learn that nothing on it was lost. Delays are those of the decisions whose webhook was lost.

`python -m benchmarks.reconcile [requests a day ...]`: 200 and 2,000 take 5 seconds, 20,000 less than a minute.
"""

import sys
import time
from collections import deque
from collections.abc import Iterable
from statistics import median

import msgspec

from benchmarks.simulated_day import DAY, END, HOUR, Day
from benchmarks.usual_ways import TICK, Client, ListHourly, PollEach
from tests.reconcile_model import after_decision, available, observe, spend
from workers.inbox.budget.hourly_calls import BudgetRules, HourlyCalls, Purpose, initial, reconcile_calls_per_hour
from workers.inbox.values import OpenRequest, WebhookHealth
from workers.reconcile.planning import discovery
from workers.reconcile.planning.check_interval import CheckIntervals, intervals
from workers.reconcile.planning.page_cover import cover
from workers.reconcile.planning.plan_execution import PlanExecution
from workers.reconcile.planning.planner import Situation, plan
from workers.reconcile.planning.progress import Call, Checkpoint, List, Row, Rows

OUTAGE = (8 * HOUR, 14 * HOUR)


class Ours(Client):
    """Our check intervals, planner, reconcile run and call budget, as the reconcile job uses them."""

    def __init__(self, day: Day) -> None:
        super().__init__(day)
        self.rules = BudgetRules(per_hour=day.limit)
        self.tokens: HourlyCalls = initial(self.rules)
        self.webhook_health = WebhookHealth()
        self.intervals = CheckIntervals()
        #: When each open request is due for a check, with these intervals.
        self.due_at = {one: self.intervals.due_at(request) for one, request in self.open.items()}
        self.bound = 0
        self.horizon = discovery.initial_horizon(0.0, 0.0)
        self.checkpoint: Checkpoint | None = None
        self._recent: deque[float] = deque()
        #: No call is due before this time, by the last plan.
        self.retry_at = 0.0

    def asked(self, one: int) -> None:
        super().asked(one)
        self.due_at[one] = self.intervals.due_at(self.open[one])
        self.retry_at = min(self.retry_at, self.due_at[one])
        self.pay("asking", self.day.created[one])

    def learn(self, one: int, *, by_webhook: bool) -> None:
        if one in self.open:
            self.webhook_health = after_decision(self.webhook_health, by_webhook=by_webhook, now=self.vendor.now)
            self._recent.append(self.vendor.now)
            del self.due_at[one]
        super().learn(one, by_webhook=by_webhook)

    def poll(self) -> None:
        now = self.vendor.now
        if int(now / TICK) % 15 == 0:
            self._set_intervals(now)
            self.retry_at = 0.0
        self._reconcile(now)
        self._discover(now)

    def _reconcile(self, now: float) -> None:
        calls, borrowed = (available(self.tokens, self.rules, purpose, now) for purpose in ("reconcile", "overdue"))
        if now < self.retry_at or max(calls, borrowed) < 1:
            return
        next_plan = plan(
            Situation(
                now=now,
                requests=tuple(self.open.values()),
                due=self._due(now),
                webhook_health=self.webhook_health,
                intervals=self.intervals,
                calls=calls,
                borrowed=borrowed,
                checkpoint=self.checkpoint,
            )
        )
        self.retry_at = 0.0 if next_plan.retry_at is None else next_plan.retry_at
        if next_plan.kind != "nothing":
            self._carry_out(PlanExecution(next_plan), "reconcile" if calls else "overdue")

    def _due(self, now: float) -> tuple[OpenRequest, ...]:
        due = sorted((moment, one) for one, moment in self.due_at.items() if moment <= now)
        return tuple([self._placed(one) for _, one in due])

    def _placed(self, one: int) -> OpenRequest:
        return msgspec.structs.replace(self.open[one], newer=self.vendor.newer(one))

    def _set_intervals(self, now: float) -> None:
        while self._recent and self._recent[0] < now - 3 * HOUR:
            self._recent.popleft()
        rate = len(self._recent) / (min(now, 3 * HOUR) / HOUR)
        self.webhook_health = msgspec.structs.replace(self.webhook_health, ended_per_hour=rate)
        calls = reconcile_calls_per_hour(self.tokens, self.rules)
        known = [self._placed(one) for one in self.open]
        self.intervals = intervals(known, self.webhook_health, now=now, calls_per_hour=calls)
        self.due_at = {one: self.intervals.due_at(request) for one, request in self.open.items()}

    def _carry_out(self, reconcile: PlanExecution, purpose: Purpose) -> None:
        found: list[int] = []
        while (call := reconcile.next_call()) is not None and (answer := self._answer(call, purpose)) is not None:
            findings = reconcile.step(call, answer)
            found += self._note(findings.open, findings.ended)
        self.checkpoint = reconcile.checkpoint
        self._count_bound(found)

    def _discover(self, now: float) -> None:
        """Discovery of requests asked elsewhere: there are none here, but it costs calls."""
        found: list[int] = []
        while self.horizon.due_at(self.intervals.shortest) <= now:
            answer = self._answer(self.horizon.next_call(100), "reconcile")
            if not isinstance(answer, Rows):
                break
            rows = answer.rows
            found += self._note([row.id for row in rows if not row.ended], [row.id for row in rows if row.ended])
        self._count_bound(found)

    def _answer(self, call: Call, purpose: Purpose) -> Row | Rows | None:
        """The answer to a call; None where the budget has no call left, or HITL.sh refuses it."""
        now = self.vendor.now
        if not self.pay(purpose, now):
            return None
        if not self.vendor.call():
            self.tokens = observe(self.tokens, now, remaining=0)
            return None
        self.tokens = observe(self.tokens, now, remaining=self.vendor.remaining, resets_at=self.vendor.resets_at)
        if not isinstance(call, List):
            return self.vendor.row(int(call.id))
        page = self.vendor.page(call.offset, call.limit, call.status)
        self.horizon = self.horizon.step(call, page, now)
        return page

    def _note(self, still_open: Iterable[str], ended: Iterable[str]) -> list[int]:
        """Record what an answer shows; returns the newly ended requests."""
        for name in still_open:
            self.checked(int(name))
        news = [int(name) for name in ended if int(name) in self.open]
        for one in news:
            self.learn(one, by_webhook=False)
        return news

    def _count_bound(self, found: list[int]) -> None:
        self.bound += len(cover(((self.vendor.ended_newer(one), str(one)) for one in found), 100))

    def checked(self, one: int) -> None:
        self.open[one] = msgspec.structs.replace(self.open[one], last_checked=self.vendor.now)
        self.due_at[one] = self.intervals.due_at(self.open[one])

    def pay(self, purpose: Purpose, now: float) -> bool:
        self.tokens, wait = spend(self.tokens, self.rules, purpose, now)
        return wait == 0


def line(name: str, client: Client) -> str:
    missed = client.day.missed()
    delays = sorted(client.learned[one] - client.day.ended[one] for one in missed if one in client.learned)
    ended = [one for one in client.day.by_end if 0 <= client.day.ended[one] < DAY]
    share = sum(one in client.learned for one in ended) / len(ended)
    times = (
        "      -       -" if not delays else (f"{median(delays) / 60:7.1f} {delays[int(len(delays) * 0.99)] / 60:7.1f}")
    )
    vendor = client.vendor
    bound = ""
    if isinstance(client, Ours) and client.bound:
        bound = f"{client.bound / END * HOUR:7.2f} {vendor.calls / client.bound:6.2f}"
    return f"  {name:<12} {vendor.calls / END * HOUR:9.1f} {share:8.2%} {times} {vendor.violations:10,} {bound}"


def main(*sizes: int) -> None:
    began = time.perf_counter()
    for per_day in sizes:
        for title, loss, outage in (
            ("no webhook lost", 0.0, None),
            ("5 % lost", 0.05, None),
            ("all lost", 1.0, None),
            ("our side down for 6 h", 0.0, OUTAGE),
        ):
            day = Day(per_day, loss=loss, outage=outage)
            print(
                f"\n{per_day:,} requests a day, {title}; {day.limit} calls an hour, "
                f"{per_day / 24:.0f} of them spent on asking"
            )
            print("               calls/h    found  median     p99  violations   bound  ratio   (minutes)")
            for name, kind in (("ours", Ours), ("poll each", PollEach), ("list hourly", ListHourly)):
                client = kind(day)
                client.run()
                print(line(name, client))
    print(f"\n{time.perf_counter() - began:.0f} s")


if __name__ == "__main__":
    main(*([int(word) for word in sys.argv[1:]] or (200, 2_000, 20_000)))
