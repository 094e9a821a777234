"""Weeks of one stack whose API key is replaced by another account's: nothing runs twice, and nothing is lost."""

from collections.abc import Iterator

import pytest

from hitlsh.api import Client
from hitlsh.signatures import headers
from service.web.app import WEBHOOKS
from tests.builders import payload
from tests.processes.reconcile_stack import API_KEY
from tests.processes.stacks import SECRET
from tests.processes.time_lapse import DAY, HOUR, OTHER_KEY, RETENTION, TimeLapseStack, time_lapse_stack

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


class Weeks:
    """39 days of a stack that has the other account's key for the eleventh."""

    def __init__(self, life: TimeLapseStack) -> None:
        self.life = life
        with Client(OTHER_KEY, base_url=life.sandbox.base_url) as client:
            self.other_loop = client.loops.create("Another desk", icon="key").loop.id
        life.sandbox.add_member(self.other_loop, "bo@example.com")
        #: Requests of the other account that were decided ten days before its key is first used, and one after that.
        self.decided_before = [life.ask_elsewhere(self.other_loop, key=OTHER_KEY) for _ in range(3)]
        self.decided_after = ""
        loop = life.make_loop()
        #: Decided on the first day.
        self.finished = life.ask(loop)
        #: Open while its key is gone.
        self.unreachable = life.ask(loop)
        #: What the command `requests --state unreachable` printed before the key was back, and what had run by then.
        self.listed_as_unreachable = ""
        self.ran_while_unreachable: set[str] = set()
        #: The replies to the body without an end time.
        self.statuses: list[int] = []

    def pass_all(self) -> None:
        life = self.life
        for request in (*self.decided_before, self.finished):
            life.decide(request)
        life.wait_until_paid([self.finished])

        # No reconcile run with its key tells of the finished request again, in all that time. The inbox clock stands
        # still when the other key is first used.
        life.pass_time(10 * DAY, HITL_API_KEY=OTHER_KEY)
        life.wait_for_reconcile_runs()
        life.pass_time(DAY, at_the_end=self._decide_after)
        life.wait_until_paid([self.decided_after])
        self.listed_as_unreachable = life.run("requests", "--state", "unreachable", "--json")
        self.ran_while_unreachable = {one.request for one in life.handled()}

        life.pass_time(DAY, HITL_API_KEY=API_KEY, HITL_DISCOVER="0")
        life.sandbox.fault("drop", times=None, match={"request_id": self.unreachable})
        life.sandbox.answer(self.unreachable, True)
        life.pass_time(RETENTION + HOUR - life.passed)
        life.wait_until_paid([self.unreachable])
        self._post_without_end_time()
        # A callback token is good for 40 days.
        life.pass_time(9 * DAY)
        self._post_without_end_time()

    def _decide_after(self) -> None:
        self.decided_after = self.life.ask_elsewhere(self.other_loop, key=OTHER_KEY)
        self.life.decide(self.decided_after)

    def _post_without_end_time(self) -> None:
        body = payload(self.finished, True, response_at=None, created_at=None, response_time_seconds=None)
        self.statuses.append(self.life.post_to(WEBHOOKS, body, headers(SECRET, body)).status_code)
        self.life.wait_until_quiet()


@pytest.fixture(scope="module")
def weeks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Weeks]:
    with time_lapse_stack(tmp_path_factory.mktemp("weeks")) as life:
        weeks = Weeks(life)
        weeks.pass_all()
        yield weeks


def test_a_body_without_an_end_time_is_remembered_longer_than_its_event(weeks: Weeks) -> None:
    assert [200 <= status < 300 for status in weeks.statuses] == [True, True]
    assert (weeks.life.runs("note", weeks.finished), weeks.life.runs("pay", weeks.finished)) == (1, 1)


def test_another_accounts_key_does_not_run_what_that_account_decided_before(weeks: Weeks) -> None:
    # The default HITL_LOOKBACK is a day: what was decided ten days before this key's first start is stale.
    assert [weeks.life.runs("note", request) for request in weeks.decided_before] == [0] * 3


def test_another_accounts_key_runs_what_is_decided_from_its_first_use_on(weeks: Weeks) -> None:
    assert weeks.life.runs("pay", weeks.decided_after) == 1


def test_open_requests_of_a_key_that_is_gone_are_not_lost_and_run_when_it_is_back(weeks: Weeks) -> None:
    life, request = weeks.life, weeks.unreachable

    assert request in weeks.listed_as_unreachable
    assert weeks.ran_while_unreachable == {weeks.finished, weeks.decided_after}
    assert (life.runs("pay", request), life.runs("note", request)) == (1, 1)
