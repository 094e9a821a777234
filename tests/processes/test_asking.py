"""Questions in a whole stack: the clock and the reconcile process ask, repair and pass on; handlers are told."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest

from hitlsh.api.questions.new_question import Escalation, NewQuestion
from hitlsh.asking.ask_outcomes import Answered
from hitlsh.asking.asked_request import AskedRequest
from tests.processes.reconcile_stack import ReconcileStack, reconciling
from tests.workers.asking.asked import Died, die_at, let_time_pass
from workers.asking import AskingService
from workers.inbox import keys
from workers.redis_clients import drain_client


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ReconcileStack]:
    with reconciling(tmp_path_factory.mktemp("asking"), workers=1, seed=5, rate_limit=10_000) as running:
        running.wait_for_a_look()
        yield running


def run(stack: ReconcileStack, work: Callable[[AskingService], Awaitable[Any]]) -> Any:
    async def with_service() -> Any:
        redis = drain_client(stack.stack.redis_url)
        async with AskingService(stack.asking, redis) as service:
            try:
                return await work(service)
            finally:
                await redis.aclose()

    return asyncio.run(with_service())


def question(stack: ReconcileStack, **fields: Any) -> NewQuestion:
    usual: dict[str, Any] = {
        "text": "Refund?",
        "loop": stack.make_loop(),
        "response_type": "boolean",
        "default_response": False,
        "timeout_seconds": 600,
    }
    return NewQuestion(**usual | fields)


def current(stack: ReconcileStack, request: AskedRequest) -> AskedRequest:
    shown = run(stack, lambda service: service.get(request.id))
    assert isinstance(shown, AskedRequest)
    return shown


@pytest.mark.slow
def test_what_a_dead_process_has_asked_is_bound_by_the_reconcile_process(stack: ReconcileStack) -> None:
    asked = question(stack, key="dies", text="Does it die?")

    async def die(service: AskingService) -> None:
        die_at(service, 8)  # HITL.sh has created the request, and nothing is recorded of it
        with pytest.raises(Died):
            await service.submit(asked)

    run(stack, die)
    request = run(stack, lambda service: service.submit(asked)).request
    let_time_pass(stack.redis)
    stack.wait(lambda: current(stack, request).status == "open", 20.0, "the request is bound")

    created = [one for one in stack.sandbox.state()["requests"] if one["request_text"] == "Does it die?"]
    assert [one["id"] for one in created] == [current(stack, request).request_id]


@pytest.mark.slow
def test_a_timeout_escalates_the_question_and_only_the_decision_reaches_handlers(stack: ReconcileStack) -> None:
    on_call = Escalation(loop=stack.make_loop(), timeout_seconds=600)
    asked = question(stack, escalate_to=(on_call,), trust="confirmed", text="Who is there?")
    request = run(stack, lambda service: service.submit(asked)).request

    stack.sandbox.advance(601)
    stack.wait(lambda: current(stack, request).steps[1].request_id, 30.0, "the next loop is asked")
    second = current(stack, request)
    stack.sandbox.answer(str(second.request_id), True)
    stack.wait(lambda: current(stack, request).outcome is not None, 30.0, "the answer")
    decided = current(stack, request)
    stack.wait(lambda: stack.handled_by("pay", str(second.request_id)), 20.0, "the handler")

    assert isinstance(decided.outcome, Answered)
    assert (decided.outcome.response, decided.outcome.trust) == (True, "confirmed")
    assert [step.outcome for step in decided.steps] == ["timed_out", None]
    both = {step.request_id for step in decided.steps}
    assert {one.request for one in stack.handled() if one.request in both} == {second.request_id}


@pytest.mark.slow
def test_a_timeout_that_arrives_before_the_binding_reaches_no_handler(stack: ReconcileStack) -> None:
    on_call = Escalation(loop=stack.make_loop(), timeout_seconds=600)
    asked = question(stack, escalate_to=(on_call,), trust="confirmed", key="dies-twice", text="Who was there?")

    async def die(service: AskingService) -> None:
        die_at(service, 8)  # HITL.sh has created the request, and nothing is recorded of it
        with pytest.raises(Died):
            await service.submit(asked)

    run(stack, die)
    [first] = [one["id"] for one in stack.sandbox.state()["requests"] if one["request_text"] == asked.text]
    stack.sandbox.advance(601)
    timeout = keys.event(f"request.timeout:{first}")
    stack.wait(lambda: stack.redis.hexists(timeout, "unbound_since"), 20.0, "a worker has met the timeout")
    request = run(stack, lambda service: service.submit(asked)).request
    let_time_pass(stack.redis)
    stack.wait(lambda: current(stack, request).steps[1].request_id, 30.0, "the next loop is asked")
    second = str(current(stack, request).request_id)
    stack.sandbox.answer(second, True)
    stack.wait(lambda: stack.handled_by("pay", second), 20.0, "the handler")

    assert [step.request_id for step in current(stack, request).steps] == [first, second]
    assert stack.redis.hget(timeout, "state") == b"unrouted"
    assert {one.request for one in stack.handled() if one.request in (first, second)} == {second}
