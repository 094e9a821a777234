"""`hitl-receiver ask` against a sandbox, with a real inbox and endpoint: what is stored, printed and waited for."""

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, cast

import pytest
from click.testing import CliRunner, Result
from redis import Redis

from hitl_sandbox.testing import Sandbox
from hitlsh.api import Client
from service.cli.api.question_options import NO_ANSWER
from service.cli.main import cli
from service.local.embedded_server import EmbeddedServer
from tests.service.conftest import CALLBACK_KEY, Receiver, wait_until
from workers.inbox import keys
from workers.inbox.budget.redis_budget import RedisBudget

KEY = "hitl_test_0123456789abcdef"
PICK = ("--option", "Approve", "--option", "Reject", "--default", "Reject")
Run = Callable[..., Result]


@pytest.fixture(scope="module")
def running_sandbox() -> Iterator[Sandbox]:
    with Sandbox(seed=4) as running:
        yield running


@pytest.fixture
def sandbox(running_sandbox: Sandbox) -> Sandbox:
    running_sandbox.reset()
    return running_sandbox


@pytest.fixture
def loop_id(sandbox: Sandbox) -> str:
    with Client(KEY, base_url=sandbox.base_url) as client:
        loop = client.loops.create("Refunds", "lock").loop
    sandbox.add_member(loop.id, "kim@example.org", name="Kim")
    return loop.id


@pytest.fixture
def run(sandbox: Sandbox, redis: Redis, receiver: Receiver, server: EmbeddedServer) -> Run:
    """Runs `ask` with the settings of the receiver."""

    def invoke(*words: str, loop: str = "Refunds", **environ: str | None) -> Result:
        env: dict[str, str | None] = {
            "REDIS_URL": server.url,
            "HITL_API_KEY": KEY,
            "HITL_BASE_URL": sandbox.base_url,
            "HITL_CALLBACK_SECRETS": CALLBACK_KEY,
            "HITL_PUBLIC_URL": f"http://127.0.0.1:{receiver.port}",
        }
        usual = ("ask", "--loop", loop, "--text", "Refund order 17?")
        return CliRunner().invoke(cli, (*usual, *words), env=env | environ)

    return invoke


@pytest.fixture
def waiting(run: Run, sandbox: Sandbox) -> Iterator[Callable[..., tuple[str, Callable[[], Result]]]]:
    """Runs `ask --wait` in a thread; gives the request's id and a way to get what the command ended with."""
    with ThreadPoolExecutor() as threads:

        def begin(*words: str) -> tuple[str, Callable[[], Result]]:
            running = threads.submit(run, *PICK, "--wait", "--every", "0.05", *words)
            wait_until(lambda: running.done() or sandbox.state()["requests"])
            assert not running.done(), running.result().output
            return str(sandbox.state()["requests"][0]["id"]), lambda: running.result(timeout=20)

        yield begin


def asked(result: Result) -> dict[str, Any]:
    assert result.exit_code == 0, result.output
    return cast("dict[str, Any]", json.loads(result.stdout))


def calls(sandbox: Sandbox) -> list[tuple[str, str]]:
    """Those made since the loop was there."""
    return [(call["method"], call["path"]) for call in sandbox.calls()][1:]


# -- asking --------------------------------------------------------------------------------------------


def test_a_created_request_is_printed_and_tracked(run: Run, loop_id: str, redis: Redis) -> None:
    result = run(*PICK, "--timeout", "600", "--json", loop=loop_id)

    request_id = asked(result)["request_id"]
    assert redis.hget(keys.request(request_id), "learned") == b"asked"
    assert redis.zscore(keys.CHECKS, request_id) is not None


@pytest.mark.usefixtures("loop_id")
def test_the_state_is_bound_to_the_request(run: Run, redis: Redis) -> None:
    request_id = asked(run(*PICK, "--callback-state", '{"order": 17}', "--json"))["request_id"]

    bound = json.loads(cast("bytes", redis.hget(keys.request(request_id), "callback")))
    assert bound["state"] == {"order": 17}


def test_a_loop_by_id_costs_one_call_and_by_name_two(run: Run, sandbox: Sandbox, loop_id: str) -> None:
    run(*PICK, loop=loop_id)
    by_id = calls(sandbox)
    run(*PICK, loop="Refunds")

    assert [method for method, _ in by_id] == ["POST"]
    assert [method for method, _ in calls(sandbox)[1:]] == ["GET", "POST"]


@pytest.mark.usefixtures("loop_id")
def test_an_unknown_loop_is_reported_with_the_existing_ones(run: Run, sandbox: Sandbox) -> None:
    result = run(*PICK, loop="Payouts")

    assert result.exit_code == 1
    assert result.stderr == "Error: No loop is named 'Payouts': give the id or name of one of your loops ('Refunds').\n"
    assert sandbox.state()["requests"] == []


