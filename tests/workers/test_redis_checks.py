"""Warnings about the Redis server at the start of a program."""

import logging
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from redis import Redis
from redis.exceptions import ResponseError

from service.cli.main import cli
from service.local.embedded_server import EmbeddedServer
from tests.ports import free_port
from tests.processes import proc
from tests.processes.programs import Program
from tests.processes.stacks import KEY
from tests.python_path import python_path
from workers.redis_checks import address, check_redis, read_state, warnings, write_refusal
from workers.settings import SettingsInvalid


class Configured(EmbeddedServer):
    """An embedded server with options of its own_server, given as on its command line."""

    def __init__(self, folder: Path, *words: str, port: int = 0) -> None:
        super().__init__(folder, port=port)
        self._words = words

    def _options(self) -> list[str]:
        return [*super()._options(), *self._words]


def told(url: str, caplog: pytest.LogCaptureFixture) -> list[str]:
    caplog.clear()
    check_redis(url, until_then="nothing runs")
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


def change(server: EmbeddedServer, setting: str, value: str) -> None:
    with Redis.from_url(server.url) as redis:
        redis.config_set(setting, value)


def test_the_embedded_server_causes_no_warning(server: EmbeddedServer, caplog: pytest.LogCaptureFixture) -> None:
    assert told(server.url, caplog) == []


@pytest.mark.parametrize("policy", ["allkeys-lru", "volatile-ttl", "volatile-lru"])
def test_a_server_that_evicts_keys_causes_a_warning(
    own_server: EmbeddedServer, caplog: pytest.LogCaptureFixture, policy: str
) -> None:
    change(own_server, "maxmemory-policy", policy)

    [warning] = told(own_server.url, caplog)

    assert warning.startswith(f"redis.evicts maxmemory-policy={policy}: ")
    assert "`CONFIG SET maxmemory-policy noeviction`" in warning


def test_a_server_without_persistence_causes_a_warning(
    own_server: EmbeddedServer, caplog: pytest.LogCaptureFixture
) -> None:
    change(own_server, "appendonly", "no")

    [warning] = told(own_server.url, caplog)

    assert warning.startswith("redis.not_durable appendonly=no: ")
    assert "`CONFIG SET appendonly yes`" in warning


@pytest.mark.parametrize(("fsync", "count"), [("always", 0), ("everysec", 0), ("no", 1)])
def test_a_server_that_does_not_sync_to_disk_causes_a_warning(
    own_server: EmbeddedServer, caplog: pytest.LogCaptureFixture, fsync: str, count: int
) -> None:
    change(own_server, "appendfsync", fsync)

    log_lines = told(own_server.url, caplog)

    assert [warning.split(":")[0] for warning in log_lines] == ["redis.not_durable appendfsync=no"] * count


@pytest.mark.parametrize("limit", ["0", "100mb"])
def test_any_memory_limit_is_accepted(own_server: EmbeddedServer, caplog: pytest.LogCaptureFixture, limit: str) -> None:
    change(own_server, "maxmemory", limit)

    assert told(own_server.url, caplog) == []


def test_the_command_in_a_warning_fixes_the_setting(
    own_server: EmbeddedServer, caplog: pytest.LogCaptureFixture
) -> None:
    for setting, value in [("maxmemory-policy", "allkeys-lfu"), ("appendonly", "no"), ("appendfsync", "no")]:
        change(own_server, setting, value)

    while log_lines := told(own_server.url, caplog):
        command = log_lines[0].split("`")[1].split()
        with Redis.from_url(own_server.url) as redis:
            redis.execute_command(*command)

    with Redis.from_url(own_server.url) as redis:
        wanted = {"maxmemory-policy": "noeviction", "appendonly": "yes", "appendfsync": "always"}
        assert redis.config_get(*wanted) == wanted


