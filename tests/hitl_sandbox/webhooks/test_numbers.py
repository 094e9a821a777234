"""Every delivery verifies after an Express receiver has parsed and written it again."""

import hashlib
import hmac
import re
from typing import Any

import pytest

from hitl_sandbox.testing import Sandbox
from tests.hitl_sandbox.caller import CONFIGS, Caller
from tests.hitl_sandbox.javascript import reserialise
from tests.hitl_sandbox.receiver import Received, Receiver

SECRET = "whsec_test"
VARIANTS = (
    "callback-v2", "nested", "intro-flat", "data-flat", "global", "n8n-doc", "make-flat", "make-workflow", "handoff",
    "legacy-r0", "n8n-resume",
)  # fmt: skip

ANSWERS: dict[str, Any] = {
    "text": "12.0",
    "single_select": "Publish",
    "multi_select": ["typo"],
    "rating": 8.0,
    "number": 250.0,
    "boolean": False,
    "editable_text": "Dear all",
}


def verify(received: Received) -> None:
    body = received.body.decode()
    digest = hmac.new(SECRET.encode(), reserialise(body).encode(), hashlib.sha256).hexdigest()
    signatures = {received.headers.get("x-hitl-signature-256"), received.headers.get("x-hitl-signature")}
    assert signatures & {f"sha256={digest}", digest}


@pytest.mark.parametrize("response_type", sorted(CONFIGS))
def test_an_answer_verifies_over_the_body_that_express_writes(
    sandbox: Sandbox, api: Caller, loop: str, receiver: Receiver, response_type: str
) -> None:
    sandbox.configure(claims=True)
    sandbox.add_webhook(receiver.url, SECRET)
    sandbox.add_webhook(receiver.url, SECRET, type="global")
    request_id = api.request(loop, response_type)
    sandbox.claim(request_id)
    sandbox.advance(12)
    sandbox.answer(request_id, ANSWERS[response_type])

    sandbox.settle()

    assert len(receiver.received) == 4
    for received in receiver.received:
        verify(received)


@pytest.mark.parametrize("outcome", ["timeout", "cancelled"])
def test_an_end_without_an_answer_verifies_over_the_body_that_express_writes(
    sandbox: Sandbox, api: Caller, loop: str, receiver: Receiver, outcome: str
) -> None:
    sandbox.add_webhook(receiver.url, SECRET)
    request_id = api.request(loop, "number", default_response=12.0, timeout_seconds=60)
    if outcome == "cancelled":
        api.call("DELETE", f"/requests/{request_id}")

    sandbox.advance(60)

    (received,) = receiver.received
    verify(received)
    assert outcome == "cancelled" or received.json()["data"]["request"]["default_response"] == 12


def test_a_turn_with_any_arguments_verifies_over_the_body_that_express_writes(
    sandbox: Sandbox, api: Caller, receiver: Receiver
) -> None:
    sandbox.add_webhook(receiver.url, SECRET, events=["turn.resolved"])
    session = api.post("/sessions", {}).json()["data"]["session"]["id"]
    arguments = {"b": 1.0, "10": 2**60 + 1, "2": 1e21, "é": ["\u2028", -0.0]}
    proposal = {"action_type": "git_push", "proposed_args": arguments}
    turn = api.post(f"/sessions/{session}/turns", proposal).json()["data"]["turn"]["id"]
    api.call("PUT", f"/sessions/{session}/turns/{turn}", json={"decision": "approve"})

    sandbox.settle()

    (received,) = receiver.received
    verify(received)
    assert received.json()["turn"]["proposed_args"]["b"] == 1


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_callback_is_written_as_express_writes_it(
    sandbox: Sandbox, api: Caller, loop: str, receiver: Receiver, variant: str
) -> None:
    sandbox.configure(callback_variant=variant)
    request_id = api.request(loop, "rating", callback_url=receiver.url)
    sandbox.advance(12)
    sandbox.answer(request_id, 8.0)

    sandbox.settle()

    (received,) = receiver.received
    assert reserialise(received.body.decode()) == received.body.decode()


def test_whole_numbers_have_no_fraction_in_any_reply(sandbox: Sandbox, api: Caller, loop: str) -> None:
    config = {"min_value": 0.0, "max_value": 500.0}
    request_id = api.request(loop, "number", response_config=config, default_response=0.0, context={"price": 12.0})
    sandbox.advance(12)
    sandbox.answer(request_id, 250.0)

    replies = [
        api.get(f"/requests/{request_id}"),
        api.get("/requests"),
        api.get(f"/loops/{loop}/requests"),
        api.post(f"/requests/{request_id}/feedback", {"feedback": {"rating": 5, "weight": 2.0}}),
    ]

    actual = api.read(request_id)
    assert (actual["response_data"], actual["response_time_seconds"]) == (250, 12)
    for reply in replies:
        assert not re.search(r":-?\d+\.0\b", reply.text)
