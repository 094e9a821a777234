"""``hitl-receiver api`` against a sandbox: what it prints, and how it ends."""

import json
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from hitl_sandbox.testing import Sandbox
from hitlsh.api import Client
from hitlsh.api.descriptors import ApiListMethod, ApiMethod, Group
from service.cli.api.commands import api
from service.cli.question_options import NO_ANSWER

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

    def invoke(*words: str, input: str | None = None, **environ: str | None) -> Result:  # noqa: A002 # as click names it
        env = {"HITL_API_KEY": KEY, "HITL_BASE_URL": sandbox.base_url} | environ
        return CliRunner().invoke(api, words, env=env, input=input)

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


def test_waiting_ends_with_what_they_said(run: Run, loop_id: str, sandbox: Sandbox) -> None:
    with ThreadPoolExecutor() as threads:
        running = threads.submit(run, *asking(loop_id, *PICK), "--wait", "--every", "0.2", "--json")
        sandbox.answer(request_of(sandbox), "Approve")
        result = running.result(timeout=20)

    assert json.loads(result.stdout)["response_data"] == "Approve"
    assert result.exit_code == 0


def test_waiting_in_vain_is_no_success(run: Run, loop_id: str, sandbox: Sandbox) -> None:
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
        (asking("x", "--default", "a"), {}, "Error: --option has 0 entries"),
        (
            asking("x", "--option", "A", "--option", "A", "--default", "a"),
            {},
            "Error: --option has the value 'A' twice",
        ),
        (asking("x", "--type", "rating", "--default", "many"), {}, "Error: --default is 'many'"),
        (asking("x", "--type", "text", "--default", "x" * 1001), {}, "Error: --default has 1001 characters: the limit"),
        (
            asking("x", "--type", "boolean", "--option", " ", "--option", "B", "--default", "B"),
            {},
            "Error: --option is",
        ),
        (asking("x", *PICK, "--timeout", "5"), {}, "Error: --timeout is 5: give a whole number from 60"),
        (asking("x", *PICK, "--context", "[1]"), {}, "Error: --context is a list: give an object"),
        (asking("x", *PICK, "--context", '{"a": NaN}'), {}, "Error: --context is not JSON"),
        (asking("x", *PICK, "--image", "cat.png"), {}, "Error: --image is 'cat.png': give an absolute address"),
        (asking("", *PICK), {}, "Error: --loop is ''"),
        (("members", ".."), {}, "Error: LOOP_ID is '..'"),
        (("create-loop", "--name", "x" * 101), {}, "Error: --name has 101 characters"),
        (("feedback", "r"), {}, "Error: feedback is empty"),
        (("webhook", "create", "http://x.example", "--secret", "s"), {}, "Error: URL 'http://x.example' is not https"),
    ],
)
def test_an_error_is_one_line(run: Run, words: tuple[str, ...], environ: dict[str, str], complaint: str) -> None:
    result = run(*words, **environ)

    assert result.exit_code == 1
    assert complaint in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert KEY not in result.output


def test_a_warning_is_said_beside_the_result(run: Run, loop_id: str) -> None:
    result = run(*asking(loop_id, *PICK), "--callback-url", "http://10.0.0.1/x")

    assert "Warning: --callback-url 'http://10.0.0.1/x' is not https" in result.stderr


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (asking("x", *PICK, "--context", "{"), "--context must be JSON"),
        (asking("x", "--type", "rating", "--min", "5", "--max", "1", "--default", "1"), "--min must be the smaller"),
        (asking("x", "--type", "boolean", "--option", "A", "--default", "A"), "takes --option twice"),
        (asking("x", *PICK, "--priority", "urgent"), "'urgent' is not one of"),
        (("update-loop", "x"), "Give at least one of --name"),
        (("update", "x"), "Give at least one of --text"),
        (("session", "update", "x"), "Give at least one of --context"),
    ],
)
def test_a_wrong_option_is_a_usage_error_before_a_call(
    run: Run, sandbox: Sandbox, words: tuple[str, ...], complaint: str
) -> None:
    result = run(*words)

    assert result.exit_code == 2
    assert complaint in result.stderr
    assert sandbox.calls() == []


