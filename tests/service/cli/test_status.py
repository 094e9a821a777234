"""`hitl-receiver status`: counts of the inbox, reconciliation, and alarms."""

import json
import os
import signal
import time
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner, Result
from redis import Redis

from service.cli.main import cli
from service.local.embedded_server import EmbeddedServer
from tests.service.cli.test_output import on_terminal
from tests.service.cli.tracked import Run, accept, await_confirmation, counts, overrule
from workers.inbox import counters, keys, presence
from workers.inbox.budget.redis_budget import RedisBudget
from workers.inbox.operations import pausing
from workers.inbox.tracker import api_keys, tracked_requests
from workers.inbox.tracker.reconcile_lease import Note, ReconcileLease
from workers.inbox.tracker.tracked_requests import NewRequest
from workers.queue import DRAIN, RECONCILE, waiting_key
from workers.reconcile import state
from workers.reconcile.state import ReconcileReport, ReconcileState

KEY = "hitl_test_0123456789abcdef"
HOUR = 3600.0


@pytest.fixture
def run(server: EmbeddedServer, redis: Redis) -> Run:
    """Beside a clock process."""
    presence.announce(redis, "clock")

    def invoke(*words: str, **environ: str | None) -> Result:
        env = {"REDIS_URL": server.url, "HITL_API_KEY": KEY, "HITL_DISCOVER": "0"}
        return CliRunner().invoke(cli, ("status", *words), env=env | environ)

    return invoke


def track(redis: Redis, request_id: str, *, hours_ago: float = 1.0) -> None:
    request = NewRequest(request_id=request_id, created_at=time.time() - hours_ago * HOUR)
    tracked_requests.track(redis, request, retention=86_400)


def leave(redis: Redis, **changes: Any) -> None:
    """A trail, as a reconcile run leaves it."""
    account = ReconcileReport(began=time.time() - 245, ended=time.time() - 240, calls=3, found=2)
    left = ReconcileState(report=account, guaranteed_interval=6.2 * HOUR)
    redis.hset(keys.RECONCILE_STATE, "state", state.encode(msgspec.structs.replace(left, **changes)))


def reconciliation(run: Run, **environ: str | None) -> dict[str, Any]:
    fields: dict[str, Any] = json.loads(run("--json", **environ).stdout)["reconciliation"]
    return fields


def alarms(run: Run) -> list[str]:
    return [alarm["name"] for alarm in json.loads(run("--json").stdout)["alarms"]]


def words(result: Result) -> str:
    return " ".join(result.stdout.split())


# -- counts -------------------------------------------------------------------------------------------


def test_an_empty_inbox_has_no_alarm(run: Run) -> None:
    result = run()

    assert result.exit_code == 0
    assert not {"CRITICAL", "WARNING"} & set(result.stdout.split())
    assert set(counts(result.stdout).values()) == {0, 50}  # 50: what an unknown hour is believed to allow


def test_failed_effects_and_paused_handlers_are_shown(run: Run, redis: Redis) -> None:
    redis.zadd(keys.FAILED, {"pay|e": 1})
    pausing.pause(redis, "pay")

    told = json.loads(run("--json").stdout)

    assert (told["failed"], told["paused"]) == (1, ["pay"])
    assert "failed 1 dead letters: see `hitl-receiver failed` held 0" in words(run())
    assert "paused pay" in words(run())


def test_without_a_server_there_is_a_message(run: Run) -> None:
    result = run(REDIS_URL="redis://127.0.0.1:1")

    assert result.exit_code == 2
    assert "Is REDIS_URL right, and does the server run?" in result.stderr


def test_open_requests_are_counted_and_the_oldest_named(run: Run, redis: Redis) -> None:
    track(redis, "young", hours_ago=1)
    track(redis, "old", hours_ago=75)

    assert "open requests 2 the oldest was asked 3.1 d ago" in words(run())
    assert (reconciliation(run)["open"], reconciliation(run)["oldest"]) == (2, "old")


def test_an_ended_request_that_awaits_confirmation_is_not_open(run: Run, redis: Redis) -> None:
    track(redis, "open")
    track(redis, "ended", hours_ago=9)
    await_confirmation(redis, "ended", accept(redis, "ended"), "pay", "notify", at=time.time())

    fields = reconciliation(run)

    assert (fields["open"], fields["oldest"], fields["awaiting_confirmation"], fields["unconfirmed"]) == (
        1,
        "open",
        1,
        2,
    )
    assert "unconfirmed 2 effects wait until HITL.sh confirms the outcome of 1 request" in words(run())


def test_discovery_is_not_counted_as_a_request(run: Run, redis: Redis) -> None:
    track(redis, "open")
    redis.zadd(keys.CHECKS, {api_keys.DISCOVERY: 1})

    assert reconciliation(run)["open"] == 1


def test_the_last_reconcile_run_and_the_check_interval_are_shown(run: Run, redis: Redis) -> None:
    leave(redis)

    shown = words(run())

    assert "last reconcile run 4 min ago: 3 calls, 2 decisions found" in shown
    assert "check interval every open request is checked at least every 6.2 h" in shown


