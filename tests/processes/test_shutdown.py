"""Stopping: what runs is finished, the rest is kept, and nothing is left running."""

import socket
import time
import uuid
from pathlib import Path

import httpx

from hitlsh.signatures import headers
from service.web.app import WEBHOOKS
from tests.builders import payload
from tests.ports import free_port
from tests.processes import proc
from tests.processes.programs import Dev
from tests.processes.stacks import SECRET, LiveStack, key_of


def answer(response: str) -> bytes:
    return payload(request_id=uuid.uuid4().hex, response=response)


def post(url: str, body: bytes) -> str:
    """A signed delivery that must be kept; answers its event key."""
    reply = httpx.post(
        url + WEBHOOKS, content=body, headers={"content-type": "application/json"} | headers(SECRET, body)
    )
    assert reply.status_code == 202, reply
    return key_of(body)


def test_a_worker_told_to_stop_finishes_what_runs_and_leaves_the_rest_due(stack: LiveStack) -> None:
    running = stack.send(answer("Hold"))
    stack.wait_for(running, "hold", "begin")
    worker = stack.child("worker").process
    assert worker is not None
    family = proc.family(worker.pid)

    worker.terminate()
    time.sleep(0.3)  # long enough for the work-horse to hear of it
    later = stack.send(answer("Approve"))
    stack.observer.open_gate()

    assert worker.wait(10.0) == 0
    assert proc.living(family) == []
    assert (stack.effect(running, "hold").state, stack.effect(running, "hold").attempts) == ("done", 1)
    assert stack.observer.told(running, "begin")["hold"] == 1
    assert (stack.record(later).state, stack.open_work()) == ("due", (1, 0))


def test_the_orphan_of_a_killed_worker_settles_what_it_holds_and_ends(stack: LiveStack) -> None:
    event = stack.send(answer("Hold"))
    stack.wait_for(event, "hold", "begin")
    orphan = stack.pid("horse")

    stack.kill("worker")
    stack.pause(1.5)  # by now it has seen that its parent is gone
    stack.observer.open_gate()

    stack.wait(lambda: not proc.alive(orphan), 5.0, "the orphan ends")
    assert (stack.effect(event, "hold").state, stack.effect(event, "hold").attempts) == ("done", 1)


def test_a_stop_in_the_first_moments_of_a_work_horse_is_heard(stack: LiveStack) -> None:
    for wait in (0.0, 0.02, 0.05):
        stack.wait(lambda: stack.pid("worker") and proc.alive(stack.pid("worker")), 10.0, "a worker")
        stack.send(answer("Approve"))
        stack.wait(lambda: stack.pid("horse"), 10.0, "a work-horse")
        time.sleep(wait)
        worker = stack.child("worker").process
        assert worker is not None

        worker.terminate()

        assert worker.wait(5.0) == 0


def test_dev_on_a_taken_port_is_refused(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", free_port())) as taken:
        port = taken.getsockname()[1]

        with Dev(tmp_path, port=port) as dev:
            assert dev.process.wait(15.0) == 2

        assert f"Port {port} is in use: stop the program that listens there" in dev.output
        assert "Traceback" not in dev.output
