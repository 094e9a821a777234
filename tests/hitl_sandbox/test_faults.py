import hashlib
import hmac
import json
import time

import pytest

from hitl_sandbox.testing import Sandbox
from tests.hitl_sandbox.caller import Caller, ask, refusal
from tests.hitl_sandbox.receiver import Receiver

SECRET = "whsec_test"


@pytest.fixture
def called_back(sandbox: Sandbox, api: Caller, loop: str, receiver: Receiver) -> list[str]:
    """Two requests whose answers are posted to the receiver."""
    return [api.request(loop, callback_url=receiver.url) for _ in range(2)]


def test_a_dropped_delivery_never_arrives_and_is_on_record(
    sandbox: Sandbox, receiver: Receiver, called_back: list[str]
) -> None:
    sandbox.fault("drop")

    for request_id in called_back:
        sandbox.answer(request_id, "Publish")
    sandbox.advance(1000)

    assert [body["request_id"] for body in receiver.bodies()] == called_back[1:]
    assert sandbox.deliveries(called_back[0])[0]["state"] == "dropped"


def test_a_duplicate_arrives_twice(sandbox: Sandbox, receiver: Receiver, called_back: list[str]) -> None:
    sandbox.fault("duplicate", copies=2)

    sandbox.answer(called_back[0], "Publish")
    sandbox.settle()

    assert len(receiver.received) == 3
    assert len({received.body for received in receiver.received}) == 1
    assert len({received.headers["x-sandbox-delivery"] for received in receiver.received}) == 3


def test_a_delayed_delivery_waits(sandbox: Sandbox, receiver: Receiver, called_back: list[str]) -> None:
    sandbox.fault("delay", seconds=600)
    sandbox.answer(called_back[0], "Publish")
    sandbox.advance(599)
    early = len(receiver.received)

    sandbox.advance(1)

    assert (early, len(receiver.received)) == (0, 1)


def test_a_reordered_delivery_lets_the_next_one_pass(
    sandbox: Sandbox, receiver: Receiver, called_back: list[str]
) -> None:
    sandbox.fault("reorder", seconds=600)

    for request_id in called_back:
        sandbox.answer(request_id, "Publish")
    sandbox.settle()

    assert [body["request_id"] for body in receiver.bodies()] == called_back[::-1]


def test_a_reordered_delivery_goes_alone_when_no_other_comes(
    sandbox: Sandbox, receiver: Receiver, called_back: list[str]
) -> None:
    sandbox.fault("reorder", seconds=60)
    sandbox.answer(called_back[0], "Publish")

    sandbox.advance(60)

    assert len(receiver.received) == 1


def test_a_corrupted_signature_does_not_verify(sandbox: Sandbox, api: Caller, loop: str, receiver: Receiver) -> None:
    sandbox.add_webhook(receiver.url, SECRET)
    sandbox.fault("corrupt_signature")

    for _ in range(2):
        sandbox.answer(api.request(loop), "Publish")
        sandbox.settle()

    def is_valid(body: bytes, signature: str) -> bool:
        return signature == "sha256=" + hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()

    signed = [(received.body, received.headers["x-hitl-signature-256"]) for received in receiver.received]
    assert [is_valid(*pair) for pair in signed] == [False, True]
    assert sandbox.deliveries()[0]["attempts"][0]["fault"] == "corrupt_signature"


def test_an_unsigned_delivery_uses_no_corruption_up(
    sandbox: Sandbox, receiver: Receiver, called_back: list[str]
) -> None:
    sandbox.fault("corrupt_signature")
    sandbox.answer(called_back[0], "Publish")
    sandbox.settle()

    assert sandbox.state()["faults"][0]["occurrences"] == 0


def test_a_fault_strikes_only_what_it_matches(sandbox: Sandbox, receiver: Receiver, called_back: list[str]) -> None:
    sandbox.fault("drop", times=None, match={"request_id": called_back[1]})

    for request_id in called_back:
        sandbox.answer(request_id, "Publish")
    sandbox.settle()

    assert [body["request_id"] for body in receiver.bodies()] == called_back[:1]