def test_two_loops_of_one_name_are_reported_with_their_ids(run: Run, sandbox: Sandbox, loop_id: str) -> None:
    with Client(KEY, base_url=sandbox.base_url) as client:
        client.loops.create("Refunds", "lock")

    result = run(*PICK)

    assert result.exit_code == 1
    assert "2 loops are named 'Refunds': give an id, " in result.stderr
    assert loop_id in result.stderr


@pytest.mark.usefixtures("loop_id")
def test_context_image_and_priority_reach_hitl_sh(run: Run, sandbox: Sandbox) -> None:
    asked(
        run(*PICK, "--context", '{"order": 17}', "--image", "https://x.example/a.png", "--priority", "high", "--json")
    )

    [request] = sandbox.state()["requests"]
    assert (request["context"], request["image_url"], request["priority"]) == (
        {"order": 17}, "https://x.example/a.png", "high",
    )  # fmt: skip


@pytest.mark.usefixtures("loop_id")
def test_the_link_to_poll_is_never_cut(run: Run, sandbox: Sandbox) -> None:
    result = run(*PICK)

    [request] = sandbox.state()["requests"]
    assert result.stdout.rstrip().endswith(f"/v1/api/requests/{request['id']}")


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("--option", "Yes", "--default", "No"), "Error: --default is 'No'"),
        ((*PICK, "--timeout", "5"), "Error: --timeout is 5"),
        ((*PICK, "--context", "[]"), "Error: --context is a list"),
    ],
)
def test_an_error_names_the_flag(run: Run, loop_id: str, words: tuple[str, ...], complaint: str) -> None:
    result = run(*words, loop=loop_id)

    assert result.exit_code == 1
    assert complaint in result.stderr


# -- callback URLs -------------------------------------------------------------------------------------


@pytest.mark.usefixtures("loop_id")
def test_without_a_secret_it_asks_without_a_callback_url_and_reports_it(run: Run, sandbox: Sandbox) -> None:
    result = run(*PICK, HITL_CALLBACK_SECRETS=None)

    assert result.exit_code == 0
    assert result.stderr.startswith(
        "No callback URL, so only a reconcile run can find the decision: HITL_CALLBACK_SECRETS"
    )
    assert len(result.stderr.splitlines()) == 1
    assert sandbox.state()["requests"][0]["callback_url"] is None


@pytest.mark.usefixtures("loop_id")
def test_a_given_callback_url_is_used_unchanged(run: Run, sandbox: Sandbox, redis: Redis) -> None:
    result = run(*PICK, "--callback-url", "https://example.com/x", "--json")

    assert sandbox.state()["requests"][0]["callback_url"] == "https://example.com/x"
    assert redis.hget(keys.request(asked(result)["request_id"]), "callback") is None


@pytest.mark.parametrize(
    ("words", "environ", "complaint"),
    [
        (("--callback-state", "1", "--callback-url", "https://example.com/x"), {}, "leave out --callback-url"),
        (("--callback-state", "1"), {"HITL_CALLBACK_SECRETS": None}, "HITL_CALLBACK_SECRETS is not set"),
        (("--callback-state", "order 17"), {}, "--callback-state must be JSON"),
        ((), {"HITL_API_KEY": None}, "HITL_API_KEY is not set"),
    ],
)
def test_invalid_options_are_refused_before_a_call(
    run: Run, sandbox: Sandbox, words: tuple[str, ...], environ: dict[str, str | None], complaint: str
) -> None:
    result = run(*PICK, *words, **environ)

    assert result.exit_code == 2
    assert complaint in result.stderr
    assert sandbox.calls() == []


# -- the budget ----------------------------------------------------------------------------------------


def test_without_calls_left_it_reports_when_they_return(run: Run, loop_id: str, redis: Redis, sandbox: Sandbox) -> None:
    budget = RedisBudget(redis, KEY)
    while budget.spend() == 0.0:
        pass

    result = run(*PICK, loop=loop_id)

    assert result.exit_code == 1
    assert "Not asked: no API call is left this hour. Calls return at 20" in result.stderr
    assert sandbox.state()["requests"] == []


# -- waiting -------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("loop_id")
def test_waiting_ends_with_the_webhook_and_costs_no_call(waiting: Any, sandbox: Sandbox) -> None:
    request_id, ended = waiting("--callback-state", '{"order": 17}', "--json")

    sandbox.answer(request_id, "Approve")
    result = ended()

    decision = json.loads(result.stdout)
    assert result.exit_code == 0
    assert (decision["source"], decision["response"], decision["state"]) == ("human", "Approve", {"order": 17})
    assert decision["trust"] == "callback"
    assert "body" not in decision
    assert [method for method, _ in calls(sandbox)] == ["GET", "POST"]


@pytest.mark.usefixtures("loop_id")
def test_waiting_prints_the_decision_and_its_reviewer(waiting: Any, sandbox: Sandbox) -> None:
    request_id, ended = waiting()

    sandbox.answer(request_id, "Reject")
    heads, row = ended().stdout.splitlines()

    assert heads.split() == ["ID", "OUTCOME", "SOURCE", "ANSWER", "BY", "TRUST"]
    assert row.split() == [request_id, "completed", "human", '"Reject"', "Kim", "callback"]


