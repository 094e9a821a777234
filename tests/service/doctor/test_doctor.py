"""`hitl-receiver doctor`: what it says of a deployment, real or broken."""

import json
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
from click.testing import CliRunner, Result
from redis import Redis

from hitl_sandbox.testing import Sandbox
from service.cli.main import cli
from service.doctor.check_catalog import CHECKED_GROUPS, CHECKS, GROUP_TITLES
from service.doctor.setting_values import SETTINGS
from service.local.embedded_server import EmbeddedServer
from service.proofs.proof_deliveries import Case
from tests.doctor_page import BEGIN, END, PAGE, checks_table
from tests.json_server import JsonReceiver
from tests.ports import free_port
from tests.processes import proc, programs
from tests.processes.programs import Program
from tests.python_path import python_path
from tests.service.cli.test_output import on_terminal
from tests.service.conftest import CALLBACK_KEY, ENVIRON, SECRET, Receiver
from tests.test_docs import PAGES, settings_read
from workers.inbox import keys, presence
from workers.inbox.tracker.api_keys import api_key_hash
from workers.redis_checks import ServerState

ROOT = Path(__file__).parents[3]
KEY = "hitl_test_of_doctor_0123456789abcdef"
PASSWORD = "hunter2-hunter2-hunter2"

Run = Callable[..., Result]


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox() as running:
        yield running


@pytest.fixture
def run(server: EmbeddedServer, redis: Redis, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Run:
    """The command with settings that are right, but for those that are given."""
    for name in SETTINGS:
        monkeypatch.delenv(name.name, raising=False)

    def invoke(*words: str, **environ: str | None) -> Result:
        settings: dict[str, str | None] = {
            **ENVIRON, "REDIS_URL": server.url, "HITL_HANDLERS": "examples.handlers", "HITL_API_KEY": KEY,
            "HITL_BASE_URL": sandbox.base_url, "HITL_PUBLIC_URL": sandbox.url,
        }  # fmt: skip
        return CliRunner().invoke(cli, ("doctor", *words), env=settings | environ)

    return invoke


def findings(result: Result, check: str) -> list[dict[str, Any]]:
    """What `--json` says of a check."""
    return [finding for finding in json.loads(result.stdout)["findings"] if finding["check"] == check]


def finding(result: Result, check: str) -> dict[str, Any]:
    [found] = findings(result, check)
    return found


def only(run: Run, group: str, **environ: str | None) -> Result:
    return run("--json", "--only", group, **environ)


# -- a whole deployment --------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_healthy_deployment_has_nothing_to_report(
    run: Run, receiver: Receiver, server: EmbeddedServer, sandbox: Sandbox, redis: Redis, tmp_path: Path
) -> None:
    environ = {
        **ENVIRON, "REDIS_URL": server.url, "HITL_HANDLERS": "examples.handlers", "HITL_API_KEY": KEY,
        "HITL_BASE_URL": sandbox.base_url, "PYTHONPATH": python_path(),
    }  # fmt: skip
    public_url = f"http://127.0.0.1:{receiver.port}"
    words = ("--json", "--only", "processes")

    with (
        Program("work", "--queue", "hitl", cwd=tmp_path, environ=environ),
        Program("work", "--queue", "hitl-reconcile", cwd=tmp_path, environ=environ),
        Program("clock", cwd=tmp_path, environ=environ),
    ):
        proc.until(lambda: run(*words).exit_code == 0, 20.0, "workers and clock answer")
        result = run("--json", HITL_PUBLIC_URL=public_url)
        printed = run(HITL_PUBLIC_URL=public_url)

    assert [one for one in json.loads(result.stdout)["findings"] if one["level"] != "ok"] == []
    made = {check.name for check in CHECKS if check.name.partition(".")[0] in CHECKED_GROUPS}
    assert {one["check"] for one in json.loads(result.stdout)["findings"]} == made - {"handlers.sinks"}
    assert result.exit_code == printed.exit_code == 0
    assert all(GROUP_TITLES[group] in printed.stdout.splitlines() for group in CHECKED_GROUPS)
    assert printed.stdout.endswith(" ok.\n")


