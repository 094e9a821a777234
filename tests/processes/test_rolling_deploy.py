"""A rolling deploy: two versions of the program, with two forms of an event's head, work on one inbox."""

import os
import uuid
from pathlib import Path

import pytest

from service.local.supervisor import Child
from tests.builders import payload
from tests.processes.fault_stack import FaultStack

NEWER = Path(__file__).with_name("newer_version")
EVENTS = 20
#: What the older worker could not decode is tried again after 5 seconds, then after 10 more.
WITHIN = 45.0


def make_newer(child: Child) -> None:
    """From its next start on, the process runs the newer version."""
    child.environ = {**child.environ, "PYTHONPATH": os.pathsep.join([str(NEWER), child.environ["PYTHONPATH"]])}


def start_newer(stack: FaultStack, name: str) -> None:
    """Beside the older worker."""
    older = stack.child("worker")
    child = Child(name=name, argv=older.argv, environ=older.environ)
    make_newer(child)
    stack.stack.supervisor.children.append(child)
    stack.stack.supervisor.replace(name)


def restart_newer(stack: FaultStack, name: str) -> None:
    """Stop it as a deploy does; the supervisor starts the newer version."""
    make_newer(stack.child(name))
    process = stack.child(name).process
    assert process is not None
    process.terminate()


@pytest.mark.slow
def test_each_decision_is_handled_once_while_two_versions_share_the_inbox(tmp_path: Path) -> None:
    stack = FaultStack(tmp_path, "hard_handlers", workers=1)
    make_newer(stack.child("web"))
    with stack:
        stack.ready()
        bodies = [payload(request_id=uuid.uuid4().hex, response="Approve") for _ in range(EVENTS)]
        events = [stack.send_until_kept(body) for body in bodies]
        stack.wait(lambda: stack.logged("record.undecodable"), 20.0, "the older worker meets what it cannot decode")
        start_newer(stack, "second")
        stack.ready()
        stack.wait(stack.ledger.executions, WITHIN, "one of them is handled")
        restart_newer(stack, "worker")
        stack.wait_until_settled(WITHIN)

        assert [stack.states(event) for event in events] == [{"neighbour": "done"}] * len(events)
        assert [len(stack.executions(event, "neighbour")) for event in events] == [1] * len(events)
        assert not stack.logged("Traceback")
