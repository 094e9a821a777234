"""`hitl-receiver requests` and `webhook-health`, and what `show` tells of a request."""

import json
import re
import time
from typing import Any

import pytest
from click.testing import CliRunner, Result
from redis import Redis

from service.cli.main import cli
from service.local.embedded_server import EmbeddedServer
from tests.service.cli.tracked import Run, accept, await_confirmation, overrule
from workers.inbox import keys
from workers.inbox.tracker import api_keys, tracked_requests
from workers.inbox.tracker.tracked_requests import NewRequest

HOUR = 3600.0


@pytest.fixture
def run(server: EmbeddedServer, redis: Redis) -> Run:
    def invoke(*words: str) -> Result:
        return CliRunner().invoke(cli, words, env={"REDIS_URL": server.url})

    return invoke


def track(redis: Redis, request_id: str, *, hours_ago: float = 1.0, **more: Any) -> None:
    request = NewRequest(request_id=request_id, created_at=time.time() - hours_ago * HOUR, **more)
    tracked_requests.track(redis, request, retention=86_400)


def names(result: Result) -> list[str]:
    """In the first column, below its head."""
    return [line.split()[0] for line in result.stdout.splitlines()[1:]]


# -- requests ------------------------------------------------------------------------------------------


def test_requests_are_a_table(run: Run, redis: Redis) -> None:
    track(redis, "r1", hours_ago=0, timeout_at=time.time() + 60)
    redis.hset(keys.request("r1"), "checked_at", time.time() - 300)

    heads, row = run("requests").stdout.splitlines()

    assert heads.split() == ["REQUEST", "LEARNED", "CREATED", "TIMES", "OUT", "CHECKED", "NEXT", "CHECK", "STATE"]
    assert row.startswith("r1       asked    20")
    assert re.search(r"  5 min ago  in (2 min|1\d\d s) +open$", row)


def test_tracked_requests_are_listed_newest_first(run: Run, redis: Redis) -> None:
    track(redis, "old", hours_ago=9)
    track(redis, "new", hours_ago=1)
    accept(redis, "told", created_at="2020-03-01T12:00:00Z")

    rows = json.loads(run("requests", "--json").stdout)

    assert [(one["request_id"], one["state"]) for one in rows] == [
        ("new", "open"), ("old", "open"), ("told", "completed"),
    ]  # fmt: skip
    assert rows[-1]["created_at"] == "2020-03-01T12:00:00Z"


def test_requests_of_a_key_that_is_no_longer_polled_are_unreachable(run: Run, redis: Redis) -> None:
    api_keys.configure(redis, ["the old key"], lookback=60)
    track(redis, "of-the-old-key", hours_ago=2)
    api_keys.configure(redis, ["the new key"], lookback=60)
    track(redis, "of-the-new-key")

    rows = json.loads(run("requests", "--json").stdout)

    assert [(one["request_id"], one["state"]) for one in rows] == [
        ("of-the-new-key", "open"), ("of-the-old-key", "unreachable"),
    ]  # fmt: skip
    assert names(run("requests", "--state", "open")) == ["of-the-new-key"]
    assert names(run("requests", "--state", "unreachable")) == ["of-the-old-key"]
    status = run("status").stdout
    assert "unreachable" in status
    assert "list that key in HITL_API_KEYS" in status


def test_open_requests_are_in_the_order_of_their_next_check(run: Run, redis: Redis) -> None:
    for number in range(250):
        track(redis, f"r{number}", hours_ago=number / 100)
    accept(redis, "r7")
    redis.zadd(keys.CHECKS, {api_keys.DISCOVERY: 1, "r7": 2})  # decided meanwhile

    rows = names(run("requests", "--state", "open", "--limit", "300"))

    assert rows == [f"r{number}" for number in reversed(range(250)) if number != 7]


def test_a_truncated_list_of_requests_is_reported(run: Run, redis: Redis) -> None:
    for name in ("r1", "r2", "r3"):
        track(redis, name)

    result = run("requests", "--limit", "2")

    assert len(names(result)) == 2
    assert result.stderr.startswith("There are more than 2")
    assert run("requests", "--limit", "3").stderr == ""