def test_every_secret_stays_secret(run: Run) -> None:
    tokens = f"agent:{PASSWORD}"
    url = f"redis://user:{PASSWORD}@127.0.0.1:1/0"

    for words in ([], ["--json"]):
        result = run(
            *words, "--offline", REDIS_URL=url, HITL_TOKENS=tokens, HITL_METRICS_TOKEN=PASSWORD, HITL_API_KEYS=PASSWORD,
            HITL_PUBLIC_URL=f"https://user:{PASSWORD}@hooks.example.com",
        )  # fmt: skip

        assert result.exit_code == 2
        assert "redis://127.0.0.1:1/0 (with a password)" in result.output
        assert "set, for agent (ask+read)" in result.output
        assert "set, 2 of 23, 23 characters" in result.output
        for secret in (PASSWORD, SECRET, CALLBACK_KEY, KEY):
            assert secret not in result.output


# -- settings ------------------------------------------------------------------------------------------


def test_every_setting_is_explained() -> None:
    rows = dict(re.findall(r"^\| `([A-Z_]+)` \| .*? \| (.*) \|$", PAGES["docs/settings.md"], re.MULTILINE))

    assert {entry.name for entry in SETTINGS} == settings_read() == set(rows)
    for entry in SETTINGS:
        assert entry.default in rows[entry.name], entry.name


