"""`hitl-receiver reconcile` against a sandbox: what it finds, prints and ends with, and what it would do."""

import json
import os
import re
import signal
import threading
import time
from collections.abc import Iterator

import pytest
from click.testing import CliRunner, Result
from redis import Redis

from hitl_sandbox.testing import Sandbox
from hitlsh.api import Client
from service.cli.main import cli
from service.cli.reconciliation.reconcile import INTERRUPTED
from service.local.embedded_server import EmbeddedServer
from tests.inbox_records import recent
from tests.service.cli.tracked import Run, counts
from tests.service.conftest import wait_until
from tests.workers.reconcile.asked import HOUR, KEY, ask
from workers.inbox import keys
from workers.inbox.budget.redis_budget import RedisBudget


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    """Its clock stands still, two hours back."""
    with Sandbox(keys={KEY: "owner@example.com"}, speed=0, start=time.time() - 2 * HOUR) as running:
        yield running


@pytest.fixture
def api(sandbox: Sandbox) -> Iterator[Client]:
    with Client(KEY, base_url=sandbox.base_url) as client:
        yield client


@pytest.fixture
def loop(api: Client, sandbox: Sandbox) -> str:
    made = api.loops.create("Desk", icon="key").loop
    sandbox.add_member(made.id, "ann@example.com")
    return made.id


@pytest.fixture
def run(server: EmbeddedServer, redis: Redis, sandbox: Sandbox) -> Run:
    """Runs `reconcile`, without discovery unless told."""

    def invoke(*words: str, **environ: str | None) -> Result:
        env = {
            "REDIS_URL": server.url,
            "HITL_API_KEY": KEY,
            "HITL_BASE_URL": sandbox.base_url,
            "HITL_DISCOVER": "0",
        }
        return CliRunner().invoke(cli, ("reconcile", *words), env=env | environ)

    return invoke


@pytest.fixture
def answered(redis: Redis, sandbox: Sandbox, api: Client, loop: str) -> str:
    """A request whose decision no webhook told of."""
    request = ask(api, redis, loop)
    sandbox.answer(request, False)
    sandbox.advance(2 * HOUR)
    return request


def kept(redis: Redis) -> dict[bytes, bytes]:
    """All there is, but for what each process counts and the time."""
    passing = {keys.COUNTERS.encode(), keys.CLOCK.encode()}
    return {name: redis.dump(name) for name in redis.scan_iter() if name not in passing}


# -- reconciling ------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_decision_without_a_webhook_is_found_and_counted(run: Run, redis: Redis, answered: str) -> None:
    result = run()

    assert result.exit_code == 0
    assert (counts(result.stdout)["found"], counts(result.stdout)["calls"]) == (1, 1)
    [event] = recent(redis)
    assert (event.content.request_id, event.content.response) == (answered, False)


def test_the_report_is_available_as_json(run: Run, answered: str) -> None:
    told = json.loads(run("--json").stdout)

    assert (told["found"], told["calls"], told["trouble"], told["next_check_at"]) == (1, 1, None, None)
    assert told["reason"].startswith("1 due")


def test_a_request_that_stays_open_is_checked_later(
    run: Run, redis: Redis, sandbox: Sandbox, api: Client, loop: str
) -> None:
    ask(api, redis, loop)
    sandbox.advance(2 * HOUR)

    result = run()

    assert re.search(r"^next check +in \d+ min$", result.stdout, re.MULTILINE)


def test_what_is_not_due_is_checked_when_a_person_says_now(
    run: Run, redis: Redis, sandbox: Sandbox, api: Client, loop: str
) -> None:
    request = ask(api, redis, loop)
    sandbox.advance(2 * HOUR)
    run()
    sandbox.answer(request, False)

    without, planned, forced = run(), run("--now", "--dry-run", "--json"), run("--now")

    assert (counts(without.stdout)["calls"], counts(forced.stdout)["calls"]) == (0, 1)
    assert "`hitl-receiver reconcile --now` checks all the same" in without.stderr
    assert json.loads(planned.stdout)["plan"]["calls"] == 1
    assert counts(forced.stdout)["found"] == 1
    assert "1 checked at once (0 past due or refused) of 1 open" in forced.stdout
    assert [event.content.request_id for event in recent(redis)] == [request]


def test_requests_asked_elsewhere_are_discovered_at_once_when_a_person_says_now(
    run: Run, sandbox: Sandbox, api: Client, redis: Redis, loop: str
) -> None:
    run(HITL_DISCOVER="1")
    ask(api, redis, loop, known=False)

    without, forced = run(HITL_DISCOVER="1"), run("--now", HITL_DISCOVER="1")

    assert counts(without.stdout)["discovered"] == 0
    assert counts(forced.stdout)["discovered"] == 1


def test_many_requests_are_checked_at_once_with_few_calls(
    run: Run, sandbox: Sandbox, api: Client, redis: Redis, loop: str
) -> None:
    for _ in range(12):
        ask(api, redis, loop)

    assert counts(run("--now").stdout)["calls"] <= 2


def test_a_spent_budget_stops_a_run_that_a_person_wants_now(
    run: Run, sandbox: Sandbox, api: Client, redis: Redis, loop: str
) -> None:
    ask(api, redis, loop)

    result = run("--now", HITL_RECONCILE_SHARE="0.01")

    assert (result.exit_code, counts(result.stdout)["calls"] <= 1) == (0, True)