@pytest.mark.parametrize(
    ("status", "msg"),
    [
        (500, "Internal server error"),
        (502, "Service temporarily unavailable"),
        (503, "Service temporarily unavailable"),
    ],
)
def test_an_error_is_answered_before_anything_happens(
    sandbox: Sandbox, api: Caller, loop: str, status: int, msg: str
) -> None:
    sandbox.fault("error", status=status, match={"method": "POST", "path": "/v1/api/loops/*"})

    reply = api.post(f"/loops/{loop}/requests", ask())

    assert refusal(reply) == (status, msg, None)
    assert "X-RateLimit-Limit" in reply.headers
    assert api.get("/requests").json()["data"]["total"] == 0


def test_an_error_can_come_after_the_effect(sandbox: Sandbox, api: Caller, loop: str) -> None:
    sandbox.fault("error", stage="after")

    reply = api.post(f"/loops/{loop}/requests", ask())

    assert reply.status_code == 500
    assert api.get("/requests").json()["data"]["total"] == 1


def test_a_429_can_be_forced(sandbox: Sandbox, api: Caller) -> None:
    sandbox.fault("rate_limit")

    reply = api.get("/loops")

    assert reply.status_code == 429
    assert reply.headers["X-RateLimit-Remaining"] == "0"
    assert api.get("/loops").status_code == 200


def test_a_reply_can_be_cut_off(sandbox: Sandbox, api: Caller) -> None:
    sandbox.fault("truncated_json")

    reply = api.get("/loops")

    assert reply.headers["content-type"] == "application/json"
    with pytest.raises(json.JSONDecodeError):
        reply.json()


def test_a_reply_can_be_a_gateways_page(sandbox: Sandbox, api: Caller) -> None:
    sandbox.fault("wrong_content_type")

    reply = api.get("/loops")

    assert reply.headers["content-type"].startswith("text/html")
    assert "Bad gateway" in reply.text


def test_a_reply_can_be_slow(sandbox: Sandbox, api: Caller) -> None:
    sandbox.fault("slow", seconds=0.2)
    began = time.monotonic()

    api.get("/loops")

    assert time.monotonic() - began >= 0.2


@pytest.mark.parametrize(("rows", "second_page"), [(1, [3, 2]), (-1, [1, 0])])
def test_a_list_can_drift_while_it_is_read(
    sandbox: Sandbox, api: Caller, loop: str, rows: int, second_page: list[int]
) -> None:
    ids = [api.request(loop) for _ in range(5)]
    sandbox.fault("drift", rows=rows)

    first = api.get("/requests", limit=2).json()["data"]["requests"]
    second = api.get("/requests", limit=2, offset=2).json()["data"]

    assert [request["id"] for request in first] == [ids[4], ids[3]]
    assert [request["id"] for request in second["requests"]] == [ids[place] for place in second_page]
    assert second["total"] == 5 + rows


def test_faults_are_on_record(sandbox: Sandbox, api: Caller) -> None:
    sandbox.fault("error", times=2)
    api.get("/loops")

    assert sandbox.calls()[-1]["fault"] == "error"
    assert sandbox.state()["faults"][0]["occurrences"] == 1


def test_cleared_faults_are_gone(sandbox: Sandbox, api: Caller) -> None:
    sandbox.fault("error", times=None)
    sandbox.clear_faults()

    assert api.get("/loops").status_code == 200


def test_an_unknown_fault_is_refused_with_the_kinds(sandbox: Sandbox) -> None:
    with pytest.raises(AssertionError, match="kinds are drop, duplicate"):
        sandbox.fault("gremlins")


def test_draws_repeat_with_the_seed(sandbox: Sandbox) -> None:
    def strikes(seed: int) -> list[int]:
        sandbox.reset(seed=seed)
        sandbox.fault("error", times=None, probability=0.5)
        caller = Caller(sandbox)
        statuses = [caller.get("/loops").status_code for _ in range(20)]
        caller.close()
        return statuses

    first, again, other = strikes(7), strikes(7), strikes(8)

    assert first == again
    assert set(first) == {200, 500}
    assert first != other
