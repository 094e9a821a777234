"""`hitl-receiver stats` counts decisions and measures how fast they reached their handlers."""

import json
from datetime import UTC, datetime

import pytest
from redis import Redis

from service.cli.reports.stats import percentile
from tests.builders import RECEIVED, ago, delivery, payload
from tests.service.cli.reports.conftest import Run, answered, decide
from workers.inbox.operations.failures import discard
from workers.inbox.queries.search import Filter
from workers.inbox.worker_inbox import WorkerInbox


async def test_decisions_are_counted_by_handler_and_outcome(run: Run, inbox: WorkerInbox) -> None:
    await decide(inbox, answered("a", response_at=ago(30)), answered("b", response_at=ago(90)), pay="done")
    await decide(inbox, payload("c", status="timeout"), pay="failed", notify="skipped")
    await decide(inbox, answered("d"))

    told = run("stats").stdout.splitlines()
    counted = json.loads(run("stats", "--json").stdout)

    assert told[0].startswith("4 decisions since ")
    assert told[0].endswith(": 3 completed, 1 timeout, 0 cancelled.")
    assert [line.split()[:9] for line in told[2:]] == [
        ["HANDLER", "COMPLETED", "TIMEOUT", "CANCELLED", "DONE", "SKIPPED", "FAILED", "DROPPED", "OPEN"],
        ["(none)", "1", "0", "0", "0", "0", "0", "0", "0"],
        ["notify", "0", "1", "0", "0", "1", "0", "0", "0"],
        ["pay", "2", "1", "0", "2", "0", "1", "0", "0"],
    ]
    assert counted["decisions"] == {"completed": 3, "timeout": 1, "cancelled": 0}
    since_received = (datetime.now(UTC) - RECEIVED).total_seconds()
    assert 29 <= counted["handlers"]["pay"]["median_seconds"] <= 30 + since_received
    assert 89 <= counted["handlers"]["pay"]["p95_seconds"] <= 90 + since_received


async def test_an_outcome_that_does_not_hold_is_left_out(run: Run, inbox: WorkerInbox) -> None:
    await decide(inbox, answered("a", response="Approve"), answered("a", response="Reject"), pay="done")

    assert json.loads(run("stats", "--json").stdout)["decisions"]["completed"] == 1


async def test_a_discarded_effect_is_not_open(run: Run, inbox: WorkerInbox, redis: Redis) -> None:
    await decide(inbox, answered("a"), pay="failed")
    discard(redis, Filter(handler="pay"), reason="paid by hand", retention=86_400)

    figures = json.loads(run("stats", "--json").stdout)["handlers"]["pay"]
    assert (figures["failed"], figures["dropped"], figures["open"]) == (0, 1, 0)


async def test_a_window_and_a_handler_are_selected(run: Run, inbox: WorkerInbox) -> None:
    await decide(inbox, answered("a"), pay="done", notify="done")

    assert list(json.loads(run("stats", "--json", "--handler", "pay").stdout)["handlers"]) == ["pay"]
    assert run("stats", "--until", "1h").stderr == "No matching decisions.\n"
    assert run("stats", "--handler", "nosuch").exit_code == 1


async def test_a_request_that_is_open_is_no_decision(run: Run, inbox: WorkerInbox) -> None:
    await inbox.accept([delivery(payload("a", status="claimed"))])

    assert run("stats").stderr == "No matching decisions.\n"


@pytest.mark.parametrize(
    ("values", "share", "value"),
    [([], 0.5, None), ([7.0], 0.95, 7.0), ([1.0, 2.0, 3.0], 0.5, 2.0), ([float(n) for n in range(1, 101)], 0.95, 95.0)],
)
def test_a_percentile_is_one_of_the_values(values: list[float], share: float, value: float | None) -> None:
    assert percentile(values, share) == value
