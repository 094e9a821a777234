"""``hitl-receiver api`` against a sandbox: what it prints, and how it ends."""

import json
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from click.testing import CliRunner, Result

from hitl_sandbox.testing import Sandbox
from hitlsh.api import Client
from service.cli.api.group import api
from service.cli.api.question_options import NO_ANSWER

KEY = "hitl_test_0123456789abcdef"
Run = Callable[..., Result]


@pytest.fixture(scope="module")
def running_sandbox() -> Iterator[Sandbox]:
    with Sandbox(seed=2) as running:
        yield running


@pytest.fixture
def sandbox(running_sandbox: Sandbox) -> Sandbox:
    running_sandbox.reset()
    return running_sandbox


@pytest.fixture
def run(sandbox: Sandbox) -> Run:
    """Runs a command with the key and the address in its environment."""

    def invoke(*words: str, **environ: str | None) -> Result:
        env = {"HITL_API_KEY": KEY, "HITL_BASE_URL": sandbox.base_url} | environ
        return CliRunner().invoke(api, words, env=env)

    return invoke


@pytest.fixture
def loop_id(sandbox: Sandbox) -> str:
    with Client(KEY, base_url=sandbox.base_url) as client:
        loop = client.loops.create("Refunds", "lock").loop
    sandbox.add_member(loop.id, "kim@example.org", name="Kim")
    return loop.id


def asking(loop_id: str, *more: str) -> tuple[str, ...]:
    return ("ask", "--loop", loop_id, "--text", "Refund order 17?", *more)


PICK = ("--option", "Approve", "--option", "Reject", "--default", "reject")


def asked(run: Run, loop_id: str, *more: str) -> str:
    result = run(*asking(loop_id, *(more or PICK)), "--json")
    assert result.exit_code == 0, result.output
    return str(json.loads(result.stdout)["request_id"])


def test_the_key_is_shown(run: Run) -> None:
    result = run("test")

    assert result.exit_code == 0
    assert "active" in result.stdout
    assert "99 of 100, until " in result.stdout


def test_loops_and_members_are_tables(run: Run, loop_id: str) -> None:
    loops, members = run("loops").stdout.splitlines(), run("members", loop_id).stdout.splitlines()

    assert loops[0].split() == ["ID", "NAME", "MEMBERS", "PENDING", "CREATED"]
    assert loops[1].startswith(f"{loop_id}  Refunds  2")
    assert any("kim@example.org" in line for line in members)


def test_no_loops_are_a_table_with_heads_only(run: Run) -> None:
    assert run("loops").stdout == "ID  NAME  MEMBERS  PENDING  CREATED\n"
    assert run("loops", "--json").stdout == "[]\n"


def test_a_request_is_asked_and_shown(run: Run, loop_id: str, sandbox: Sandbox) -> None:
    request_id = asked(run, loop_id)
    sandbox.answer(request_id, "Approve")

    result = run("get", request_id)

    assert result.exit_code == 0
    assert 'completed  "Approve"  Kim' in result.stdout
    assert "Refund order 17?" in result.stdout


@pytest.mark.parametrize(
    ("options", "default"),
    [
        (("--type", "multi_select", "--option", "A", "--option", "B", "--default", "A"), ["A"]),
        (("--type", "boolean", "--default", "no"), False),
        (("--type", "boolean", "--option", "Ship", "--option", "Hold", "--default", "Hold"), False),
        (("--type", "rating", "--min", "0", "--max", "3", "--default", "0"), 0),
        (("--type", "number", "--min", "-1", "--max", "9.5", "--default", "2.25"), 2.25),
        (("--type", "text", "--default", ""), ""),
        (("--type", "editable_text", "--draft", "Dear all", "--default", "Dear all"), "Dear all"),
    ],
)
def test_every_type_can_be_asked(run: Run, loop_id: str, options: tuple[str, ...], default: Any) -> None:
    request_id = asked(run, loop_id, *options)

    request = json.loads(run("get", request_id, "--json").stdout)

    assert request["default_response"] == default
    assert request["response_type"] == options[1]


