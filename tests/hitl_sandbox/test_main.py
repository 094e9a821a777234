"""The program as a process."""

import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from click.testing import CliRunner

from hitl_sandbox.__main__ import main, read_keys
from hitl_sandbox.testing import Sandbox, free_socket
from tests.hitl_sandbox.receiver import Receiver

pytestmark = pytest.mark.slow

Start = Callable[..., tuple["subprocess.Popen[str]", str]]


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts the program; gives it and its address when it says that it is up."""
    running: list[subprocess.Popen[str]] = []

    def begin(*options: str) -> tuple["subprocess.Popen[str]", str]:
        listener = free_socket()
        port = listener.getsockname()[1]
        listener.close()
        command = [sys.executable, "-m", "hitl_sandbox", "--port", str(port), *options]
        program = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        running.append(program)
        assert program.stdout is not None
        output = program.stdout.readline()
        assert output == (
            f"HITL.sh sandbox: answer requests at http://127.0.0.1:{port}/ - the API is http://127.0.0.1:{port}/v1\n"
        )
        return program, f"http://127.0.0.1:{port}"

    yield begin
    for program in running:
        program.kill()
        program.communicate()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_at_once_although_pages_and_polls_are_open(start: Start, number: int) -> None:
    program, url = start()
    headers = {"Authorization": "Bearer k"}
    session = httpx.post(f"{url}/v1/api/sessions", json={}, headers=headers).json()["data"]["session"]["id"]
    turns = f"{url}/v1/api/sessions/{session}/turns"
    turn = httpx.post(turns, json={"action_type": "bypass"}, headers=headers).json()["data"]["turn"]["id"]
    polls: list[int] = []

    def poll() -> None:
        polls.append(httpx.get(f"{turns}/{turn}/wait", headers=headers, timeout=30).status_code)

    polling = threading.Thread(target=poll)
    polling.start()
    with httpx.stream("GET", f"{url}/sandbox/live") as page:
        next(page.iter_lines())
        time.sleep(0.2)
        began = time.monotonic()
        program.send_signal(number)
        code = program.wait(10)

    polling.join()
    assert code == 0
    assert time.monotonic() - began < 3
    assert polls == [408]
    assert program.stderr is not None
    assert program.stderr.read() == ""


def test_a_port_that_is_taken_ends_it_with_a_failure() -> None:
    with free_socket() as listener:
        listener.listen()
        second = subprocess.run(
            [sys.executable, "-m", "hitl_sandbox", "--port", str(listener.getsockname()[1])],
            capture_output=True,
            text=True,
            timeout=30,
        )

    assert second.returncode != 0
    assert "address already in use" in second.stderr


def test_a_delivery_in_flight_survives_a_kill(start: Start, receiver: Receiver, tmp_path: Path) -> None:
    db = str(tmp_path / "sandbox.sqlite")
    receiver.pause.clear()
    program, url = start("--db", db)
    httpx.post(f"{url}/sandbox/send", content=json.dumps({"url": receiver.url, "body": {"event": "x"}}))
    while not receiver.received:
        time.sleep(0.01)
    program.kill()
    program.wait()
    receiver.pause.set()

    _, url = start("--db", db)
    httpx.post(f"{url}/sandbox/settle")

    (delivery,) = httpx.get(f"{url}/sandbox/deliveries").json()["deliveries"]
    assert delivery["state"] == "delivered"
    assert receiver.bodies() == [{"event": "x"}] * 2


def test_options_of_the_start_apply_to_every_account(start: Start, receiver: Receiver) -> None:
    options = ("--webhook", receiver.url, "--webhook-secret", "s", "--rate-limit", "7", "--allow-host", "hitl-sandbox")
    _, url = start(*options)
    reply = httpx.post(f"{url}/page/examples", headers={"Accept": "application/json"})
    state = httpx.get(f"{url}/sandbox/state").json()
    headers = {"Authorization": "Bearer hitl_test_example"}
    asked = next(request for request in state["requests"] if request["response_type"] == "boolean")

    limit = httpx.get(f"{url}/v1/test", headers=headers).headers["X-RateLimit-Limit"]
    httpx.post(f"{url}/sandbox/requests/{asked['id']}/answer", content=json.dumps({"response_data": False}))
    httpx.post(f"{url}/sandbox/settle")

    assert reply.status_code == 200
    assert limit == "7"
    assert "request.completed" in [body["event"] for body in receiver.bodies()]
    assert [_status(url, host) for host in ("hitl-sandbox:8100", "another-name:8100")] == [200, 421]


def test_without_an_option_it_is_called_by_no_name(sandbox: Sandbox) -> None:
    assert _status(sandbox.url, "hitl-sandbox:8100") == 421


def _status(url: str, host: str) -> int:
    return httpx.get(f"{url}/sandbox/clock", headers={"Host": host}).status_code


def test_keys_name_their_account() -> None:
    keys = read_keys(("k1", "k2=priya@example.com"))

    assert keys == {"k1": "owner@example.com", "k2": "priya@example.com"}


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--webhook", "http://example.com", "--webhook-secret", "s"], "must use HTTPS"),
        (["--webhook", "https://example.com"], "--webhook-secret is required"),
        (["--callback-variant", "v9"], "'v9' is not one of"),
    ],
)
def test_options_that_make_no_sense_are_refused(options: list[str], sentence: str) -> None:
    result = CliRunner().invoke(main, options)

    assert result.exit_code == 2
    assert sentence in result.output
