"""kill -9 of one process while a handler runs, or between: its event is handled within lease + 5 s."""

import uuid

import pytest

from tests.builders import payload
from tests.processes.stacks import LEASE, SLACK, LiveStack

WITHIN = LEASE + SLACK


NAMES = ["horse", "worker", "web", "clock", "server"]


def answer(response: str) -> bytes:
    return payload(request_id=uuid.uuid4().hex, response=response)


def is_done(stack: LiveStack, event: str, handler: str) -> bool:
    return any(effect.handler == handler and effect.state == "done" for effect in stack.record(event).effects)


@pytest.mark.parametrize("name", NAMES)
def test_work_of_a_killed_process_and_what_comes_next_are_handled(stack: LiveStack, name: str) -> None:
    event = stack.send(answer("Hold"))
    stack.wait_for(event, "hold", "begin")
    stack.wait(lambda: is_done(stack, event, "quick"), WITHIN, "its other effect is settled")

    stack.kill(name)
    later = stack.send_until_kept(answer("Approve"))
    stack.observer.open_gate()

    stack.wait_for(event, "hold", seconds=WITHIN)
    stack.wait_for(later, "quick", seconds=WITHIN)
    stack.wait_until_settled(WITHIN)
    assert stack.record(later).state == "done"
    assert stack.effect(event, "hold").state == "done"
    assert stack.effect(event, "quick").attempts == 1


@pytest.mark.parametrize("name", ["horse", "worker"])
def test_deliveries_after_the_kill_of_an_idle_process_are_handled(stack: LiveStack, name: str) -> None:
    stack.kill(name)

    event = stack.send_until_kept(answer("Approve"))

    stack.wait_for(event, "quick", seconds=WITHIN)
    stack.wait_until_settled(WITHIN)
    assert stack.record(event).state == "done"


def test_all_killed_at_once_come_back(stack: LiveStack) -> None:
    event = stack.send(answer("Hold"))
    stack.wait_for(event, "hold", "begin")

    for name in NAMES:
        stack.kill(name)
    stack.observer.open_gate()

    stack.wait_for(event, "hold", seconds=WITHIN)
    stack.wait_until_settled(WITHIN)
    assert stack.record(event).state == "done"