def request_of(sandbox: Sandbox) -> str:
    """The id of the one request, once it is there."""
    for _ in range(500):
        if found := sandbox.state()["requests"]:
            return str(found[0]["id"])
        time.sleep(0.02)
    raise AssertionError("nothing was asked")


def test_waiting_ends_with_the_response(run: Run, loop_id: str, sandbox: Sandbox) -> None:
    with ThreadPoolExecutor() as threads:
        running = threads.submit(run, *asking(loop_id, *PICK), "--wait", "--every", "0.2", "--json")
        sandbox.answer(request_of(sandbox), "Approve")
        result = running.result(timeout=20)

    assert json.loads(result.stdout)["response_data"] == "Approve"
    assert result.exit_code == 0


def test_waiting_without_a_response_exits_with_3(run: Run, loop_id: str, sandbox: Sandbox) -> None:
    with ThreadPoolExecutor() as threads:
        running = threads.submit(run, *asking(loop_id, *PICK), "--timeout", "60", "--wait", "--every", "0.2")
        request_of(sandbox)
        sandbox.advance(61)
        result = running.result(timeout=20)

    assert "timeout  -" in result.stdout
    assert result.exit_code == NO_ANSWER


def test_requests_are_listed_up_to_a_limit(run: Run, loop_id: str, sandbox: Sandbox) -> None:
    ids = [asked(run, loop_id) for _ in range(3)]
    sandbox.answer(ids[0], "Reject")

    newest = json.loads(run("list", "--limit", "2", "--json").stdout)
    completed = json.loads(run("list", "--status", "completed", "--loop", loop_id, "--json").stdout)

    assert len(newest) == 2
    assert [request["id"] for request in completed] == [ids[0]]


def test_a_request_is_cancelled_once(run: Run, loop_id: str) -> None:
    request_id = asked(run, loop_id)

    first, second = run("cancel", request_id), run("cancel", request_id)

    assert (first.exit_code, second.exit_code) == (0, 1)
    assert f"{request_id}  cancelled" in first.stdout
    assert "Request cannot be cancelled in current state" in second.stderr


def test_a_missing_key_says_what_to_set(run: Run) -> None:
    result = run("loops", HITL_API_KEY=None)

    assert result.exit_code == 1
    assert result.stderr == "Error: HITL_API_KEY is not set: set it to the API key of your HITL.sh account.\n"


@pytest.mark.parametrize(
    ("words", "environ", "complaint"),
    [
        (("get", "seventeen"), {}, "Invalid request ID format"),
        (("loops",), {"HITL_BASE_URL": "http://api.hitl.sh/v1"}, "would send the API key in clear"),
        (("loops",), {"HITL_API_KEY": "two words"}, "holds a blank"),
        (asking("x", "--default", "a"), {}, "options has 0 entries"),
        (asking("x", "--type", "rating", "--default", "many"), {}, "default_response is 'many'"),
    ],
)
def test_an_error_is_one_line(run: Run, words: tuple[str, ...], environ: dict[str, str], complaint: str) -> None:
    result = run(*words, **environ)

    assert result.exit_code == 1
    assert complaint in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert KEY not in result.output


def test_a_warning_is_printed_beside_the_result(run: Run, loop_id: str) -> None:
    result = run(*asking(loop_id, *PICK), "--callback-url", "http://10.0.0.1/x")

    assert "is not https" in result.stderr


def test_text_from_outside_cannot_control_the_terminal(run: Run, sandbox: Sandbox) -> None:
    with Client(KEY, base_url=sandbox.base_url) as client:
        client.loops.create("\x1b[2JRefunds\nID", "lock")

    assert "\x1b" not in run("loops").stdout
    assert len(run("loops").stdout.splitlines()) == 2