def test_requests_asked_elsewhere_are_discovered(
    run: Run, redis: Redis, sandbox: Sandbox, api: Client, loop: str
) -> None:
    ask(api, redis, loop, known=False)
    sandbox.advance(2 * HOUR)

    result = run(HITL_DISCOVER="1")

    assert counts(result.stdout)["discovered"] == 1


@pytest.mark.usefixtures("answered")
def test_a_refused_key_is_an_error_with_the_answer_of_hitl_sh(run: Run) -> None:
    result = run(HITL_API_KEY="hitl_test_of_somebody_else_entirely", HITL_DISCOVER="1")

    assert result.exit_code == 1
    assert "error" in result.stdout
    assert "key_refused: " in result.stdout


@pytest.mark.usefixtures("answered")
def test_without_calls_left_it_reports_the_next_check(run: Run, redis: Redis) -> None:
    budget = RedisBudget(redis, KEY, purpose="asking")
    while budget.spend() == 0.0:
        pass

    told = json.loads(run("--json").stdout)

    assert (told["calls"], told["found"]) == (0, 0)
    assert told["next_check_at"] is not None


def test_without_an_api_key_there_is_no_run(run: Run, sandbox: Sandbox) -> None:
    for words in ((), ("--dry-run",)):
        result = run(*words, HITL_API_KEY=None)

        assert (result.exit_code, result.stdout) == (2, "")
        assert result.stderr.startswith("HITL_API_KEY is not set, so HITL.sh cannot be polled")
    assert sandbox.calls() == []


def test_a_second_run_reports_the_lease_of_the_first(run: Run, redis: Redis) -> None:
    redis.set(keys.RECONCILE_LEASE, 99, px=9_500)

    result = run()

    assert result.exit_code == 1
    assert result.stderr.startswith("Error: Another reconcile run is active. Its lease ends in ")


def test_a_worker_that_could_not_reconcile_is_reported_as_such(run: Run, redis: Redis) -> None:
    redis.set(keys.RECONCILE_LEASE, 0, px=60_000)

    assert "A worker could not reconcile, so no run begins for another" in run().stderr


@pytest.mark.slow
def test_ctrl_c_ends_it_after_the_current_call(
    run: Run, redis: Redis, sandbox: Sandbox, api: Client, loop: str
) -> None:
    ask(api, redis, loop)
    sandbox.advance(2 * HOUR)
    sandbox.fault("slow", seconds=1.0)
    threading.Thread(target=_interrupt, args=[sandbox], daemon=True).start()

    result = run(HITL_DISCOVER="1")

    assert result.exit_code == INTERRUPTED
    assert counts(result.stdout)["calls"] == 1
    assert re.search(r"^next check +now$", result.stdout, re.MULTILINE)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def _interrupt(sandbox: Sandbox) -> None:
    """While the first of its two calls is in flight, which the fault slows down."""
    wait_until(lambda: any(fault["occurrences"] for fault in sandbox.state()["faults"]))
    os.kill(os.getpid(), signal.SIGINT)


# -- what would be -------------------------------------------------------------------------------------


@pytest.mark.usefixtures("answered")
def test_a_dry_run_shows_the_plan_its_cost_and_the_budget(run: Run) -> None:
    result = run("--dry-run")

    shown = result.stdout
    assert result.exit_code == 0
    assert "single: 1 due (0 past due or refused) of 1 open" in shown
    assert (counts(shown)["calls"], counts(shown)["open requests"]) == (1, 1)
    assert counts(shown)["overdue calls"] >= counts(shown)["routine calls"] > 0
    assert "every open request is checked at least every" in shown
    assert "off (HITL_DISCOVER=0)" in shown


@pytest.mark.usefixtures("answered")
def test_a_dry_run_calls_and_writes_nothing(run: Run, redis: Redis, sandbox: Sandbox) -> None:
    before, calls = kept(redis), len(sandbox.calls())

    run("--dry-run", HITL_DISCOVER="1")

    assert kept(redis) == before
    assert len(sandbox.calls()) == calls


@pytest.mark.usefixtures("answered")
def test_the_plan_is_available_as_json(run: Run) -> None:
    told = json.loads(run("--dry-run", "--json").stdout)

    assert (told["plan"]["kind"], told["plan"]["calls"], told["plan"]["single_reads"]) == ("single", 1, 0)
    assert (told["open"], told["awaiting_confirmation"]) == (1, 0)
    assert told["check_interval"]["warning"] is None
    assert told["discovery"] == {"on": False, "next_at": None}


def test_the_first_run_reads_every_open_request(run: Run) -> None:
    result = run("--dry-run", HITL_DISCOVER="1", HITL_LOOKBACK="36h")

    assert "first run: read every open request, and what ended in the last 36 h" in " ".join(result.stdout.split())


def test_a_check_interval_that_is_too_long_has_a_warning(run: Run, redis: Redis, api: Client, loop: str) -> None:
    for _ in range(3):
        ask(api, redis, loop)

    result = run("--dry-run", HITL_CHECK_WITHIN="1s", HITL_RECONCILE_SHARE="0.01")

    assert "warning" in result.stdout
    assert "give reconcile runs a larger share of the budget" in " ".join(result.stdout.split())


def test_a_dry_run_reports_an_active_run(run: Run, redis: Redis) -> None:
    redis.set(keys.RECONCILE_LEASE, 99, px=9_500)

    result = run("--dry-run")

    assert result.exit_code == 0
    assert "A run cannot begin now. Another reconcile run is active" in result.stdout