@pytest.mark.usefixtures("loop_id")
def test_a_timeout_exits_with_3(waiting: Any, sandbox: Sandbox) -> None:
    _, ended = waiting("--timeout", "60")

    sandbox.advance(61)
    result = ended()

    assert "timeout  vendor_default  -" in result.stdout
    assert result.exit_code == NO_ANSWER


@pytest.mark.usefixtures("loop_id")
def test_waiting_ends_when_the_request_is_lost(waiting: Any, redis: Redis) -> None:
    request_id, ended = waiting()
    wait_until(lambda: redis.exists(keys.request(request_id)))

    redis.hset(keys.request(request_id), "status", "lost")
    result = ended()

    assert result.exit_code == NO_ANSWER
    assert f"HITL.sh no longer knows request {request_id}" in result.stderr


@pytest.mark.usefixtures("loop_id")
@pytest.mark.parametrize("answer", [False, True])
def test_a_falsy_response_is_an_answer(run: Run, sandbox: Sandbox, answer: bool) -> None:
    with ThreadPoolExecutor() as threads:
        running = threads.submit(run, "--type", "boolean", "--default", "no", "--wait", "--json", "--every", "0.05")
        wait_until(lambda: sandbox.state()["requests"])
        sandbox.answer(sandbox.state()["requests"][0]["id"], answer)
        result = running.result(timeout=20)

    assert (result.exit_code, json.loads(result.stdout)["response"]) == (0, answer)


# -- by the asking service -----------------------------------------------------------------------------


@pytest.mark.usefixtures("loop_id")
def test_with_a_key_the_command_asks_once(run: Run, sandbox: Sandbox) -> None:
    first = asked(run(*PICK, "--key", "refund-17", "--json"))
    again = asked(run(*PICK, "--key", "refund-17", "--json"))
    other = run("--option", "Yes", "--option", "Approve", "--default", "Yes", "--key", "refund-17")

    assert (first["status"], again["id"], again["request_id"]) == ("open", first["id"], first["request_id"])
    assert len(sandbox.state()["requests"]) == 1
    assert other.exit_code == 1
    assert "default_response, response_config differ" in other.output


def test_with_trust_the_command_waits_for_an_outcome_that_has_it(
    waiting: Callable[..., tuple[str, Callable[[], Result]]], loop_id: str, sandbox: Sandbox
) -> None:
    request_id, ended = waiting("--trust", "callback", "--json", "--loop", loop_id)

    sandbox.answer(request_id, "Approve")
    result = ended()

    assert asked(result)["outcome"]["response"] == "Approve"


@pytest.mark.usefixtures("loop_id")
def test_a_question_waits_for_calls_or_is_refused(
    run: Run, redis: Redis, sandbox: Sandbox, server: EmbeddedServer
) -> None:
    budget = RedisBudget(redis, KEY)
    while budget.spend() == 0.0:
        pass

    refused = run(*PICK, "--when-limited", "refuse")
    queued = asked(run(*PICK, "--when-limited", "queue", "--json"))
    status = CliRunner().invoke(cli, ["status", "--json"], env={"REDIS_URL": server.url, "HITL_API_KEY": KEY})

    assert refused.exit_code == 1
    assert "Not asked: no call to HITL.sh is left in this hour. Ask again after" in refused.output
    assert queued["status"] == "queued"
    assert json.loads(status.stdout)["queued_questions"] == 1
    assert sandbox.state()["requests"] == []


def test_a_question_is_passed_on_to_other_loops(run: Run, sandbox: Sandbox, loop_id: str) -> None:
    escalation = ("--timeout", "600", "--escalate-to", "Refunds=900", "--escalate-to", f"{loop_id}=1200")

    request = asked(run(*PICK, *escalation, "--json"))

    assert [step["loop"] for step in request["steps"]] == ["Refunds", "Refunds", loop_id]
    assert [step["request_id"] for step in request["steps"]] == [sandbox.state()["requests"][0]["id"], None, None]


@pytest.mark.usefixtures("loop_id")
@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("--escalate-to", "Refunds"), "'Refunds' is not LOOP=SECONDS"),
        (("--escalate-to", "Refunds=600"), "--timeout is missing: the next loop is asked when this one times out"),
        (("--timeout", "600", "--escalate-to", "Refunds=5"), "--escalate-to is 5"),
        (("--key", "k", "--timeout", "5"), "--timeout is 5"),
    ],
)
def test_an_invalid_question_names_the_flag(run: Run, sandbox: Sandbox, words: tuple[str, ...], complaint: str) -> None:
    result = run(*PICK, *words)

    assert result.exit_code != 0
    assert complaint in result.output
    assert sandbox.state()["requests"] == []
