"""Reconcile runs have a queue and a process of their own: no drain waits for one, and one that dies is taken over."""

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from hitlsh.api import boolean
from tests.builders import payload
from tests.processes import proc
from tests.processes.programs import Program
from tests.processes.reconcile_stack import API_KEY, ReconcileStack, reconciling
from tests.processes.stacks import plain_environment, settings
from workers.inbox import keys
from workers.inbox.tracker.api_keys import DISCOVERY

#: Seconds.
SOON = 20.0


@pytest.fixture(scope="module")
def shared_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ReconcileStack]:
    more = {"HITL_HANDLERS": "tests.processes.handlers", "HITL_CHECK_WITHIN": "1s"}
    with reconciling(tmp_path_factory.mktemp("queue"), more, workers=1, seed=1, rate_limit=1_000) as running:
        running.wait_for_a_look()
        yield running


@pytest.fixture
def stack(shared_stack: ReconcileStack) -> Iterator[ReconcileStack]:
    """The module's stack, whole and at rest; its handlers hold until the gate is opened."""
    shared_stack.observer.close_gate()
    yield shared_stack
    shared_stack.observer.open_gate()
    shared_stack.wait_until_settled()
    shared_stack.wait(lambda: listening(shared_stack, "hitl-reconcile") == 1, SOON, "reconcile runs have a process")
    shared_stack.wait(lambda: not shared_stack.redis.exists(keys.RECONCILE_LEASE), SOON, "no reconcile run goes on")


def reconcile_now(stack: ReconcileStack) -> None:
    stack.redis.zadd(keys.CHECKS, {DISCOVERY: 1})


def test_a_reconcile_run_takes_nothing_from_a_drain_that_is_busy(stack: ReconcileStack) -> None:
    held = stack.send(payload(request_id=uuid.uuid4().hex, response="Hold"))
    stack.wait_for(held, "hold", "begin")
    drain = stack.pid("horse")
    stack.gate.hold(1)
    reconcile_now(stack)
    stack.wait(lambda: stack.gate.held, SOON, "a reconcile run makes a call")

    # Neither the run that goes on nor the one that follows keeps the drain from claiming.
    first = stack.send(payload(request_id=uuid.uuid4().hex, response="Approve"))
    stack.wait_for(first, "quick", seconds=2.0)
    stack.wait(lambda: not stack.redis.exists(keys.RECONCILE_LEASE), 2 * SOON, "the run gives up, and is over")
    second = stack.send(payload(request_id=uuid.uuid4().hex, response="Approve"))
    stack.wait_for(second, "quick", seconds=2.0)

    assert stack.observer.told(held)["hold"] == 0
    assert stack.pid("horse") == drain


def test_a_reconcile_run_finds_a_decision_while_every_place_is_taken(stack: ReconcileStack) -> None:
    for _ in range(50):
        held = stack.send(payload(request_id=uuid.uuid4().hex, response="Hold"))
    stack.wait_for(held, "hold", "begin")
    with stack.asker() as client:
        request = client.requests.create(stack.make_loop(), "?", boolean(), default_response=True).request_id
    stack.sandbox.answer(request, False)

    stack.wait(lambda: stack.redis.exists(keys.event(f"request.completed:{request}")), SOON, "a run accepts it")
    assert stack.observer.told(held)["hold"] == 0
    stack.observer.open_gate()
    stack.wait_for(f"request.completed:{request}", "quick", seconds=SOON)


@pytest.mark.parametrize("whole", [False, True], ids=["the work-horse", "the process and its work-horse"])
def test_a_killed_reconcile_process_is_taken_over(stack: ReconcileStack, whole: bool) -> None:
    with stack.asker() as client:
        request = client.requests.create(stack.make_loop(), "?", boolean(), default_response=True).request_id
    stack.gate.hold(1)
    stack.sandbox.answer(request, False)
    stack.wait(lambda: stack.gate.held, SOON, "a reconcile run makes a call")
    name, horse = stack.reconciler()
    assert horse

    if whole:
        stack.kill(name)
    proc.kill(horse)

    # Within the lease of a run.
    stack.wait_for(f"request.completed:{request}", "quick", seconds=15.0 + SOON)
    assert stack.observer.told(f"request.completed:{request}")["quick"] == 1


def test_work_starts_one_process_for_reconcile_runs(tmp_path: Path, stack: ReconcileStack) -> None:
    folder = tmp_path / "work"
    folder.mkdir()
    environ = settings(folder) | {
        "REDIS_URL": stack.stack.redis_url,
        "HITL_API_KEY": API_KEY,
        "HITL_BASE_URL": stack.gate.base_url,
    }
    assert plain_environment().get("HITL_API_KEY") is None

    with Program("work", "--processes", "2", cwd=folder, environ=environ) as work:
        proc.until(lambda: (listening(stack, "hitl"), listening(stack, "hitl-reconcile")) == (3, 2), SOON, "all listen")
        assert work.stop() == 0
        assert work.family() == []

    assert (listening(stack, "hitl"), listening(stack, "hitl-reconcile")) == (1, 1)


def listening(stack: ReconcileStack, queue: str) -> int:
    """How many workers of a queue run, and are past their start."""
    workers = (stack.redis.hmget(worker, "pid", "state") for worker in stack.redis.smembers(f"rq:workers:{queue}"))
    return sum(state in {b"idle", b"busy"} and proc.alive(int(pid or 0)) for pid, state in workers)