def test_a_check_interval_that_cannot_be_met_has_a_warning(run: Run, redis: Redis) -> None:
    leave(redis, warning="give reconcile runs a larger share")

    assert "warning give reconcile runs a larger share" in words(run())
    assert reconciliation(run)["check_interval"]["warning"] == "give reconcile runs a larger share"


def test_the_calls_of_this_hour_are_shown(run: Run, redis: Redis) -> None:
    RedisBudget(redis, KEY, purpose="asking").spend()
    RedisBudget(redis, KEY, purpose="reconcile").spend()

    fields = reconciliation(run)["calls"]

    assert (fields["asking"], fields["asked"], fields["reconciled"], fields["overcounts"]) == (48, 1, 1, 0)
    assert "calls left 48 of 100 an hour, until " in words(run())


def test_the_calls_of_an_earlier_hour_are_not_shown(run: Run, redis: Redis) -> None:
    budget = RedisBudget(redis, KEY, purpose="asking")
    budget.run("spend", "asking", now=time.time() - 3 * HOUR)

    fields = reconciliation(run)["calls"]

    assert (fields["asking"], fields["asked"], fields["resets_at"]) == (50, 0, None)


def test_webhooks_and_runs_of_a_day_are_summed_up(run: Run, redis: Redis) -> None:
    hour = int(time.time()) // 3600
    redis.hset(keys.webhook_health(hour), mapping={"webhook": 1_000, "reconcile": 3})
    redis.hset(keys.webhook_health(hour - 5), mapping={"webhook": 234, "overtaken": 1})

    assert reconciliation(run)["webhooks_24h"] == {"webhook": 1_234, "reconcile": 3, "overtaken": 1}
    assert (
        "by reconcile run 3 decisions in the last 24 h that no webhook had delivered; the webhook of 1 arrived later"
        in (words(run()))
    )


def test_an_active_reconcile_run_is_shown(run: Run, redis: Redis) -> None:
    redis.set(keys.RECONCILE_LEASE, 7, px=9_000)

    assert "next reconcile run one is active" in words(run())
    assert reconciliation(run)["run_is_active"] is True


def test_an_overdue_check_names_the_processes_that_make_it(run: Run, redis: Redis) -> None:
    track(redis, "r1", hours_ago=5)

    assert "do `clock` and `work` run?" in words(run())


def test_before_the_first_run_that_run_is_shown_as_next(run: Run) -> None:
    assert "next reconcile run the first one, as soon as" in words(run(HITL_DISCOVER="1"))


# -- without a key -------------------------------------------------------------------------------------


def test_a_first_run_that_lost_its_lease_is_shown_as_unfinished(run: Run, redis: Redis) -> None:
    [indexes] = api_keys.configure(redis, [KEY], lookback=60)
    lease = ReconcileLease(redis, seconds=60, retention=60)
    lease.key_hash = indexes.key_hash
    lease.acquire()
    none_yet = words(run(HITL_DISCOVER="1"))
    first_page = ReconcileState(claimed=True)
    lease.write([Note("state", "state", state.encode(first_page))], began=time.time())
    redis.delete(keys.RECONCILE_LEASE)

    assert "last reconcile run none yet" in none_yet
    assert "last reconcile run none has finished yet next reconcile run the first one" in words(run(HITL_DISCOVER="1"))


def test_without_an_api_key_reconciliation_is_shown_as_off(run: Run) -> None:
    result = run(HITL_API_KEY=None)

    assert result.exit_code == 0
    assert "reconcile runs off: HITL_API_KEY is not set" in words(result)
    assert reconciliation(run, HITL_API_KEY=None)["configured"] is False


def test_without_the_api_key_here_runs_are_shown_and_calls_are_not(run: Run, redis: Redis) -> None:
    leave(redis)

    shown = words(run(HITL_API_KEY=None))

    assert "calls left unknown: HITL_API_KEY is not set here" in shown
    assert "last reconcile run 4 min ago" in shown


# -- alarms --------------------------------------------------------------------------------------------


def test_silent_webhooks_are_an_alarm_until_one_arrives(run: Run, redis: Redis) -> None:
    leave(redis, silent_since=time.time() - 2 * HOUR)
    before, shown = alarms(run), run().stdout
    accept(redis, "r1")

    assert before == ["webhooks_silent"]
    assert shown.startswith("CRITICAL  webhooks_silent: Decisions are made, but no webhook delivers them")
    assert alarms(run) == []
    assert reconciliation(run)["silent_since"] is None


def test_an_overruled_event_is_an_alarm_for_a_day(run: Run, redis: Redis) -> None:
    overrule(redis, accept(redis, "r1"), at=time.time() - 25 * HOUR)
    before = alarms(run)
    overrule(redis, accept(redis, "r2"), at=time.time() - 23 * HOUR)

    assert (before, alarms(run)) == ([], ["overruled"])
    assert "WARNING overruled: Stronger evidence overruled 1 event in the last 24 h" in words(run())
    assert "overruled 2 outcomes that stronger evidence disagrees with, 1 of them in the last 24 h" in words(run())