@pytest.mark.parametrize("rules", [["-config"], ["-info"], ["-config", "-info"]], ids=" ".join)
def test_a_setting_that_cannot_be_read_causes_no_warning(
    own_server: EmbeddedServer, caplog: pytest.LogCaptureFixture, rules: list[str]
) -> None:
    with Redis.from_url(own_server.url) as redis:
        redis.config_set("appendfsync", "no")
        redis.execute_command("ACL", "SETUSER", "managed", "on", "nopass", "~*", "+@all", *rules)

    log_lines = told(f"{own_server.url}?username=managed&password=x", caplog)

    assert len(log_lines) == ("-config" not in rules)


def test_without_the_config_command_the_other_checks_run(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    words = ("--rename-command", "CONFIG", "", "--appendfsync", "no", "--maxmemory-policy", "allkeys-lru")

    with Configured(tmp_path / "server", *words) as server:
        [warning] = told(server.url, caplog)

    assert warning.startswith("redis.evicts maxmemory-policy=allkeys-lru")


@pytest.mark.parametrize(("version", "count"), [("6.2.14", 1), ("6.0", 1), ("7.0.0", 0), ("7.2.4", 0), ("10.0", 0)])
def test_a_server_too_old_for_the_scripts_causes_a_warning(version: str, count: int) -> None:
    log_lines = [str(warning) for warning in warnings({"redis_version": version}, {})]

    assert [warning.split(":")[0] for warning in log_lines] == [f"redis.too_old version={version}"] * count


@pytest.mark.parametrize("info", [{}, {"redis_version": "unknown"}, {"redis_version": ""}, {"redis_version": "8"}])
def test_a_server_that_reports_little_causes_no_warning(info: dict[str, str]) -> None:
    assert list(warnings(info, {})) == []


@pytest.mark.parametrize(
    ("info", "config", "reason"),
    [
        ({"aof_last_write_status": "err"}, {}, "it cannot write its append-only file"),
        ({"rdb_last_bgsave_status": "err"}, {"stop-writes-on-bgsave-error": "yes", "save": ""}, None),
        ({"rdb_last_bgsave_status": "err"}, {"stop-writes-on-bgsave-error": "no", "save": "60 1"}, None),
        ({"min_slaves_good_slaves": 1}, {"min-replicas-to-write": "1"}, None),
        ({}, {}, None),
    ],
)
def test_a_server_says_why_it_refuses_writes(info: dict[str, Any], config: dict[str, str], reason: str | None) -> None:
    assert write_refusal(info, config) == reason


@pytest.mark.slow
def test_a_server_whose_snapshot_failed_refuses_writes(tmp_path: Path) -> None:
    with EmbeddedServer(tmp_path / "server") as server, Redis.from_url(server.url) as redis:
        before = write_refusal(*_state(redis))
        Path(redis.config_get("dir")["dir"], redis.config_get("dbfilename")["dbfilename"]).mkdir()  # it is in the way
        redis.config_set("save", "3600 1")
        redis.bgsave()
        proc.until(lambda: redis.info("persistence")["rdb_last_bgsave_status"] == "err", 10.0, "the snapshot fails")

        with pytest.raises(ResponseError, match="MISCONF"):
            redis.set("a", 1)
        assert (before, write_refusal(*_state(redis))) == (None, "its latest snapshot failed")
        redis.config_set("save", "")  # it would not stop without a snapshot


def _state(redis: Redis) -> tuple[Any, Any]:
    state = read_state(redis)
    return state.info, state.config


def test_a_server_that_does_not_answer_delays_no_start(caplog: pytest.LogCaptureFixture) -> None:
    [warning] = told("redis://:hunter2@127.0.0.1:1/3", caplog)

    assert warning == (
        "redis.unreachable server=redis://127.0.0.1:1/3 error=ConnectionError: Error 111 connecting to 127.0.0.1:1. "
        "Connection refused; waiting for it: nothing runs. Is REDIS_URL right, and does the server run?"
    )


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://user:p@ss@cache:6380/2", "redis://cache:6380/2"),
        ("rediss://cache", "rediss://cache"),
        ("unix:///run/redis.sock", "unix:///run/redis.sock"),
    ],
)
def test_the_address_of_a_server_shows_no_password(url: str, shown: str) -> None:
    assert address(url) == shown


