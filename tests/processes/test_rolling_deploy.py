"""A rolling deploy: two versions of the program, with two forms of an event's head, work on one inbox."""

import os
import time
import uuid
from pathlib import Path

import pytest

from service.local.supervisor import Child
from tests.builders import payload
from tests.processes.fault_stack import FaultStack

NEWER = Path(__file__).with_name("newer_version")
EVENTS = 40
#: Seconds: the newer worker may be the faster one, and what the older one meets is left to chance.
MEETS_WITHIN = 60.0
#: What the older worker could not decode is tried again after 5 seconds, then after 10 more.
WITHIN = 45.0


def make_newer(child: Child) -> None:
    """From its next start on, the process runs the newer version."""
    child.environ = {**child.environ, "PYTHONPATH": os.pathsep.join([str(NEWER), child.environ["PYTHONPATH"]])}


@pytest.mark.slow
def test_each_decision_is_handled_once_while_two_versions_share_the_inbox(tmp_path: Path) -> None:
    stack = FaultStack(tmp_path, "hard_handlers")
    make_newer(stack.child("web"))
    make_newer(stack.child("second"))
    with stack:
        stack.ready()
        events: list[str] = []
        deadline = time.monotonic() + MEETS_WITHIN
        while len(events) < EVENTS or not stack.logged("record.undecodable"):
            assert time.monotonic() < deadline, "the older worker meets what it cannot decode"
            stack.pause(0.01)
            events.append(stack.send(payload(request_id=uuid.uuid4().hex, response="Approve")))
        make_newer(stack.child("worker"))
        process = stack.child("worker").process
        assert process is not None
        process.terminate()
        stack.wait_until_settled(WITHIN)

        assert [stack.states(event) for event in events] == [{"neighbour": "done"}] * len(events)
        assert [len(stack.executions(event, "neighbour")) for event in events] == [1] * len(events)
        assert not stack.logged("Traceback")
