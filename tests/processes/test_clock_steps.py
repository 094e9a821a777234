"""The clock of the Redis server is set to another time while everything runs: nothing runs twice, nothing is stuck."""

import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import pytest

from service.local.supervisor import Child
from tests.builders import payload
from tests.processes import proc
from tests.processes.faked_server import FakedServer
from tests.processes.stacks import SLACK, LiveStack
from workers.inbox import inbox_clock

HOUR, DAY = 3_600.0, 86_400.0
#: Seconds. Steps of less than two thirds of it pass, see `workers.inbox.inbox_clock`.
LEASE = 6.0
HANDLERS = 5


class SteppedStack(LiveStack):
    """A stack of two workers on a server whose clock can be set."""

    def __init__(self, folder: Path, server: FakedServer) -> None:
        super().__init__(folder, {"REDIS_URL": server.url, "HITL_LEASE_SECONDS": str(LEASE)})
        self.faked = server
        worker = self.child("worker")
        self.stack.supervisor.children.append(Child(name="worker-2", argv=worker.argv, environ=worker.environ))

    def kill_work_horses(self) -> None:
        """Whichever of the workers has one."""
        pids = [pid for name in ("worker", "worker-2") for pid in proc.children(self.pid(name))]
        assert pids
        for pid in pids:
            proc.kill(pid)

    def step(self, offset: float) -> None:
        """The server's clock is off by so many seconds from now on."""
        self.faked.set_offset(offset)
        proc.until(lambda: abs(self._server_time() - time.time() - offset) < 2.0, 5.0, "the server's clock is set")

    def _server_time(self) -> int:
        return cast("tuple[int, int]", self.redis.time())[0]


@pytest.fixture(scope="module")
def stepped_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SteppedStack]:
    folder = tmp_path_factory.mktemp("steps")
    with FakedServer(folder / "faked") as server, SteppedStack(folder, server) as running:
        yield running


@pytest.fixture
def stack(stepped_stack: SteppedStack) -> Iterator[SteppedStack]:
    """The module's stack, at rest, on a server whose clock is right."""
    stepped_stack.observer.close_gate()
    yield stepped_stack
    stepped_stack.observer.open_gate()
    stepped_stack.step(0.0)
    stepped_stack.wait(lambda: not inbox_clock.read(stepped_stack.redis).is_stopped, 10.0, "the inbox clock goes on")
    stepped_stack.wait_until_settled(LEASE * 1.1 + SLACK)


def held(stack: LiveStack) -> list[str]:
    """Events whose handlers run until the gate opens."""
    events = [stack.send(answer("Hold")) for _ in range(HANDLERS)]
    for event in events:
        stack.wait_for(event, "hold", "begin")
    return events


def answer(response: str) -> bytes:
    return payload(request_id=uuid.uuid4().hex, response=response)


def runs(stack: LiveStack, events: list[str]) -> list[int]:
    return [stack.observer.told(event, "begin")["hold"] for event in events]


@pytest.mark.parametrize("seconds", [40.0, 30 * DAY, -HOUR])
def test_what_runs_during_a_step_runs_once_and_what_comes_after_it_is_handled(
    stack: SteppedStack, seconds: float
) -> None:
    events = held(stack)

    stack.step(seconds)
    after = stack.send(answer("Approve"))
    stack.wait_for(after, "quick", seconds=SLACK)
    stack.pause(LEASE + 2.0)
    stack.observer.open_gate()

    stack.wait_until_settled(SLACK)
    assert runs(stack, events) == [1] * HANDLERS
    assert {stack.effect(event, "hold").attempts for event in events} == {1}


def test_a_clock_that_is_set_again_and_again_runs_nothing_twice(stack: SteppedStack) -> None:
    events = held(stack)

    for seconds in (40.0, -HOUR, 30 * DAY, 0.0, -40.0, HOUR):
        stack.step(seconds)
        stack.pause(1.5)
    stack.observer.open_gate()

    stack.wait_until_settled(SLACK)
    assert runs(stack, events) == [1] * HANDLERS


def test_what_a_killed_worker_held_is_taken_over_although_the_clock_was_set_back(stack: SteppedStack) -> None:
    events = held(stack)

    stack.step(-HOUR)
    stack.kill_work_horses()
    stack.observer.open_gate()

    for event in events:
        # The inbox clock runs up to 10 % slower after that, and suspects run one after the other.
        stack.wait_for(event, "hold", seconds=LEASE * 1.1 + SLACK)
    assert runs(stack, events) == [2] * HANDLERS


def test_the_inbox_clock_counts_the_time_that_passes(stack: SteppedStack) -> None:
    before, started = inbox_clock.now(stack.redis), time.monotonic()

    for seconds in (40.0, -HOUR):
        stack.step(seconds)
        stack.pause(3.0)
    passed = time.monotonic() - started

    # A tenth of that for the way back to the server's clock, and what passes before a step is known as one.
    assert abs(inbox_clock.now(stack.redis) - before - passed) < 0.1 * passed + 2.0
