"""Planner, reconcile run, discovery and budget together on a moving list: no decision is missed or invented."""

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.workers.reconcile.polling_simulation import LIMIT, LOOKBACK, START, Ledger, Request, Vendor
from workers.inbox.budget.hourly_calls import HOUR

pytestmark = pytest.mark.slow

#: Everything is told of within so many seconds.
BOUND = 30 * HOUR

Step = tuple[str, int]
VERBS = ["ask", "ask", "foreign", "complete", "complete", "cancel", "claim", "webhook", "refuse", "delete", "wait"]
steps = st.lists(st.tuples(st.sampled_from([*VERBS, "reconcile", "reconcile"]), st.integers(0, 200)), max_size=80)


class Days:
    """A series of steps, also between the calls of a reconcile run."""

    def __init__(self, vendor: Vendor, taken: Iterator[Step]) -> None:
        self.vendor = vendor
        self.ledger = Ledger(vendor)
        self._steps = taken

    def go(self) -> None:
        for verb, number in self._steps:
            if verb == "reconcile":
                self.ledger.reconcile(number % 6 + 1, self._meanwhile)
            else:
                getattr(self, verb)(number)

    def _meanwhile(self) -> None:
        """The list moves while it is read."""
        verb, number = next(self._steps, ("reconcile", 0))
        if verb not in ("reconcile", "wait"):
            getattr(self, verb)(number)

    def _open(self, number: int) -> Request | None:
        waiting = [one for one in self.vendor.requests.values() if not one.ended]
        return waiting[number % len(waiting)] if waiting else None

    def ask(self, number: int) -> None:
        for _ in range(number % 12 + 1):
            self.ledger.ask()

    def foreign(self, number: int) -> None:
        for _ in range(number % 15):
            self.vendor.create()

    def complete(self, number: int) -> None:
        if (one := self._open(number)) is not None:
            self.vendor.decide(one, "completed")

    def cancel(self, number: int) -> None:
        if (one := self._open(number)) is not None:
            self.vendor.decide(one, "cancelled")

    def claim(self, number: int) -> None:
        if (one := self._open(number)) is not None:
            one.status = "claimed"

    def webhook(self, number: int) -> None:
        if (one := self._open(number)) is not None:
            self.vendor.decide(one, "completed")
            self.ledger.webhook(one)

    def refuse(self, number: int) -> None:
        if (one := self._open(number)) is not None:
            self.vendor.decide(one, "timeout")
            self.ledger.refuse(one)

    def delete(self, number: int) -> None:
        """A loop of some requests."""
        names = list(self.vendor.requests)
        for name in names[number % (len(names) + 1) :][: number % 30]:
            del self.vendor.requests[name]

    def wait(self, number: int) -> None:
        self.vendor.now += number**2


def long_ago(days: Days, told: int, sparse: int) -> None:
    """Two days of our own requests, of which every so many is still open."""
    for number in range(told):
        request = days.vendor.create(age=48 * HOUR * (1 - number / told))
        days.ledger.track(request)
        if number % sparse:
            days.vendor.decide(request, "completed", ago=HOUR / 2)
            days.ledger.webhook(request)


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None, max_examples=200)
@given(
    told=st.integers(0, 150),
    sparse=st.integers(2, 30),
    before=st.lists(st.tuples(st.integers(0, 60 * 3600), st.booleans()), max_size=20),
    top_of_hour=st.booleans(),
    tells=st.booleans(),
    says_more=st.booleans(),
    taken=steps,
)
def test_everything_is_found_or_reported_missing_and_no_call_is_refused(
    told: int,
    sparse: int,
    before: list[tuple[int, bool]],
    top_of_hour: bool,
    tells: bool,
    says_more: bool,
    taken: list[Step],
) -> None:
    vendor = Vendor(top_of_hour=top_of_hour, tells=tells, says_more=says_more)
    days = Days(vendor, iter(taken))
    long_ago(days, told, sparse)
    for age, ended in before:
        request = vendor.create(age=age)
        if ended:
            vendor.decide(request, "completed", ago=age / 2)

    days.go()
    settled_by = vendor.now + BOUND
    while days.ledger.overlooked or days.ledger.first is not None:
        assert vendor.now < settled_by, f"overlooked: {days.ledger.overlooked}"
        days.ledger.reconcile(LIMIT, lambda: None)
        vendor.now = days.ledger.next_check

    listed = [request for request in vendor.requests.values() if request.id in days.ledger.found]
    assert all(request.decided_at is not None and request.decided_at >= START - LOOKBACK for request in listed)