def test_a_setting_shows_the_source_of_its_value(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / ".hitl"
    folder.mkdir(mode=0o700)
    (folder / "dev.env").write_text("HITL_LOOKBACK='2h'\n")
    no_secrets = dict.fromkeys(("HITL_API_KEY", "HITL_WEBHOOK_SECRETS", "HITL_CALLBACK_SECRETS"))

    values = json.loads(only(run, "settings", HITL_MAX_BODY="2048", **no_secrets).stdout)["settings"]

    by_name = {one["name"]: (one["value"], one["origin"]) for one in values}
    assert by_name["HITL_MAX_BODY"] == ("2048", "environment")
    assert by_name["HITL_LOOKBACK"] == ("2h", ".hitl/dev.env")
    assert by_name["HITL_DISCOVER"] == ("1", "default")
    assert by_name["HITL_WEBHOOK_SECRETS"] == ("not set", "default")


def test_invalid_settings_are_errors_whatever_is_asked_for(run: Run) -> None:
    result = only(run, "redis", HITL_MAX_BODY="many", HITL_WEBHOOK_SECRET="x", HITL_WEBHOOK_SECRETS=None)

    assert [one["level"] for one in findings(result, "settings.valid")] == ["error", "error"]
    assert result.exit_code == 2


def test_settings_with_which_a_program_does_not_start_are_warnings(run: Run) -> None:
    result = only(run, "settings", HITL_HANDLERS=None, HITL_WEBHOOK_SECRETS=None, HITL_CALLBACK_SECRETS=None)

    assert finding(result, "settings.valid")["level"] == "ok"
    assert finding(result, "settings.serve")["text"].startswith("`serve` cannot start with these settings: ")
    assert finding(result, "settings.work")["level"] == "warning"
    assert result.exit_code == 1


# -- Redis ---------------------------------------------------------------------------------------------


def test_a_server_that_is_set_up_wrongly(run: Run, own_server: EmbeddedServer) -> None:
    with Redis.from_url(own_server.url) as client:
        for setting, value in (("maxmemory-policy", "allkeys-lru"), ("appendonly", "no"), ("maxmemory", "1100kb")):
            client.config_set(setting, value)
        client.config_set("maxmemory-policy", "noeviction")
        client.config_set("maxmemory", str(int(client.info("memory")["used_memory"] / 0.85)))
        client.config_set("maxmemory-policy", "allkeys-lru")

    result = only(run, "redis", REDIS_URL=own_server.url)

    levels = {one["check"]: one["level"] for one in json.loads(result.stdout)["findings"]}
    assert levels.pop("redis.memory") in {"warning", "error"}
    assert levels == {
        "redis.reachable": "ok",
        "redis.version": "ok",
        "redis.durability": "warning",
        "redis.eviction": "warning",
        "redis.mode": "ok",
        "redis.writes": "ok",
        "redis.clock": "ok",
    }
    assert "`CONFIG SET appendonly yes`" in finding(result, "redis.durability")["fix"]


def test_a_server_that_refuses_writes_is_an_error(run: Run, own_server: EmbeddedServer) -> None:
    with Redis.from_url(own_server.url) as client:
        client.config_set("min-replicas-to-write", 2)

    result = only(run, "redis", REDIS_URL=own_server.url)

    assert result.exit_code == 2
    assert finding(result, "redis.writes")["text"].startswith(
        "The server refuses writes, because 0 replicas are in step"
    )


def test_a_replica_is_an_error(run: Run, own_server: EmbeddedServer) -> None:
    with Redis.from_url(own_server.url) as client:
        client.replicaof("127.0.0.1", str(free_port()))

    result = only(run, "redis", REDIS_URL=own_server.url)

    assert finding(result, "redis.mode")["text"].startswith("The server is a replica")
    assert result.exit_code == 2


def test_a_server_that_does_not_answer(run: Run) -> None:
    result = run("--json", "--only", "processes", "--only", "api", REDIS_URL="redis://127.0.0.1:1/0")

    assert finding(result, "redis.reachable")["level"] == "error"
    assert finding(result, "api.key")["text"].startswith("Not tried")
    assert not findings(result, "processes.clock")


@pytest.mark.parametrize(
    ("rules", "unknown"),
    [(["-info", "-config"], {"redis.version", "redis.durability", "redis.eviction", "redis.memory"})],
)
def test_settings_that_a_server_hides_are_unknown(
    run: Run, own_server: EmbeddedServer, rules: list[str], unknown: set[str]
) -> None:
    with Redis.from_url(own_server.url) as client:
        client.execute_command("ACL", "SETUSER", "managed", "on", "nopass", "~*", "+@all", *rules)

    result = only(run, "redis", REDIS_URL=f"{own_server.url}?username=managed&password=x")

    told = {one["check"] for one in json.loads(result.stdout)["findings"] if one["text"].startswith("Unknown")}
    assert told == unknown
    assert result.exit_code == 0


@pytest.mark.parametrize(("skew", "level"), [(0.5, "ok"), (-1.9, "ok"), (2.5, "warning"), (-3600.0, "warning")])
def test_clocks_that_differ(skew: float, level: str) -> None:
    from service.doctor.redis_findings import clock_finding

    assert clock_finding(skew).level == level


@pytest.mark.parametrize(("used", "level"), [(79, "ok"), (81, "warning"), (91, "error")])
def test_the_memory_that_is_left(used: int, level: str) -> None:
    from service.doctor.redis_findings import memory_findings

    [found] = memory_findings(ServerState(info={"used_memory": used << 20, "maxmemory": 100 << 20}))

    assert found.level == level


# -- handlers ------------------------------------------------------------------------------------------

HANDLERS = """
from workers import Router
from workers.sinks import Slack, Webhook

print("noise of the module")
router = Router()


@router.on("request.completed", state={{"kind": "payout"}}, trust="confirmed")
def pay(decision): ...


router.forward(Webhook("http://127.0.0.1:{port}/hook-secret-path"), on="request.completed")
router.forward(Slack("http://127.0.0.1:{other}/hook-secret-path", "x"), on="request.completed")
"""


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Callable[[str], str]:
    """Writes a module of handlers; answers its name."""
    monkeypatch.syspath_prepend(tmp_path)

    def write(text: str) -> str:
        name = re.sub(r"\W", "_", request.node.name)
        (tmp_path / f"{name}.py").write_text(text)
        return name

    return write


def test_faults_of_handlers_are_findings(run: Run, module: Callable[[str], str], sandbox: Sandbox) -> None:
    reachable = int(sandbox.url.rpartition(":")[2])
    name = module(HANDLERS.format(port=free_port(), other=reachable))

    result = only(run, "handlers", HITL_HANDLERS=name, HITL_API_KEY=None)

    assert finding(result, "handlers.fields")["text"].startswith("pay reads state")
    assert finding(result, "handlers.confirmation")["level"] == "error"
    unreachable, reached = findings(result, "handlers.sinks")
    assert "ConnectionRefusedError" in unreachable["text"]
    assert reached["text"] == f"Reached: slack (127.0.0.1:{reachable})."
    assert "hook-secret-path" not in result.output
    assert "noise" not in result.stdout


def test_offline_connects_to_no_sink(run: Run, module: Callable[[str], str]) -> None:
    name = module(HANDLERS.format(port=free_port(), other=free_port()))

    result = run("--json", "--offline", "--only", "handlers", "--only", "api", "--only", "address", HITL_HANDLERS=name)

    assert result.exit_code == 0
    assert not findings(result, "handlers.sinks")


def test_of_an_error_in_the_handlers_only_their_frames_are_shown(run: Run, module: Callable[[str], str]) -> None:
    name = module("from workers import Router\n\nrouter = Router()\nfirst = {}['missing']\n")

    result = run("--only", "handlers", HITL_HANDLERS=name)

    assert f'{name}.py", line 4' in result.stdout
    assert "KeyError: 'missing'" in result.stdout
    assert "importlib" not in result.stdout
    assert result.exit_code == 2


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("import sys\nsys.exit(3)\n", "ends the program"),
        ("x = 1\n", "has no 'router'"),
        ("def broken(:\n", "SyntaxError"),
    ],
)
def test_handlers_that_cannot_be_used(run: Run, module: Callable[[str], str], text: str, said: str) -> None:
    result = only(run, "handlers", HITL_HANDLERS=module(text))

    assert said in finding(result, "handlers.import")["text"]
    assert result.exit_code == 2