def test_a_question_may_carry_context_images_and_a_priority(run: Run, loop_id: str) -> None:
    images = ("--image", "https://x.example/a.png", "--image", "https://x.example/b.png")
    request_id = asked(run, loop_id, *PICK, "--context", '{"order": 17}', "--priority", "critical", *images)

    request = json.loads(run("get", request_id, "--json").stdout)

    assert (request["context"], request["priority"]) == ({"order": 17}, "critical")
    assert (request["type"], request["image_url"]) == ("image", "https://x.example/a.png")


def test_the_link_to_poll_is_never_cut(run: Run, loop_id: str, sandbox: Sandbox) -> None:
    result = run(*asking(loop_id, *PICK))

    [request] = sandbox.state()["requests"]
    assert result.stdout.rstrip().endswith(f"/v1/api/requests/{request['id']}")


#: The command for each call of the client.
COMMAND_OF_CALL = {
    "test": "test",
    "loops.create": "create-loop",
    "loops.list": "loops",
    "loops.get": "loop",
    "loops.update": "update-loop",
    "loops.delete": "delete-loop",
    "loops.members": "members",
    "loops.remove_member": "remove-member",
    "requests.create": "ask",
    "requests.list": "list",
    "requests.page": "list",
    "requests.list_of_loop": "loop-requests",
    "requests.get": "get",
    "requests.wait": "wait",
    "requests.cancel": "cancel",
    "requests.update": "update",
    "requests.feedback": "feedback",
    "uploads.image": "upload",
    "uploads.document": "upload",
    "chains.create": "chain create",
    "chains.get": "chain get",
    "chains.decide": "chain decide",
    "sessions.create": "session create",
    "sessions.list": "session list",
    "sessions.get": "session get",
    "sessions.update": "session update",
    "sessions.pause": "session pause",
    "sessions.resume": "session resume",
    "sessions.complete": "session complete",
    "sessions.create_turn": "session create-turn",
    "sessions.turns": "session turns",
    "sessions.get_turn": "session turn",
    "sessions.wait_for_turn": "session wait-turn",
    "sessions.decide_turn": "session decide-turn",
    "sessions.report_action": "session report-action",
    "workflows.trigger": "trigger",
    "webhooks.create": "webhook create",
    "webhooks.rotate_secret": "webhook rotate-secret",
    "webhooks.test": "webhook test",
}


def commands(group: click.Group, prefix: str = "") -> Iterator[str]:
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from commands(command, f"{prefix}{name} ")
        else:
            yield f"{prefix}{name}"


def test_every_call_of_the_client_has_a_command() -> None:
    with Client(KEY) as client:
        groups = {name: group for name, group in vars(client).items() if isinstance(group, Group)}
    calls = {
        f"{group_name}.{name}"
        for group_name, group in groups.items()
        for name, value in vars(type(group)).items()
        if isinstance(value, ApiMethod | ApiListMethod)
    }

    assert calls | {"test"} == set(COMMAND_OF_CALL)
    assert set(COMMAND_OF_CALL.values()) == set(commands(api))


def test_a_loop_is_created_changed_and_deleted(run: Run, sandbox: Sandbox) -> None:
    created = run("create-loop", "--name", "Refunds", "--description", "Money back", "--json")
    loop_id = json.loads(created.stdout)["loop"]["id"]

    changed = run("update-loop", loop_id, "--name", "Payouts")
    shown = run("loop", loop_id)
    kept = run("delete-loop", loop_id, input="n\n")
    deleted = run("delete-loop", loop_id, "--yes")

    assert "Payouts" in changed.stdout
    assert "Payouts" in shown.stdout
    assert "Money back" in shown.stdout
    assert (kept.exit_code, deleted.exit_code) == (1, 0)
    assert sandbox.state()["loops"] == []


def test_the_way_to_join_a_new_loop_is_shown_whole(run: Run) -> None:
    result = run("create-loop", "--name", "Refunds")

    head, row = result.stdout.splitlines()
    assert head.split("  ")[-1] == "JOIN"
    assert row.split()[-1].startswith("http")
    assert "…" not in row


def test_a_member_is_removed(run: Run, loop_id: str) -> None:
    members = json.loads(run("members", loop_id, "--json").stdout)["members"]
    [user_id] = [member["user_id"] for member in members if member["email"] == "kim@example.org"]

    result = run("remove-member", loop_id, user_id)

    assert result.exit_code == 0, result.output
    assert "kim@example.org" not in run("members", loop_id).stdout


