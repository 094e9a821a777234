"""Handlers that kill or block their process: the cause is found, other effects and workers go on."""

import time
import uuid
from collections import Counter
from collections.abc import Iterator

import pytest

from tests.builders import payload
from tests.processes import proc
from tests.processes.fault_stack import FaultStack, freeze, thaw
from tests.processes.stacks import SLACK

NEIGHBOURS = 19
#: Handlers of three seconds; one after another, they take longer than anything new may wait.
LONG = 6
LEASE = 1.0
#: Three crashes: each a lease, a second until the clock sees it, and a fork; then each suspect by itself.
WITHIN = 40.0


@pytest.fixture(scope="module")
def hard_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FaultStack]:
    with FaultStack(tmp_path_factory.mktemp("hard"), "hard_handlers") as running:
        yield running


@pytest.fixture
def stack(hard_stack: FaultStack) -> Iterator[FaultStack]:
    """The module's stack, with nothing to do and its workers in place."""
    yield hard_stack.ready()
    hard_stack.wait_until_settled(WITHIN)


def answer(response: str) -> bytes:
    return payload(request_id=uuid.uuid4().hex, response=response)


@pytest.mark.slow
@pytest.mark.parametrize(("response", "handler"), [("Exit", "exits"), ("Segfault", "segfaults")])
def test_poison_is_a_dead_letter_after_three_crashes_and_its_neighbours_succeed(
    stack: FaultStack, response: str, handler: str
) -> None:
    workers = [stack.pid(name) for name in stack.workers]

    *neighbours, poison = [stack.send(answer(said)) for said in (*["Approve"] * NEIGHBOURS, response)]
    stack.wait_until_settled(WITHIN)
    runs = Counter(len(stack.executions(event, "neighbour")) for event in neighbours)

    dead = stack.effect(poison, handler)
    assert (dead.state, dead.crashes, dead.error) == ("failed", 3, "3 workers died while this handler ran")
    assert stack.states(poison) == {handler: "failed", "neighbour": "done"}
    assert [stack.states(event) for event in neighbours] == [{"neighbour": "done"}] * NEIGHBOURS
    # Those that the same worker held when the poison killed it ran twice: none, where the other one held them all.
    assert runs[1] + runs[2] == NEIGHBOURS, "it took nobody down a second time"
    assert len(stack.executions(poison, handler)) in {3, 4}  # one more when it died before its routing was written
    assert [stack.pid(name) for name in stack.workers] == workers


@pytest.mark.slow
def test_a_handler_that_never_returns_costs_its_work_horse_and_nothing_else(stack: FaultStack) -> None:
    event = stack.send(answer("Stuck"))
    old = stack.wait_for_begin(event, "stuck")

    stack.wait(lambda: not proc.alive(old), 10.0, "the work-horse ends")
    stack.wait_until_settled(10.0)
    later = stack.send(answer("Quick"))
    stack.wait_until_settled(10.0)

    stuck = stack.effect(event, "stuck")
    assert (stuck.state, stuck.attempts) == ("failed", 1)
    assert "did not end within 0.5 s" in (stuck.error or "")
    for neighbour in ("neighbour", "plain_neighbour", "slow_neighbour"):
        assert stack.executions(event, neighbour) == [old]
        assert stack.states(event)[neighbour] == "done"
    assert stack.states(later) == {"neighbour": "done", "plain_neighbour": "done"}
    assert old not in stack.executions(later, "neighbour")
    assert stack.logged("drain.recycled")


@pytest.mark.slow
def test_code_that_blocks_the_loop_longer_than_its_lease_runs_once_and_is_named(stack: FaultStack) -> None:
    event = stack.send(answer("Rude"))
    stack.wait_for_begin(event, "rude")

    stack.wait_until_settled(10.0)

    assert len(stack.executions(event, "rude")) == 1
    assert len(stack.executions(event, "neighbour")) == 1
    assert (stack.effect(event, "rude").state, stack.effect(event, "rude").crashes) == ("done", 0)
    assert [line for line in stack.logged("loop.blocked handler=rude") if "hard_handlers.py" in line]


@pytest.mark.slow
def test_a_worker_whose_lease_had_passed_to_another_settles_nothing(stack: FaultStack) -> None:
    event = stack.send(answer("Freeze"))
    first = stack.wait_for_begin(event, "frozen")
    stack.pause(0.1)  # not in the middle of a line of the ledger, for which all others would wait

    freeze(first)
    try:
        stack.wait(lambda: stack.states(event).get("frozen") == "done", WITHIN, "another worker settles it")
        settled = stack.effect(event, "frozen")
    finally:
        thaw(first)
    stack.wait(lambda: stack.logged("effect.lease_lost handler=frozen"), 10.0, "the first is told that it is late")

    assert stack.effect(event, "frozen") == settled
    [_, second] = stack.executions(event, "frozen")
    assert second != first
    assert (settled.attempts, settled.crashes) == (2, 1)


@pytest.mark.slow
def test_new_work_does_not_wait_for_what_a_worker_died_with(stack: FaultStack) -> None:
    long = [stack.send(answer("Long")) for _ in range(LONG)]
    stack.wait(lambda: all(stack.executions(event, "long") for event in long), 10.0, "all of them are in hand")
    horse = Counter(stack.executions(event, "long")[0] for event in long).most_common(1)[0][0]
    proc.kill(horse)
    stack.wait(lambda: not proc.alive(horse), 5.0, "its claim that waits for new work is gone with it")

    waits = []
    for _ in range(20):
        event, sent = stack.send(answer("Approve")), time.time()
        stack.wait_for_begin(event, "neighbour", 30.0)
        waits.append(stack.ledger.executions(event)[0].begun - sent)
        stack.pause(0.2)
    stack.wait_until_settled(WITHIN)

    assert max(waits) < LEASE + SLACK, waits
    assert [stack.states(event)["long"] for event in long] == ["done"] * LONG
    assert all(len(stack.executions(event, "long")) <= 2 for event in long)
