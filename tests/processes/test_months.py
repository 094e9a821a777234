"""Months of one stack: a decision runs once, even after its record has expired or if it arrives late."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from hitlsh.api import Client, boolean
from hitlsh.signatures import headers
from service.web.app import WEBHOOKS
from tests.builders import payload
from tests.processes.reconcile_stack import API_KEY
from tests.processes.stacks import SECRET
from tests.processes.time_lapse import DAY, HOUR, OTHER_KEY, TimeLapseStack, time_lapse_stack

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

#: `HITL_RETENTION_DAYS` where nobody sets it.
RETENTION = 30 * DAY


@pytest.fixture
def life(tmp_path: Path) -> Iterator[TimeLapseStack]:
    with time_lapse_stack(tmp_path) as running:
        yield running


def wait_until_paid(life: TimeLapseStack, requests: list[str]) -> None:
    life.wait(lambda: all(life.runs("pay", request) for request in requests), 90.0, "each is confirmed and paid")


def test_no_finished_decision_runs_again_after_the_retention(life: TimeLapseStack) -> None:
    loop = life.make_loop()
    requests = [life.ask(loop) for _ in range(5)]
    for request in requests:
        life.decide(request)
    wait_until_paid(life, requests)
    life.wait_until_quiet()

    life.pass_time(RETENTION + HOUR)
    life.wait_for_reconcile_runs()

    assert [life.runs("pay", request) for request in requests] == [1] * 5
    assert [life.runs("note", request) for request in requests] == [1] * 5


def test_60_days_with_decisions_every_twenty_run_each_of_them_once(life: TimeLapseStack) -> None:
    loop, requests = life.make_loop(), list[str]()
    for _ in range(3):
        with life.elsewhere() as client:
            asked_elsewhere = client.requests.create(
                loop, "Pay?", boolean(), default_response=False, timeout_seconds=3_600
            )
        fresh = [life.ask(loop), asked_elsewhere.request_id]
        for request in fresh:
            life.decide(request)
        requests += fresh
        life.pass_time(HOUR)
        wait_until_paid(life, requests)
        life.wait_until_quiet()
        # Each is looked for again when it is younger than the retention, older, and twice as old.
        life.pass_time(20 * DAY)
        life.wait_for_reconcile_runs()

    assert {request: life.runs("pay", request) for request in requests} == dict.fromkeys(requests, 1)
    assert {request: life.runs("note", request) for request in requests} == dict.fromkeys(requests, 1)


def test_a_body_of_2024_that_was_captured_is_kept_as_stale_and_runs_nothing(life: TimeLapseStack) -> None:
    times = {"response_at": "2024-05-01T11:59:00Z", "created_at": "2024-05-01T11:58:00Z"}
    request = "66322f000000000000000001"
    body = payload(request, True, **times)

    reply = life.post_to(WEBHOOKS, body, headers(SECRET, body))

    assert 200 <= reply.status_code < 300
    life.wait_until_quiet()
    assert life.handled() == []
    assert "stale" in life.run("show", f"request.completed:{request}")


def test_a_stale_event_can_be_replayed_by_a_person(life: TimeLapseStack) -> None:
    times = {"response_at": "2024-05-01T11:59:00Z", "created_at": "2024-05-01T11:58:00Z"}
    request = "66322f000000000000000002"
    body = payload(request, True, **times)
    life.post_to(WEBHOOKS, body, headers(SECRET, body))
    life.wait_until_quiet()
    assert life.runs("note", request) == 0

    life.run("replay", f"request.completed:{request}", "--yes")

    life.wait(lambda: life.runs("note", request), 20.0, "it is handled")
    life.wait_until_settled()
    assert life.runs("note", request) == 1


def test_a_body_without_an_end_time_is_remembered_longer_than_its_event(life: TimeLapseStack) -> None:
    request = life.ask(life.make_loop())
    life.decide(request)
    wait_until_paid(life, [request])
    life.wait_until_quiet()
    body = payload(request, True, response_at=None, created_at=None, response_time_seconds=None)

    # A callback token is good for 40 days. No reconcile run tells of the request again meanwhile.
    for seconds in (RETENTION + HOUR, 9 * DAY):
        life.pass_time(seconds, HITL_DISCOVER="0")
        reply = life.post_to(WEBHOOKS, body, headers(SECRET, body))
        assert 200 <= reply.status_code < 300
        life.wait_until_quiet()

    assert (life.runs("note", request), life.runs("pay", request)) == (1, 1)


def test_a_request_that_was_open_for_29_days_runs_once_when_its_webhook_comes(life: TimeLapseStack) -> None:
    request = life.ask(life.make_loop())

    life.pass_time(29 * DAY)
    assert life.runs("note", request) == 0
    life.decide(request)

    wait_until_paid(life, [request])
    life.wait_until_quiet()
    assert (life.runs("pay", request), life.runs("note", request)) == (1, 1)
    assert {one.state for one in life.handled()} == {"kept"}


def test_a_tracked_request_is_delivered_once_after_an_outage_longer_than_the_retention(
    life: TimeLapseStack,
) -> None:
    request = life.ask(life.make_loop())
    life.pass_time(20 * DAY)
    life.gate.shut()
    life.sandbox.fault("drop", times=None, match={"request_id": request})
    life.sandbox.answer(request, True)

    # Decided two days more than the retention ago, and the first that this stack hears of it.
    life.pass_time(RETENTION + 2 * DAY)
    life.gate.open()
    wait_until_paid(life, [request])
    life.wait_until_quiet()

    assert (life.runs("pay", request), life.runs("note", request)) == (1, 1)


def test_another_accounts_key_does_not_run_what_that_account_decided_before(life: TimeLapseStack) -> None:
    with Client(OTHER_KEY, base_url=life.sandbox.base_url) as client:
        loop = client.loops.create("Another desk", icon="key").loop.id
        life.sandbox.add_member(loop, "bo@example.com")
        old = [
            client.requests.create(loop, "Pay?", boolean(), default_response=False, timeout_seconds=3_600).request_id
            for _ in range(3)
        ]
    for request in old:
        life.decide(request)
    life.pass_time(10 * DAY)
    life.wait_for_reconcile_runs()

    # The default HITL_LOOKBACK is a day: what was decided ten days before this key's first start is stale.
    life.pass_time(HOUR, HITL_API_KEY=OTHER_KEY)
    life.wait_for_reconcile_runs()

    assert [life.runs("note", request) for request in old] == [0] * 3
    # The key works: what is decided from now on is found.
    with Client(OTHER_KEY, base_url=life.sandbox.base_url) as client:
        created = client.requests.create(loop, "Pay?", boolean(), default_response=False, timeout_seconds=3_600)
    life.decide(created.request_id)
    life.pass_time(HOUR)
    wait_until_paid(life, [created.request_id])
    life.wait_until_quiet()
    assert life.runs("pay", created.request_id) == 1
    assert [life.runs("note", request) for request in old] == [0] * 3


def test_open_requests_of_a_key_that_is_gone_are_not_lost_and_run_when_it_is_back(life: TimeLapseStack) -> None:
    request = life.ask(life.make_loop())
    life.pass_time(2 * DAY, HITL_API_KEY=OTHER_KEY)
    life.wait_until_quiet()
    life.pass_time(2 * DAY)
    life.wait_until_quiet()
    assert request in life.run("requests", "--state", "unreachable", "--json")
    assert life.handled() == []

    life.pass_time(DAY, HITL_API_KEY=API_KEY)
    life.sandbox.fault("drop", times=None, match={"request_id": request})
    life.sandbox.answer(request, True)
    life.pass_time(DAY)

    wait_until_paid(life, [request])
    life.wait_until_quiet()
    assert (life.runs("pay", request), life.runs("note", request)) == (1, 1)