def test_feedback_is_stored(run: Run, loop_id: str, sandbox: Sandbox) -> None:
    request_id = asked(run, loop_id)
    sandbox.answer(request_id, "Approve")

    result = run("feedback", request_id, "--rating", "5", "--tag", "quick", "--would-recommend")

    assert result.exit_code == 0, result.output
    assert "rating: 5" in result.stdout
    assert "would_recommend: True" in result.stdout


def test_a_request_is_changed_awaited_and_listed_with_its_loop(run: Run, loop_id: str, sandbox: Sandbox) -> None:
    request_id = asked(run, loop_id)

    changed = run("update", request_id, "--priority", "critical", "--json")
    open_still = run("wait", request_id, "--for", "0")
    sandbox.answer(request_id, "Reject")
    answered = run("wait", request_id)
    listed = run("loop-requests", loop_id)

    assert json.loads(changed.stdout)["priority"] == "critical"
    assert (open_still.exit_code, answered.exit_code) == (NO_ANSWER, 0)
    assert '"Reject"' in answered.stdout
    assert request_id in listed.stdout


def test_a_file_is_uploaded_and_its_address_shown(run: Run, tmp_path: Path) -> None:
    image, document = tmp_path / "cat.png", tmp_path / "terms.pdf"
    image.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(16))
    document.write_bytes(b"%PDF-1.7\n")

    rows = [run("upload", str(file)).stdout.splitlines()[1] for file in (image, document)]

    assert all(row.split()[-1].startswith("http") for row in rows), rows


def test_a_workflow_is_started(run: Run) -> None:
    result = run("trigger", "wf_1", "--payload", '{"order": 17}')

    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines()[0].split() == ["EXECUTION", "REQUEST", "STATUS", "CREATED"]


def test_a_session_and_its_turns_are_managed(run: Run, loop_id: str) -> None:
    def ran(*words: str) -> Any:
        result = run("session", *words, "--json")
        assert result.exit_code == 0, result.output
        return json.loads(result.stdout)

    session_id = ran("create", "--loop", loop_id, "--context", '{"repo": "shop"}')["id"]
    turn_id = ran("create-turn", session_id, "git_push", "--args", '{"branch": "next"}')["id"]

    assert ran("turn", session_id, turn_id)["proposed_args"] == {"branch": "next"}
    assert ran("decide-turn", session_id, turn_id, "approve", "--comment", "fine")["human_decision"] == "approve"
    assert ran("wait-turn", session_id, turn_id, "--timeout", "1")["human_comment"] == "fine"
    assert ran("report-action", session_id, turn_id, "--failure", "--exit-code", "0")["action_taken"]
    assert [turn["id"] for turn in ran("turns", session_id)] == [turn_id]
    assert ran("pause", session_id)["status"] == "paused"
    assert ran("resume", session_id)["status"] == "active"
    assert ran("update", session_id, "--context", '{"repo": "store"}')["context"]["repo"] == "store"
    assert ran("complete", session_id)["status"] == "completed"
    assert [each["id"] for each in ran("list", "--limit", "1")] == [ran("get", session_id)["id"]]


def test_a_chain_is_created_shown_and_decided(run: Run, loop_id: str) -> None:
    request_id = asked(run, loop_id)
    me = json.loads(run("test", "--json").stdout)["user_id"]

    created = run("chain", "create", request_id, "--org", "o", "--approver", me, "--approver", f"{me},u2", "--json")
    decided = run("chain", "decide", json.loads(created.stdout)["id"], "approve")
    shown = run("chain", "get", request_id)

    assert decided.exit_code == 0, decided.output
    assert "1: approved" in shown.stdout


def test_a_webhook_is_registered_and_its_secret_is_asked_for(run: Run) -> None:
    created = run("webhook", "create", "https://hooks.example.org/x", "--json", input="s3cret\n")
    webhook_id = created.stdout.split('"id": "')[1].split('"')[0]

    rotated = run("webhook", "rotate-secret", webhook_id, input="n3w\n")
    tested = run("webhook", "test", webhook_id)

    assert (created.exit_code, rotated.exit_code, tested.exit_code) == (0, 0, 0)
    assert "s3cret" not in created.output
    assert "n3w" not in rotated.output


def test_what_others_wrote_cannot_steer_the_terminal(run: Run, sandbox: Sandbox) -> None:
    with Client(KEY, base_url=sandbox.base_url) as client:
        client.loops.create("\x1b[2JRefunds\nID", "lock")

    assert "\x1b" not in run("loops").stdout
    assert len(run("loops").stdout.splitlines()) == 2