# -- programs ----------------------------------------------------------------------------------------


def environ(url: str) -> dict[str, str]:
    return {
        "REDIS_URL": url,
        "HITL_CALLBACK_SECRETS": KEY,
        "HITL_HANDLERS": "tests.processes.handlers",
        "PYTHONPATH": python_path(),
    }


@pytest.fixture(scope="module")
def clustered(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedServer]:
    words = ("--cluster-enabled", "yes", "--cluster-port", str(free_port()))
    with Configured(tmp_path_factory.mktemp("clustered") / "server", *words, port=free_port()) as running:
        yield running


def test_cluster_mode_is_refused(clustered: EmbeddedServer) -> None:
    with pytest.raises(SettingsInvalid, match="cluster mode, which RQ workers do not support"):
        check_redis(clustered.url, until_then="nothing runs")


@pytest.fixture
def signal_handlers() -> Iterator[None]:
    """Restores what a command sets in this process."""
    numbers = (signal.SIGTERM, signal.SIGINT)
    before = [signal.getsignal(number) for number in numbers]
    yield
    for number, handler in zip(numbers, before, strict=True):
        signal.signal(number, handler)


@pytest.mark.usefixtures("signal_handlers")
@pytest.mark.parametrize("words", ["serve --port 0", "work", "work --processes 2", "clock", "dev"])
def test_each_program_refuses_cluster_mode(
    clustered: EmbeddedServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: str
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    port = ["--port", str(free_port())] if words == "dev" else []

    refused = CliRunner(env=environ(clustered.url)).invoke(cli, [*words.split(), *port])

    assert refused.exit_code == 2
    assert "cluster mode" in refused.stderr
    assert "Traceback" not in refused.stderr


@pytest.mark.slow
@pytest.mark.parametrize("words", ["serve --port {port} --processes 2", "work --processes 2", "clock", "dev"])
def test_each_program_warns_once(own_server: EmbeddedServer, tmp_path: Path, words: str) -> None:
    change(own_server, "appendfsync", "no")
    port = free_port()
    more = ["--port", str(port)] if words == "dev" else []
    settings = environ(own_server.url) | {
        "HITL_BASE_URL": "http://127.0.0.1:1/v1"
    }  # without it, `dev` starts the sandbox

    def is_up(program: Program) -> bool:
        started = {"serve": "Application startup complete", "dev": "is running", "clock": "reconcile.off"}
        with Redis.from_url(own_server.url) as redis:
            workers = redis.scard("rq:workers")
        return workers == 2 if words[0] == "w" else started[words.split()[0]] in program.output

    with Program(*words.format(port=port).split(), *more, cwd=tmp_path, environ=settings) as program:
        proc.until(lambda: is_up(program) and "redis.not_durable" in program.output, 20.0, "it has started")
        program.stop()

    assert program.output.count("redis.not_durable appendfsync=no") == 1, program.output


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "consequence"),
    [
        ("serve --port {port}", "deliveries are answered 503"),
        ("work", "no handler runs, and after a minute this program ends"),
        ("clock", "no due work is enqueued"),
    ],
)
def test_each_program_logs_within_two_seconds_that_it_waits_for_redis(
    tmp_path: Path, words: str, consequence: str
) -> None:
    arguments = words.format(port=free_port()).split()

    with Program(*arguments, cwd=tmp_path, environ=environ("redis://127.0.0.1:1/0")) as program:
        # Two seconds, and what Python takes to start on a busy machine.
        proc.until(lambda: f"waiting for it: {consequence}. " in program.output, 5.0, "it says what it waits for")
        assert program.process.poll() is None
        program.stop()

    assert program.output.count("redis.unreachable server=redis://127.0.0.1:1/0 ") == 1