def test_a_refused_key_is_an_alarm_whose_text_controls_no_terminal(run: Run, redis: Redis) -> None:
    leave(redis, report=ReconcileReport(began=time.time(), trouble="key_refused", error="401\x1b[2J"))

    assert alarms(run) == ["key_refused"]
    assert "\x1b" not in run().stdout


def test_a_429_is_an_alarm_for_a_day(run: Run, redis: Redis) -> None:
    redis.hincrby(keys.COUNTERS, "api_429", 2)
    unknown_when = alarms(run)
    redis.hset(keys.RECONCILE_STATE, "limited_at", time.time() - 23 * HOUR)
    lately = alarms(run)
    redis.hset(keys.RECONCILE_STATE, "limited_at", time.time() - 25 * HOUR)

    assert (unknown_when, lately, alarms(run)) == (["rate_limited"], ["rate_limited"], [])


def test_a_temporary_error_is_shown_and_is_not_an_alarm(run: Run, redis: Redis) -> None:
    leave(redis, report=ReconcileReport(began=time.time(), trouble="unreachable", error="no answer in 8 s"))

    assert alarms(run) == []
    assert "ended early, unreachable: no answer in 8 s" in words(run())


def test_queued_and_refused_jobs_are_shown(run: Run, redis: Redis) -> None:
    redis.rpush(waiting_key(DRAIN), "drain-1")
    redis.rpush(waiting_key(RECONCILE), "reconcile-1", "reconcile-2")
    redis.hset(keys.COUNTERS, counters.JOBS_REFUSED, 3)

    told = json.loads(run("--json").stdout)

    assert (told["queued_in_hitl"], told["queued_in_hitl_reconcile"], told["jobs_refused"]) == (1, 2, 3)
    assert "queued in hitl-reconcile" in run().stdout


# -- for a monitor -------------------------------------------------------------------------------------


def test_a_check_without_alarms_succeeds(run: Run) -> None:
    result = run("--check")

    assert (result.exit_code, result.stdout) == (0, "No alarm.\n")


def test_a_check_shows_each_alarm_and_exits_by_the_worst(run: Run, redis: Redis) -> None:
    redis.zadd(keys.FAILED, {"pay|e": time.time() * 1000})
    warned = run("--check")
    redis.delete(keys.present("clock"))
    failed = run("--check")

    assert (warned.exit_code, failed.exit_code) == (1, 2)
    assert warned.stdout.startswith("WARNING   dead_letters: 1 effect gave up; the oldest 0 s ago.\n          ->  List")
    assert failed.stdout.startswith("CRITICAL  clock_absent: No clock process runs")
    assert "WARNING   dead_letters: " in failed.stdout
    assert "events" not in failed.stdout.split("dead_letters")[0]


def test_a_check_of_a_server_that_is_away_is_critical_and_says_why(run: Run) -> None:
    result = run("--check", REDIS_URL="redis://127.0.0.1:1")
    told = json.loads(run("--check", "--json", REDIS_URL="redis://127.0.0.1:1").stdout)

    assert result.exit_code == 2
    assert "redis_unreachable: Redis does not answer" in result.stdout
    assert "Connection refused" in words(result)
    assert [(alarm["name"], alarm["severity"]) for alarm in told["alarms"]] == [("redis_unreachable", "critical")]


@pytest.mark.slow
def test_a_check_of_a_server_that_hangs_ends_before_a_monitor_gives_up(own_server: EmbeddedServer) -> None:
    os.kill(own_server.pid, signal.SIGSTOP)
    began = time.monotonic()
    try:
        result = CliRunner().invoke(cli, ("status", "--check"), env={"REDIS_URL": own_server.url})
    finally:
        os.kill(own_server.pid, signal.SIGCONT)

    assert time.monotonic() - began < 8.0
    assert result.exit_code == 2
    assert "CRITICAL  redis_unreachable" in result.stdout


def test_json_has_severity_text_and_remedy_and_the_same_exit_status(run: Run, redis: Redis) -> None:
    redis.zadd(keys.FAILED, {"pay|e": 1})
    result = run("--check", "--json")

    [alarm] = json.loads(result.stdout)["alarms"]
    assert result.exit_code == 1
    assert (alarm["name"], alarm["severity"]) == ("dead_letters", "warning")
    assert "gave up" in alarm["text"]
    assert "`hitl-receiver failed`" in alarm["remedy"]


def test_alarms_fit_the_terminal(server: EmbeddedServer, redis: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIS_URL", server.url)
    redis.zadd(keys.FAILED, {"pay|e": 1})
    with on_terminal(columns=60, no_color="1") as terminal, pytest.raises(SystemExit):
        cli(["status", "--check"])

    assert "dead_letters" in terminal.getvalue()
    assert max(map(len, terminal.getvalue().splitlines())) <= 60


def test_without_check_alarms_change_no_exit_status(run: Run, redis: Redis) -> None:
    redis.zadd(keys.FAILED, {"pay|e": 1})

    assert run().exit_code == 0
