import pytest
from click.testing import CliRunner, Result
from redis import Redis

from service.cli.main import cli
from service.local.embedded_server import EmbeddedServer
from workers.inbox import keys
from workers.inbox.operations import pausing


@pytest.fixture
def run(server: EmbeddedServer, redis: Redis, monkeypatch: pytest.MonkeyPatch) -> object:
    monkeypatch.setenv("REDIS_URL", server.url)
    redis.zadd(keys.HANDLERS, {"pay": 1.0, "notify": 2.0})  # as their worker announces them
    return lambda *words: CliRunner().invoke(cli, words)


def test_a_handler_is_paused_and_resumed(run, redis: Redis) -> None:
    paused: Result = run("pause", "pay")
    meanwhile = pausing.paused(redis)
    resumed: Result = run("resume", "pay")

    assert (paused.exit_code, resumed.exit_code) == (0, 0)
    assert (meanwhile, pausing.paused(redis)) == ({"pay"}, frozenset())
    assert "Deliveries are still stored" in paused.output


def test_all_handlers_are_paused_and_resumed(run, redis: Redis) -> None:
    run("pause")
    run("pause", "pay")
    everything = pausing.paused(redis)
    run("resume")

    assert (everything, pausing.paused(redis)) == ({"*", "pay"}, frozenset())


def test_resuming_an_unpaused_handler_lists_the_paused_ones(run, redis: Redis) -> None:
    run("pause", "pay")

    assert "pay is not" not in run("resume", "pya").output
    assert "pya is not paused. Paused: pay." in run("resume", "pya").output


def test_a_handler_that_does_not_exist_is_not_paused(run, redis: Redis) -> None:
    refused: Result = run("pause", "pya")

    assert (refused.exit_code, pausing.paused(redis)) == (1, frozenset())
    assert refused.output == "No handler is named 'pya': did you mean 'pay'?\n"


def test_a_new_handler_may_be_paused_before_its_worker_starts(
    run, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HITL_HANDLERS", "tests.service.cli.inbox_handlers")

    assert run("pause", "audit").exit_code == 0
    assert pausing.paused(redis) == {"audit"}


def test_without_a_worker_no_handler_is_known(run, redis: Redis) -> None:
    redis.flushall()

    assert "no worker has run here yet. Start `hitl-receiver work` first" in run("pause", "pay").output
