import pytest
from click.testing import CliRunner, Result
from redis import Redis

from service.cli.main import cli
from service.local.embedded_server import EmbeddedServer
from workers.inbox.operations import pausing


@pytest.fixture
def run(server: EmbeddedServer, redis: Redis, monkeypatch: pytest.MonkeyPatch) -> object:
    monkeypatch.setenv("REDIS_URL", server.url)
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