# -- processes -----------------------------------------------------------------------------------------


def test_processes_that_do_not_answer_are_findings(run: Run, redis: Redis) -> None:
    # What RQ keeps of a worker that was killed.
    redis.sadd("rq:workers:hitl", "rq:worker:hitl-1-dead")
    redis.zadd(keys.DUE, {"|e": 1})

    result = only(run, "processes")

    assert finding(result, "processes.handlers")["text"].endswith("so no handler runs. 1 item of work is due.")
    assert finding(result, "processes.reconcile")["level"] == "warning"
    assert finding(result, "processes.clock")["level"] == "warning"
    assert result.exit_code == 2


def test_a_clock_is_present_while_it_announces_itself(run: Run, redis: Redis) -> None:
    presence.announce(redis, "clock")

    assert finding(only(run, "processes"), "processes.clock")["level"] == "ok"
    assert 0 < redis.pttl(keys.present("clock")) <= presence.PRESENT


# -- HITL.sh -------------------------------------------------------------------------------------------


def test_the_key_is_tried_once_and_charged(run: Run, redis: Redis) -> None:
    result = only(run, "api")

    assert finding(result, "api.key")["level"] == finding(result, "api.calls")["level"] == "ok"
    assert redis.hget(keys.budget(api_key_hash(KEY)), "asked") == b"1"


def test_a_key_that_is_refused(run: Run) -> None:
    with Sandbox(keys={"a_key_of_somebody_else": "a@example.com"}) as strict:
        result = only(run, "api", HITL_BASE_URL=strict.base_url)

    assert finding(result, "api.key")["text"].startswith("HITL.sh refuses the API key")
    assert result.exit_code == 2


def test_without_calls_the_key_is_not_tried(run: Run, redis: Redis) -> None:
    assert only(run, "api").exit_code == 0
    redis.hset(keys.budget(api_key_hash(KEY)), "left", 0)

    result = only(run, "api")

    assert "No call of this hour is left" in finding(result, "api.calls")["text"]
    assert result.exit_code == 1


def test_an_api_that_does_not_answer(run: Run) -> None:
    result = only(run, "api", HITL_BASE_URL=f"http://127.0.0.1:{free_port()}/v1")

    assert finding(result, "api.health")["level"] == finding(result, "api.key")["level"] == "error"


# -- the public address --------------------------------------------------------------------------------


def test_the_public_address(run: Run, receiver: Receiver) -> None:
    def level(url: str | None) -> str:
        answer: str = finding(only(run, "address", HITL_PUBLIC_URL=url), "address.reachable")["level"]
        return answer

    assert level(f"http://127.0.0.1:{receiver.port}") == "ok"
    assert level(f"http://127.0.0.1:{free_port()}") == "error"
    assert level(None) == "warning"


# -- the list of checks --------------------------------------------------------------------------------


def named_checks() -> set[str]:
    """Those that findings are made with."""
    modules = [
        *(ROOT / "service/doctor").glob("*_findings.py"),
        ROOT / "service/doctor/setting_values.py",
        *(ROOT / "service/proofs").glob("*.py"),
    ]
    source = "\n".join(path.read_text() for path in modules)
    named = set(re.findall(rf'"((?:{"|".join(GROUP_TITLES)})\.[a-z]+)"', source)) - {"redis.evicts"}  # a log event
    return named | {f"prove.{case}" for case in get_args(Case) if case != "valid"}


