"""A drain's life ends under load: its successor claims before it stops, and every event is handled once."""

import os
import sys
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.builders import payload
from tests.processes import proc
from tests.processes.short_lives import LIFE
from tests.processes.stacks import LEASE, SLACK, LiveStack
from workers.inbox import keys

WITHIN = LEASE + SLACK


class ShortLives(LiveStack):
    """A stack whose worker has drains of a short life."""

    def __init__(self, folder: Path) -> None:
        self.lines: list[str] = []
        super().__init__(
            folder,
            {"HITL_HANDLERS": "tests.processes.handover_handlers"},
            say=lambda _, line: self.lines.append(line),
        )
        self.child("worker").argv = [sys.executable, "-m", "tests.processes.short_lives"]

    def answer(self, response: str) -> str:
        return self.send(payload(request_id=uuid.uuid4().hex, response=response))

    def drains(self) -> list[int]:
        """The work-horses of the worker."""
        return proc.living(proc.children(self.pid("worker")))

    def announced(self) -> int:
        """How many drains have announced themselves, without announcements that have expired."""
        self.redis.zremrangebyscore(keys.DRAINS, "-inf", int(time.time() * 1000))
        return int(self.redis.zcard(keys.DRAINS))

    def handovers(self) -> int:
        return sum("drain.handed_over" in line for line in self.lines)

    def wait_for_handover(self) -> tuple[int, int]:
        """Until a drain has a successor and still runs a handler; answers the pids of both."""
        before = self.handovers()
        while True:
            event = self.answer("Slow")
            self.wait_for(event, "slow", "begin")
            predecessor = next(one.pid for one in self.observer.happenings() if one.event == event)
            self.pause(0.3)
            horses = self.drains()
            if self.handovers() > before and predecessor in horses and len(horses) == 2:
                [successor] = [pid for pid in horses if pid != predecessor]
                return predecessor, successor


@pytest.fixture(scope="module")
def shared_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ShortLives]:
    with ShortLives(tmp_path_factory.mktemp("handover")) as running:
        yield running


@pytest.fixture
def stack(shared_stack: ShortLives) -> Iterator[ShortLives]:
    """The module's stack, with one drain at the most and without a trace of those that were killed."""
    yield shared_stack
    shared_stack.wait_until_settled(3 * WITHIN)
    shared_stack.wait(lambda: proc.alive(shared_stack.pid("worker")), WITHIN, "there is a worker")
    shared_stack.wait(lambda: len(shared_stack.drains()) <= 1, WITHIN, "no predecessor is left")
    shared_stack.wait(lambda: shared_stack.announced() <= 1, WITHIN, "announcements of killed drains expire")
    shared_stack.redis.delete("rq:failed:hitl")
    shared_stack.lines.clear()
    os.truncate(shared_stack.observer.path, 0)


def test_every_event_is_handled_once_over_several_lives(stack: ShortLives) -> None:
    sent: dict[str, str] = {}
    ends = time.monotonic() + 6 * LIFE
    while time.monotonic() < ends:
        response = "Slow" if len(sent) % 20 == 0 else "Fast"
        sent[stack.answer(response)] = response.lower()
        stack.pause(0.05)
    stack.wait_until_settled(WITHIN)

    runs = Counter((one.event, one.handler, one.what) for one in stack.observer.happenings())
    assert runs == Counter((event, handler, what) for event, handler in sent.items() for what in ("begin", "end"))
    assert {stack.effect(event, handler).attempts for event, handler in sent.items()} == {1}
    assert stack.handovers() >= 3
    assert len({one.pid for one in stack.observer.happenings()}) >= 4
    # To RQ, all of them are one job.
    assert stack.redis.zcard("rq:wip:hitl") == 1
    assert stack.redis.zcard("rq:failed:hitl") == 0
    assert stack.redis.zcard(keys.DRAINS) == 1


def test_a_stop_reaches_a_drain_and_its_predecessor(stack: ShortLives) -> None:
    predecessor, successor = stack.wait_for_handover()
    worker = stack.child("worker").process
    assert worker is not None

    worker.terminate()

    assert worker.wait(10.0) == 0
    assert proc.living([predecessor, successor]) == []
    assert stack.open_work() == (0, 0)
    assert stack.redis.zcard("rq:wip:hitl") == 0
    happenings = Counter(one.what for one in stack.observer.happenings())
    assert happenings["begin"] == happenings["end"]


def test_what_a_killed_predecessor_ran_runs_again(stack: ShortLives) -> None:
    predecessor, successor = stack.wait_for_handover()
    [left] = [one.event for one in stack.observer.happenings() if one.pid == predecessor][-1:]

    proc.kill(predecessor)
    # The only worker runs what was left one by one, in turns with healthy work.
    stack.wait_for(stack.answer("Fast"), "fast", seconds=3 * WITHIN)
    stack.wait_for(left, "slow", seconds=3 * WITHIN)
    stack.wait_until_settled(3 * WITHIN)

    assert any("job.killed queue=hitl status=9" in line for line in stack.lines)
    assert predecessor != successor


def test_a_successor_that_is_killed_at_once_costs_no_event(stack: ShortLives) -> None:
    stack.answer("Fast")
    for _ in range(3):
        before, ends = stack.handovers(), time.monotonic() + 10 * LIFE
        while stack.handovers() == before:
            assert time.monotonic() < ends, "no hand-over"
            stack.answer("Fast")  # a drain is there only while there is something to do
            stack.pause(0.1)
        successor = int(next(line for line in reversed(stack.lines) if "drain.handed_over" in line).split("to=")[1])
        proc.kill(successor)
        event = stack.answer("Fast")
        stack.wait_for(event, "fast", seconds=WITHIN)
    stack.wait_until_settled(WITHIN)

    stack.wait(lambda: len(stack.drains()) <= 1, WITHIN, "no predecessor is left")


def test_a_thread_that_does_not_end_stalls_no_neighbour(stack: ShortLives) -> None:
    stack.wait_for(stack.answer("Fast"), "fast")
    slow, stuck = stack.answer("Slow"), stack.answer("Stuck")
    stack.wait_for(slow, "slow", "begin")
    stack.wait(lambda: any("drain.recycled" in line for line in stack.lines), WITHIN, "the drain is recycled")

    fast = stack.answer("Fast")
    seconds = stack.wait_for(fast, "fast", seconds=WITHIN)
    stack.wait_for(slow, "slow", seconds=WITHIN)

    ended = {one.event: one.at for one in stack.observer.happenings() if one.what == "end"}
    print(f"\nthe fast one ended after {seconds:.2f} s")
    assert ended[fast] < ended[slow]
    assert stack.observer.told(stuck, "begin")["stuck"] >= 1
