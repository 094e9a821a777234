"""Any sequence of calls, compared with a small model."""

from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from hitl_sandbox.testing import Sandbox
from tests.hitl_sandbox.caller import Caller
from tests.hitl_sandbox.receiver import Receiver

CLAIM = 1800
OPEN = ("pending", "claimed")
TERMINAL = ("completed", "timeout", "cancelled")


class ModelRequest:
    """The expected state of one request."""

    def __init__(self, timeout_at: float) -> None:
        self.status = "pending"
        self.timeout_at = timeout_at
        self.claim_ends: float | None = None
        self.response: Any = None


def machine_for(sandbox: Sandbox, receiver: Receiver) -> type[RuleBasedStateMachine]:
    class Reviewing(RuleBasedStateMachine):
        @initialize()
        def begin(self) -> None:
            sandbox.reset(seed=1)
            sandbox.configure(claims=True)
            receiver.clear()
            self.api = Caller(sandbox)
            self.loop = self.api.loop()
            self.now = sandbox.now()
            self.requests: dict[str, ModelRequest] = {}

        def teardown(self) -> None:
            self.api.close()

        def one(self, number: int) -> tuple[str, ModelRequest]:
            ids = list(self.requests)
            return ids[number % len(ids)], self.requests[ids[number % len(ids)]]

        @rule(timeout=st.integers(60, 7200))
        def create(self, timeout: int) -> None:
            request_id = self.api.request(self.loop, "boolean", timeout_seconds=timeout, callback_url=receiver.url)
            self.requests[request_id] = ModelRequest(self.now + timeout)

        @precondition(lambda self: bool(self.requests))
        @rule(number=st.integers(0, 9))
        def claim(self, number: int) -> None:
            request_id, model = self.one(number)
            if model.status != "pending":
                with pytest.raises(AssertionError):
                    sandbox.claim(request_id)
                return
            sandbox.claim(request_id)
            model.status, model.claim_ends = "claimed", self.now + CLAIM

        @precondition(lambda self: bool(self.requests))
        @rule(number=st.integers(0, 9), response=st.booleans())
        def answer(self, number: int, response: bool) -> None:
            request_id, model = self.one(number)
            if model.status not in OPEN:
                with pytest.raises(AssertionError):
                    sandbox.answer(request_id, response)
                return
            sandbox.answer(request_id, response)
            model.status, model.response = "completed", response

        @precondition(lambda self: bool(self.requests))
        @rule(number=st.integers(0, 9))
        def cancel(self, number: int) -> None:
            request_id, model = self.one(number)
            reply = self.api.call("DELETE", f"/requests/{request_id}")
            assert reply.status_code == (200 if model.status == "pending" else 400)
            if model.status == "pending":
                model.status = "cancelled"

        @rule(seconds=st.one_of(st.integers(0, 120), st.integers(0, 4000)))
        def advance(self, seconds: int) -> None:
            sandbox.advance(seconds)
            self.now += seconds
            for model in self.requests.values():
                if model.status in OPEN and model.timeout_at <= self.now:
                    model.status = "timeout"
                elif model.status == "claimed" and (model.claim_ends or 0) <= self.now:
                    model.status = "pending"

        @invariant()
        def reads_as_in_the_model(self) -> None:
            if not hasattr(self, "requests"):
                return
            listed = self.api.get("/requests", limit=100).json()["data"]["requests"]
            actual = {request["id"]: (request["status"], request["response_data"]) for request in listed}
            assert actual == {key: (model.status, model.response) for key, model in self.requests.items()}

        @invariant()
        def every_end_is_called_back_once(self) -> None:
            if not hasattr(self, "requests"):
                return
            sandbox.settle()
            callbacks = sorted((body["request_id"], body["status"]) for body in receiver.bodies())
            ended = [(key, model.status) for key, model in self.requests.items() if model.status in TERMINAL]
            assert callbacks == sorted(ended)

    return Reviewing


@pytest.mark.slow
def test_any_sequence_of_calls_ends_as_the_model_says(sandbox: Sandbox, receiver: Receiver) -> None:
    limits = settings(
        max_examples=25,
        stateful_step_count=15,
        deadline=None,
        derandomize=True,
        suppress_health_check=[HealthCheck.too_slow],
    )

    run_state_machine_as_test(machine_for(sandbox, receiver), settings=limits)
