"""The command line: output and exit status of real commands."""

import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
from click.testing import CliRunner

from service.cli.main import COMMAND_MODULES, cli
from tests.builders import payload
from tests.ports import free_port
from tests.processes import proc
from tests.processes.programs import Program, invoke, run
from tests.processes.stacks import KEY, SECRET, LiveStack, settings

MENTIONS = {
    "api": ["HITL_API_KEY", "HITL_BASE_URL"],
    "ask": ["HITL_API_KEY", "HITL_CALLBACK_SECRETS", "HITL_PUBLIC_URL", "REDIS_URL"],
    "callback-url": ["HITL_CALLBACK_SECRETS", "HITL_PUBLIC_URL"],
    "clock": ["REDIS_URL"],
    "dev": [".env", "HITL_HANDLERS"],
    "routes": ["HITL_HANDLERS"],
    "send": ["HITL_CALLBACK_SECRETS", "HITL_WEBHOOK_SECRETS"],
    "serve": ["REDIS_URL", "HITL_WEBHOOK_SECRETS", "HITL_CALLBACK_SECRETS", "PORT"],
    "status": ["REDIS_URL"],
    "reconcile": ["HITL_API_KEY", "REDIS_URL"],
    "work": ["REDIS_URL", "HITL_HANDLERS"],
}
ANY_REDIS = {"REDIS_URL": "redis://127.0.0.1:1/0"}


@pytest.fixture(scope="module")
def log_lines() -> list[str]:
    """What all processes of the stack have logged, and more of it than usual."""
    return []


