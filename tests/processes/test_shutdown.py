"""Stopping: what runs is finished, the rest is kept, and nothing is left running."""

import os
import signal
import socket
import time
import uuid
from pathlib import Path

import httpx
from redis import Redis

from hitlsh.signatures import headers
from service.web.app import WEBHOOKS
from tests.builders import payload
from tests.ports import free_port
from tests.processes import proc
from tests.processes.programs import Dev
from tests.processes.stacks import SECRET, LiveStack, key_of
from workers.inbox import keys
from workers.inbox.queries import lookup
from workers.redis_clients import command_client


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


def test_a_folder_is_of_one_dev_until_ctrl_c_and_the_next_finds_what_it_received(tmp_path: Path) -> None:
    with Dev(tmp_path).wait_until_up() as first:
        event = post(first.url, answer("Approve"))
        check_that_a_second_is_refused(tmp_path, first)
        check_that_ctrl_c_stops_all_in_order(first)

    with Dev(tmp_path).wait_until_up() as next_dev, command_client(next_dev.redis_url) as redis:
        record = lookup.event(redis, event)
        assert record is not None
        assert record.deliveries == 1
        check_that_a_kill_leaves_nothing_running(next_dev, redis)


def check_that_a_second_is_refused(folder: Path, first: Dev) -> None:
    kept = (folder / "data" / "dev.env").read_text()

    with Dev(folder) as second:
        assert second.process.wait(15.0) == 2

    assert f"Another hitl-receiver is using {folder / 'data'}: stop it first" in first.output
    assert (folder / "data" / "dev.env").read_text() == kept
    assert httpx.get(f"{first.url}/health/ready").status_code == 200


def check_that_ctrl_c_stops_all_in_order(dev: Dev) -> None:
    # One for handlers, and one for reconcile runs.
    wanted = ["serve", "work", "work", "valkey"]
    names = [(pid, name) for pid in dev.family() if (name := name_of(pid)) in wanted]
    in_order = dict(sorted(names, key=lambda named: wanted.index(named[1])))

    dev.process.send_signal(signal.SIGINT)
    ended = order_of_death(in_order)

    assert dev.process.wait(10.0) == 0
    assert dev.family() == []
    assert ended == wanted
    assert "Stopped." in dev.output


def check_that_a_kill_leaves_nothing_running(dev: Dev, redis: Redis) -> None:
    earlier = len(dev.observer.happenings())
    post(dev.url, answer("Approve"))
    proc.until(lambda: len(dev.observer.happenings()) > earlier, 10.0, "a handler ran, so there is a work-horse")
    # Else the work-horse tries for its whole grace to report to the server, which is gone too.
    proc.until(lambda: not redis.exists(keys.LEASES), 10.0, "what it did is recorded")
    assert len(dev.family()) >= 6

    dev.stop(signal.SIGKILL)

    proc.until(lambda: not dev.family(), 90.0, f"all of it ends: {dev.family()}")


def test_dev_on_a_taken_port_is_refused(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", free_port())) as taken:
        port = taken.getsockname()[1]

        with Dev(tmp_path, port=port) as dev:
            assert dev.process.wait(15.0) == 2

        assert f"Port {port} is in use: stop the program that listens there" in dev.output
        assert "Traceback" not in dev.output


def name_of(pid: int) -> str:
    """`serve`, `work`, ... of a process of ours, `valkey` of the server, '' of work-horses."""
    words = (proc.PROC / f"{pid}/cmdline").read_text().split("\0")
    if "valkey-server" in words[0] or "redis-server" in words[0]:
        return "valkey"
    parent = int((proc.PROC / f"{pid}/stat").read_text().rpartition(")")[2].split()[1])
    is_horse = os.path.realpath(proc.PROC / f"{pid}/exe") == os.path.realpath(proc.PROC / f"{parent}/exe") and (
        proc.PROC / f"{parent}/cmdline"
    ).read_text() == "\0".join(words)
    return "" if is_horse else words[3]


def order_of_death(in_order: dict[int, str], seconds: float = 20.0) -> list[str]:
    """The names in the order in which their processes ended; `in_order`: as they should end."""
    ended: list[str] = []
    left = dict(in_order)

    def watch() -> bool:
        # The last is looked at first: one that should end before it and is seen alive after it did not.
        gone = {pid for pid in reversed(left) if not proc.alive(pid)}
        ended.extend(left.pop(pid) for pid in list(left) if pid in gone)
        return not left

    proc.until(watch, seconds, f"all of {left} end")
    return ended