def test_every_check_is_in_the_catalog() -> None:
    names = [check.name for check in CHECKS]

    assert set(names) == named_checks()
    assert len(names) == len(set(names))
    assert list(dict.fromkeys(name.partition(".")[0] for name in names)) == list(GROUP_TITLES)


def test_the_page_has_the_table_of_checks() -> None:
    assert f"{BEGIN}\n\n{checks_table()}\n\n{END}" in PAGE.read_text()


@pytest.mark.parametrize("columns", [80, 100, 200])
def test_settings_and_findings_fit_the_terminal(monkeypatch: pytest.MonkeyPatch, columns: int) -> None:
    for name in SETTINGS:
        monkeypatch.delenv(name.name, raising=False)
    monkeypatch.setenv("REDIS_URL", f"redis://{'a-long-name.' * 5}example.com:16379/0")
    monkeypatch.setenv("HITL_WEBHOOK_SECRETS", ",".join(["a-secret-of-these-tests"] * 8))
    with on_terminal(columns=columns, no_color="1") as terminal, pytest.raises(SystemExit):
        cli(["doctor", "--only", "settings"])

    lines = terminal.getvalue().splitlines()
    assert len(lines) > len(SETTINGS)
    assert max(map(len, lines)) <= columns


# -- alerts -------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_each_entry_of_alerts_is_sent_a_message(run: Run) -> None:
    with JsonReceiver() as first, JsonReceiver() as second:
        result = run("--alerts", HITL_ALERTS=f"{first.url} {second.url}")

    assert result.exit_code == 0, result.stdout
    for number, receiver in enumerate((first, second), 1):
        [message] = receiver.messages
        assert message["title"].startswith("[test] hitl-receiver on ")
        assert f"Entry {number} of 2 (json) took a test message" in result.stdout
    assert "a-secret-path" not in result.output


@pytest.mark.slow
def test_an_entry_that_takes_no_message_is_a_warning_while_another_does(run: Run) -> None:
    with JsonReceiver(status=403) as refusing, JsonReceiver() as receiver:
        result = run("--alerts", "--json", HITL_ALERTS=f"{refusing.url}, {receiver.url} nosuch://a-secret-path")

    assert result.exit_code == 1
    assert [(one["level"], one["text"]) for one in findings(result, "alerts.sent")] == [
        ("warning", "Entry 1 of 3 (json) refused the message, or cannot be reached."),
        ("ok", "Entry 2 of 3 (json) took a test message: look whether it arrived."),
        ("warning", "Entry 3 of 3 (nosuch) is no URL that Apprise can use."),
    ]
    assert "a-secret-path" not in result.output


def test_if_no_entry_takes_a_message_that_is_an_error(run: Run) -> None:
    result = run("--alerts", HITL_ALERTS=f"json://user:{PASSWORD}@127.0.0.1:{free_port()}/a-secret-path")

    assert result.exit_code == 2
    assert "ERROR    Entry 1 of 1 (json) refused the message, or cannot be reached." in result.stdout
    assert "secret" not in result.output
    assert PASSWORD not in result.output


def test_without_alerts_doctor_says_that_nobody_is_told(run: Run) -> None:
    result = run("--alerts")

    assert result.exit_code == 1
    assert "nobody is told of an alarm" in result.stdout


def test_without_the_extra_doctor_says_which_one_alerts_need(server: EmbeddedServer, tmp_path: Path) -> None:
    environ = {
        "REDIS_URL": server.url,
        "HITL_ALERTS": "json://127.0.0.1/a-secret-path",
        "PYTHONPATH": f"{ROOT / 'tests' / 'processes' / 'without_extras'}{os.pathsep}{ROOT}",
    }

    result = programs.run("doctor", "--alerts", cwd=tmp_path, environ=environ)

    assert result.returncode == 2
    assert "pip install 'hitl-receiver[alerts]'" in result.stdout


@pytest.mark.parametrize("words", [("--alerts", "--prove"), ("--alerts", "--offline"), ("--prove", "--only", "redis")])
def test_checks_that_post_are_made_alone(run: Run, words: tuple[str, ...]) -> None:
    result = run(*words)

    assert result.exit_code == 2
    assert "--prove and --alerts make no other check" in result.stderr
