"""Each alarm rises and clears with the state of a real Redis."""

import json
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from redis import Redis

from service.local.embedded_server import EmbeddedServer
from tests.alarms_page import PAGE, alarms_table
from tests.ports import free_port
from tests.processes import proc
from tests.workers.alarms.cases import CASES, KEY, World, count, pass_time
from workers.alarms.alarm import Alarm, AlarmRule, worst
from workers.alarms.rules import all_rules
from workers.alarms.rules.all_rules import REDIS_UNREACHABLE, RULES
from workers.inbox import keys, presence
from workers.redis_clients import check_client
from workers.settings import Settings

SETTINGS = Settings(redis_url="redis://127.0.0.1:1", api_key=KEY)


@pytest.fixture
def world(server: EmbeddedServer, redis: Redis) -> World:
    presence.announce(redis, "clock")
    presence.announce(redis, "web")
    return World(redis=redis, url=server.url)


@pytest.fixture
def with_replica(tmp_path: Path) -> Iterator[World]:
    """A server of its own that listens on a port, and another one."""
    with ExitStack() as stack:
        primary, replica = EmbeddedServer(tmp_path / "primary", port=free_port()), EmbeddedServer(tmp_path / "replica")
        stack.enter_context(primary)
        stack.enter_context(replica)
        redis = stack.enter_context(check_client(primary.url))
        presence.announce(redis, "clock")
        yield World(redis=redis, url=primary.url, replica=replica)


def alarms(world: World) -> dict[str, Alarm]:
    return {alarm.name: alarm for alarm in all_rules.check(SETTINGS, world.redis)}


def test_every_rule_has_a_case() -> None:
    assert {rule.name for rule in RULES} == {*CASES, REDIS_UNREACHABLE}


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if not case.needs_replica])
def test_an_alarm_rises_and_clears(world: World, name: str) -> None:
    before = alarms(world)
    CASES[name].cause(world)
    raised = alarms(world)
    CASES[name].repair(world)

    assert (before, set(raised)) == ({}, {name, *CASES[name].others})
    assert raised[name].severity == all_rules.BY_NAME[name].severity
    assert name not in alarms(world)


@pytest.mark.slow
def test_an_alarm_of_a_replica_rises_and_clears(with_replica: World) -> None:
    CASES["replica_behind"].cause(with_replica)
    proc.until(lambda: "replica_behind" in alarms(with_replica), 5.0, "the replica asks for its copy")
    CASES["replica_behind"].repair(with_replica)

    proc.until(lambda: "replica_behind" not in alarms(with_replica), 10.0, "the replica is in step")


def test_a_server_that_does_not_answer_is_the_alarm() -> None:
    [alarm] = all_rules.check(SETTINGS, check_client("redis://127.0.0.1:1"))

    assert (alarm.name, alarm.severity) == (REDIS_UNREACHABLE, "critical")


def test_refused_writes_are_no_absent_process(world: World) -> None:
    """No process can announce itself. Without an API key, nothing that is read is written."""
    CASES["clock_absent"].cause(world)
    CASES["redis_refuses_writes"].cause(world)
    try:
        [alarm] = all_rules.check(Settings(redis_url="redis://127.0.0.1:1"), world.redis)
    finally:
        CASES["redis_refuses_writes"].repair(world)

    assert alarm.name == "redis_refuses_writes"
    assert "0 replicas are in step, and `min-replicas-to-write` demands 1" in alarm.text


def test_an_empty_server_has_no_alarm(redis: Redis) -> None:
    assert all_rules.check(SETTINGS, redis) == []


def test_the_alarms_page_is_made_of_the_rules() -> None:
    assert alarms_table() in PAGE.read_text(), "run `make format`"


def test_critical_rules_come_first_and_names_are_unique() -> None:
    severities = [rule.severity for rule in RULES]

    assert severities == sorted(severities)
    assert len({rule.name for rule in RULES}) == len(RULES)
    assert worst([]) is None


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_a_rule_says_when_and_what_to_do(rule: AlarmRule) -> None:
    assert rule.name.replace("_", "").isalpha()
    assert not rule.condition.endswith(".")
    assert rule.remedy.endswith(".")


# -- refused deliveries -------------------------------------------------------------------------------


def test_one_strangers_request_raises_nothing(world: World) -> None:
    count(world, signature_missing=1, not_found=40)

    assert alarms(world) == {}


def test_before_any_verified_delivery_a_mistyped_secret_is_one_of_two_causes(world: World) -> None:
    count(world, signature_mismatch=7)

    text = alarms(world)["deliveries_refused"].text
    assert "7 deliveries to the account webhook could not be verified in the last 15 min" in text
    assert "may be mistyped; or a stranger posts" in text


def test_where_others_verified_before_the_secret_may_have_changed(world: World) -> None:
    count(world, verified_signed=3)
    pass_time(world, 1_200)
    count(world, signature_mismatch=7)

    text = alarms(world)["deliveries_refused"].text
    assert "The last one that could be was 20 min ago: the secret may have been changed" in text
    assert "or a stranger posts" in text


def test_beside_verified_deliveries_one_secret_works(world: World) -> None:
    count(world, verified_signed=30)
    pass_time(world, 20)
    count(world, signature_mismatch=50)

    text = alarms(world)["deliveries_refused"].text
    assert "30 others could be verified. So one secret works" in text


def test_garbage_without_a_signature_is_not_blamed_on_secrets(world: World) -> None:
    count(world, signature_missing=60, signature_mismatch=2)

    alarm = alarms(world)["deliveries_refused"]
    assert "most of them without a usable signature" in alarm.text
    assert "secret is wrong" not in alarm.text


def test_refused_deliveries_that_are_long_past_raise_nothing(world: World) -> None:
    count(world, signature_mismatch=50)
    pass_time(world, 1_000)

    assert alarms(world) == {}


def test_expired_tokens_are_distinguished_from_foreign_ones(world: World) -> None:
    count(world, callback_expired=6)
    expired = alarms(world)["callbacks_refused"].text
    count(world, callback_forged=9, verified_callback=4)

    assert "6 of them for a token that is too old" in expired
    assert "9 of them for a token that no key of HITL_CALLBACK_SECRETS has signed; 4 others could be verified" in (
        alarms(world)["callbacks_refused"].text
    )


# -- texts from outside -------------------------------------------------------------------------------


def test_names_from_outside_steer_no_terminal(world: World) -> None:
    name = "pay\x1b[2J\nout"
    world.redis.zadd(keys.HELD, {f"{name}|event": 1})
    world.redis.zadd(keys.DRAINS, {"drain": 9e15})

    text = alarms(world)["handler_missing"].text
    assert text.isprintable()
    assert json.dumps(text)
