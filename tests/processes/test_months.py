"""Months of one stack: a decision runs once, even after its record has expired or if it arrives late."""

from collections.abc import Iterator

import pytest

from hitlsh.signatures import headers
from service.web.app import WEBHOOKS
from tests.builders import payload
from tests.processes.stacks import SECRET
from tests.processes.time_lapse import DAY, RETENTION, TimeLapseStack, time_lapse_stack

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


class Months:
    """90 days of a stack, and what was asked on the way."""

    def __init__(self, life: TimeLapseStack) -> None:
        self.life = life
        self.loop = life.make_loop()
        #: Requests that were decided soon after they were asked.
        self.decided: list[str] = []
        self.open_for_29_days = life.ask(self.loop)
        #: Whether anything ran of it before its webhook came.
        self.ran_while_open = False
        self.decided_in_outage = ""

    def pass_all(self) -> None:
        life = self.life
        self._decide(*[life.ask(self.loop) for _ in range(5)])
        life.wait_until_paid(self.decided)

        life.pass_time(29 * DAY, at_the_end=self._decide_elsewhere)
        self.ran_while_open = life.runs("note", self.open_for_29_days) > 0
        self.decided_in_outage = life.ask(self.loop)
        life.decide(self.open_for_29_days)
        self._decide(life.ask(self.loop))
        life.wait_until_paid([*self.decided, self.open_for_29_days])

        life.pass_time(29 * DAY, at_the_end=self._decide_elsewhere)
        self._decide(life.ask(self.loop))
        life.wait_until_paid(self.decided)

        life.gate.shut()
        life.sandbox.fault("drop", times=None, match={"request_id": self.decided_in_outage})
        life.sandbox.answer(self.decided_in_outage, True)
        life.pass_time(RETENTION + 2 * DAY)
        # This stack hears of the decision in the outage for the first time. The others are looked for again, as before
        # when they were 29 and 58 days old: they are older than the retention, up to three times.
        life.gate.open()
        life.wait_until_paid([self.decided_in_outage])

    def _decide_elsewhere(self) -> None:
        self._decide(self.life.ask_elsewhere(self.loop))

    def _decide(self, *requests: str) -> None:
        for request in requests:
            self.life.decide(request)
        self.decided += requests


@pytest.fixture(scope="module")
def life(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TimeLapseStack]:
    with time_lapse_stack(tmp_path_factory.mktemp("months")) as running:
        yield running


@pytest.fixture(scope="module")
def months(life: TimeLapseStack) -> Months:
    months = Months(life)
    months.pass_all()
    return months


def post_body_of_2024(life: TimeLapseStack, request: str) -> int:
    """Answers the status of the reply."""
    body = payload(request, True, response_at="2024-05-01T11:59:00Z", created_at="2024-05-01T11:58:00Z")
    reply = life.post_to(WEBHOOKS, body, headers(SECRET, body))
    life.wait_until_quiet()
    return reply.status_code


def test_a_body_of_2024_that_was_captured_is_kept_as_stale_and_runs_nothing(life: TimeLapseStack) -> None:
    request = "66322f000000000000000001"

    status = post_body_of_2024(life, request)

    assert 200 <= status < 300
    assert [one for one in life.handled() if one.request == request] == []
    assert "stale" in life.run("show", f"request.completed:{request}")


def test_a_stale_event_can_be_replayed_by_a_person(life: TimeLapseStack) -> None:
    request = "66322f000000000000000002"
    post_body_of_2024(life, request)
    assert life.runs("note", request) == 0

    life.run("replay", f"request.completed:{request}", "--yes")

    life.wait(lambda: life.runs("note", request), 20.0, "it is handled")
    life.wait_until_settled()
    assert life.runs("note", request) == 1


def test_90_days_with_decisions_every_29_run_each_of_them_once_and_none_again_after_the_retention(
    months: Months,
) -> None:
    assert len(months.decided) == 9
    for handler in ("pay", "note"):
        runs = {request: months.life.runs(handler, request) for request in months.decided}
        assert runs == dict.fromkeys(months.decided, 1), handler


def test_a_request_that_was_open_for_29_days_runs_once_when_its_webhook_comes(months: Months) -> None:
    life, request = months.life, months.open_for_29_days

    assert not months.ran_while_open
    assert (life.runs("pay", request), life.runs("note", request)) == (1, 1)
    assert {one.state for one in life.handled() if one.request == request} == {"kept"}


def test_a_tracked_request_is_delivered_once_after_an_outage_longer_than_the_retention(months: Months) -> None:
    life, request = months.life, months.decided_in_outage

    assert (life.runs("pay", request), life.runs("note", request)) == (1, 1)