def test_lost_requests_are_listed(run: Run, redis: Redis) -> None:
    track(redis, "r1")
    track(redis, "r2")
    redis.hset(keys.request("r1"), "status", "lost")
    redis.zadd(keys.LOST, {"r1": 1})

    result = run("requests", "--state", "lost")

    assert names(result) == ["r1"]
    assert result.stdout.rstrip().endswith("lost")


def test_a_request_whose_effects_await_confirmation_is_listed_once(run: Run, redis: Redis) -> None:
    await_confirmation(redis, "r1", accept(redis, "r1"), "pay", "notify", at=time.time())

    result = run("requests", "--state", "unconfirmed")

    assert names(result) == ["r1"]
    assert result.stdout.rstrip().endswith("completed, unconfirmed")


def test_an_overruled_event_is_listed_with_the_reason(run: Run, redis: Redis) -> None:
    track(redis, "r1")
    key = accept(redis, "r1")
    overrule(redis, key, at=time.time(), by="missing")

    result = run("requests", "--state", "overruled")

    assert result.stdout.rstrip().endswith(f"overruled: {key} (missing)")


def test_an_event_by_another_requests_callback_url_is_listed_though_its_request_is_unknown(
    run: Run, redis: Redis
) -> None:
    overrule(redis, accept(redis, "r1"), at=time.time(), by="another request's callback URL")
    redis.delete(keys.request("r1"))

    [rows] = json.loads(run("requests", "--state", "overruled", "--json").stdout)

    assert (rows["request_id"], rows["state"]) == ("r1", None)
    assert rows["overruled"]["by"] == "another request's callback URL"


def test_doubts_about_an_open_request_are_shown(run: Run, redis: Redis) -> None:
    track(redis, "r1")
    redis.hset(keys.request("r1"), mapping={"refused": 1, "missing": 2})

    assert run("requests").stdout.rstrip().endswith("open, refused delivery, missing at the last check")


def test_no_matching_requests_are_a_message_and_success(run: Run) -> None:
    result = run("requests", "--state", "lost")

    assert (result.exit_code, result.stdout, result.stderr) == (0, "", "No matching requests.\n")


# -- show ----------------------------------------------------------------------------------------------


def test_an_open_request_is_shown(run: Run, redis: Redis) -> None:
    track(redis, "r1")

    result = run("show", "r1")

    assert result.exit_code == 0
    assert result.stdout.startswith("request r1\n  state      open\n  learned    asked\n")
    assert json.loads(run("show", "r1", "--json").stdout) == []


def test_a_request_is_shown_above_its_events(run: Run, redis: Redis) -> None:
    track(redis, "r1")
    key = accept(redis, "r1")

    shown = run("show", "r1").stdout

    assert shown.startswith("request r1\n  state      completed\n")
    assert f"\n\n{key}\n" in shown


# -- webhook-health -------------------------------------------------------------------------------------------


def test_the_hours_are_a_table_with_a_bar(run: Run, redis: Redis) -> None:
    hour = int(time.time()) // 3600
    redis.hset(keys.webhook_health(hour), mapping={"webhook": 6, "reconcile": 4, "overtaken": 1})

    heads, before, now, total = run("webhook-health", "--hours", "2").stdout.splitlines()

    assert heads.split() == ["HOUR", "WEBHOOK", "RECONCILED", "OVERTAKEN", "LOST"]
    assert before.split()[2:] == ["0", "0", "0", "-"]
    assert now.split()[2:] == ["6", "4", "1", "30.0%", "█" * 24 + "▒" * 4 + "░" * 12]
    assert total.split()[:5] == ["total", "6", "4", "1", "30.0%"]


def test_a_webhook_of_a_later_hour_makes_no_negative_loss(run: Run, redis: Redis) -> None:
    redis.hset(keys.webhook_health(int(time.time()) // 3600), mapping={"webhook": 5, "overtaken": 2})

    [rows] = json.loads(run("webhook-health", "--hours", "1", "--json").stdout)

    assert (rows["webhook"], rows["reconcile"], rows["overtaken"], rows["lost"]) == (5, 0, 2, 0.0)


def test_hours_without_decisions_are_shown(run: Run) -> None:
    result = run("webhook-health")

    assert result.exit_code == 0
    assert len(result.stdout.splitlines()) == 26
    assert result.stdout.rstrip().endswith("no decisions")