@pytest.fixture(scope="module")
def shared_stack(log_lines: list[str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveStack]:
    with LiveStack(
        tmp_path_factory.mktemp("stack"),
        {"HITL_LOG_LEVEL": "DEBUG"},
        say=lambda name, line: log_lines.append(f"{name} {line}"),
    ) as running:
        yield running


# -- help ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(COMMAND_MODULES))
def test_help_says_which_settings_a_command_reads(name: str) -> None:
    shown = CliRunner().invoke(cli, [name, "--help"])

    assert (shown.exit_code, shown.stderr) == (0, "")
    for setting in MENTIONS.get(name, []):
        assert setting in shown.stdout


def test_help_needs_no_setting(tmp_path: Path) -> None:
    completed = run("serve", "--help", cwd=tmp_path)

    assert (completed.returncode, completed.stderr) == (0, "")


# -- refusals ------------------------------------------------------------------------------------------


def test_serve_with_nothing_set_lists_every_problem(tmp_path: Path) -> None:
    completed = run("serve", cwd=tmp_path)

    assert (completed.returncode, completed.stdout) == (2, "")
    assert completed.stderr.startswith("hitl-receiver cannot start:\n  - REDIS_URL is not set")
    assert "\n  - HITL_WEBHOOK_SECRETS and HITL_CALLBACK_SECRETS are both empty" in completed.stderr


@pytest.mark.parametrize("command", ["serve", "work", "clock", "dev"])
def test_every_wrong_setting_is_told_at_once(tmp_path: Path, command: str) -> None:
    wrong = {
        "HITL_WEBHOOK_SECRET": "x" * 20,
        "HITL_LOG_LEVEL": "loud",
        "HITL_MAX_BODY": "x",
        "HITL_HANDLERS": "handlers",
    }

    completed = invoke(command, cwd=tmp_path, environ=ANY_REDIS | wrong)

    assert completed.exit_code == 2
    assert "\n  - HITL_LOG_LEVEL='loud': write one of INFO, DEBUG, WARNING, ERROR\n" in completed.stderr
    assert "\n  - HITL_MAX_BODY='x' must be a number of bytes" in completed.stderr
    if command != "dev":  # which generates the secret
        assert "\n  - HITL_WEBHOOK_SECRET is no setting: did you mean HITL_WEBHOOK_SECRETS?\n" in completed.stderr


def test_serve_without_a_verifier_refuses(tmp_path: Path) -> None:
    completed = invoke("serve", cwd=tmp_path, environ=ANY_REDIS)

    assert completed.exit_code == 2
    assert "no delivery could be verified" in completed.stderr
    assert "REDIS_URL" not in completed.stderr


@pytest.mark.parametrize("command", ["work", "serve", "dev", "routes"])
def test_an_error_in_the_handlers_shows_the_users_frames_alone(tmp_path: Path, command: str) -> None:
    (tmp_path / "handlers.py").write_text("import prices\n")
    (tmp_path / "prices.py").write_text("import json\n\n\ndef load():\n    json.loads('{')\n\n\nload()\n")

    completed = run(
        command, cwd=tmp_path, environ=ANY_REDIS | {"HITL_HANDLERS": "handlers", "HITL_CALLBACK_SECRETS": KEY}
    )

    assert completed.returncode == 1
    frames = re.findall(r'File "(.*)", line (\d+), in (.*)', completed.stderr)
    assert frames == [
        (f"{tmp_path}/handlers.py", "1", "<module>"),
        (f"{tmp_path}/prices.py", "8", "<module>"),
        (f"{tmp_path}/prices.py", "5", "load"),
    ]
    assert "JSONDecodeError: Expecting property name" in completed.stderr


@pytest.mark.parametrize(
    ("source", "line", "message"),
    [
        ("def pay(:\n", 1, "SyntaxError: invalid syntax"),
        (
            (
                "from workers import Router\n\nrouter = Router()\n\n\n@router.on('request.completed', backoff=1)\n"
                "def pay(decision): ...\n"
            ),
            6,
            "RouteInvalid: backoff=1: give the ceiling of the first delay",
        ),
    ],
)
def test_a_mistake_in_the_handlers_is_shown_with_its_line(tmp_path: Path, source: str, line: int, message: str) -> None:
    (tmp_path / "handlers.py").write_text(source)

    completed = invoke("routes", cwd=tmp_path, environ={"HITL_HANDLERS": "handlers"})

    assert completed.exit_code == 1
    assert re.findall(r'File "(.*)", line (\d+)', completed.stderr) == [(f"{tmp_path}/handlers.py", str(line))]
    assert message in completed.stderr


def test_work_says_where_it_looked_for_a_module_that_is_missing(tmp_path: Path) -> None:
    completed = invoke("work", cwd=tmp_path, environ=ANY_REDIS | {"HITL_HANDLERS": "nowhere.handlers"})

    assert completed.exit_code == 2
    assert f"no module 'nowhere' on the way to 'nowhere.handlers': looked in {tmp_path}" in completed.stderr
    assert "Traceback" not in completed.stderr


# -- routes, send, callback-url ------------------------------------------------------------------------


def test_routes_prints_the_table(tmp_path: Path) -> None:
    completed = invoke("routes", cwd=tmp_path, environ={"HITL_HANDLERS": "tests.processes.handlers"})

    assert completed.exit_code == 0
    heads, *rows = [line.split(maxsplit=1) for line in completed.stdout.splitlines()]
    assert heads == ["HANDLER", "RUNS FOR"]
    assert [row[0] for row in rows] == ["quick", "pause", "block", "expire", "hold"]
    assert "request.timeout" in rows[3][1]
    assert "response='Hold'" in rows[4][1]


def test_send_alone_lists_the_samples(tmp_path: Path) -> None:
    completed = invoke("send", cwd=tmp_path)

    assert completed.exit_code == 0
    assert re.search(r"^callback-v2\.completed +callback +\S", completed.stdout, re.MULTILINE)
    assert re.search(r"^nested\.completed +signed +\S", completed.stdout, re.MULTILINE)


@pytest.mark.parametrize("sample", ["callback-v2.completed", "nested.completed"])
def test_send_posts_a_sample_to_a_running_receiver(stack: LiveStack, tmp_path: Path, sample: str) -> None:
    completed = invoke("send", sample, cwd=tmp_path, environ=sender(stack.url))

    assert completed.exit_code == 0
    assert completed.stdout.startswith("202: ")


def test_send_with_another_secret_says_that_it_is_not_verified(stack: LiveStack, tmp_path: Path) -> None:
    wrong = sender(stack.url) | {"HITL_WEBHOOK_SECRETS": "not-the-secret-of-this-receiver"}

    completed = invoke("send", "nested.completed", cwd=tmp_path, environ=wrong)

    assert completed.exit_code == 1
    assert completed.stdout.startswith("401: not verified")


def test_send_without_a_receiver_says_so_and_keeps_the_token_to_itself(tmp_path: Path) -> None:
    nobody = f"http://127.0.0.1:{free_port()}"

    completed = invoke("send", "callback-v2.completed", cwd=tmp_path, environ=sender(nobody))

    assert completed.exit_code == 2
    assert f"No answer from {nobody} (ConnectError): does the receiver run?" in completed.stderr
    assert "/callbacks/" not in completed.stdout + completed.stderr


def test_the_receiver_accepts_a_delivery_to_a_minted_url(stack: LiveStack, tmp_path: Path) -> None:
    completed = invoke("callback-url", "--callback-state", '{"order": 7}', cwd=tmp_path, environ=sender(stack.url))

    assert completed.exit_code == 0
    reply = httpx.post(completed.stdout.strip(), content=payload(request_id="minted"))
    assert reply.status_code == 202


def sender(url: str) -> dict[str, str]:
    """The settings of whoever sends."""
    return {"HITL_WEBHOOK_SECRETS": SECRET, "HITL_CALLBACK_SECRETS": KEY, "HITL_PUBLIC_URL": url}


# -- what is logged ------------------------------------------------------------------------------------


def test_no_token_is_ever_logged(stack: LiveStack, log_lines: list[str]) -> None:
    good = stack.callback_path({"order": 1})
    tampered = f"{good[:-3]}abc"
    expired = stack.callback_path(age=timedelta(days=41))

    statuses = [stack.post_to(path, payload()).status_code for path in (good, tampered, expired)]
    stack.wait(lambda: {"forged", "expired"} <= refusals(log_lines), 5.0, "both refusals are logged")
    stack.wait_until_settled()

    assert statuses == [202, 401, 401]
    log = "\n".join(log_lines)
    for path in (good, tampered, expired):
        assert path.removeprefix("/callbacks/").split(".")[0] not in log
    assert SECRET not in log
    assert KEY not in log


def refusals(log_lines: list[str]) -> set[str]:
    return set(re.findall(r"delivery\.refused.* reason=callback_(\w+)", "\n".join(log_lines)))


# -- several workers -----------------------------------------------------------------------------------


def test_a_worker_that_died_is_started_again_and_all_stop_together(stack: LiveStack, tmp_path: Path) -> None:
    environ = settings(stack.observer.path.parent) | {"REDIS_URL": stack.stack.redis_url}
    with Program("work", "--processes", "2", cwd=tmp_path, environ=environ) as program:
        proc.until(lambda: workers(program) == 2, 15.0, "two workers")
        first, _ = proc.children(program.process.pid)

        proc.kill(first)

        proc.until(lambda: first not in proc.children(program.process.pid), 5.0, "it is gone")
        proc.until(lambda: workers(program) == 2, 10.0, "there are two again")
        assert program.stop() == 0
        assert program.family() == []


def workers(program: Program) -> int:
    return len(proc.living(proc.children(program.process.pid)))


def test_reconcile_runs_cannot_be_served_without_an_api_key(tmp_path: Path) -> None:
    tried = invoke("work", "--queue", "hitl-reconcile", cwd=tmp_path, environ={"REDIS_URL": "redis://127.0.0.1:1"})

    assert tried.exit_code == 2
    assert "HITL_API_KEY is not set, and reconcile runs call the API: set it" in tried.stderr
    assert "Traceback" not in tried.stderr
