import hashlib
import hmac
from typing import Any

import pytest

from hitl_sandbox.testing import Sandbox
from tests.hitl_sandbox.caller import Caller
from tests.hitl_sandbox.receiver import Receiver

SECRET = "whsec_test"


def attempts_of(sandbox: Sandbox, request_id: str) -> list[tuple[float, Any]]:
    """When (in seconds after the delivery was made) and with what status each attempt ended."""
    (delivery,) = sandbox.deliveries(request_id)
    return [(round(attempt["at"] - delivery["created_at"], 1), attempt["status"]) for attempt in delivery["attempts"]]


def answered(sandbox: Sandbox, api: Caller, loop: str, **changes: Any) -> str:
    request_id = api.request(loop, **changes)
    sandbox.answer(request_id, "Publish")
    return request_id


def test_the_callback_arrives_unsigned(sandbox: Sandbox, api: Caller, loop: str, receiver: Receiver) -> None:
    request_id = answered(sandbox, api, loop, callback_url=f"{receiver.url}/cb?token=1")

    sandbox.settle()

    (received,) = receiver.received
    assert received.path == "/cb?token=1"
    assert received.headers["content-type"] == "application/json"
    assert not any("signature" in name for name in received.headers)
    assert received.headers["x-sandbox-delivery"] == sandbox.deliveries(request_id)[0]["id"]
    assert received.json()["event"] == "request.completed"


def test_account_webhooks_are_signed_over_the_raw_body(
    sandbox: Sandbox, api: Caller, loop: str, receiver: Receiver
) -> None:
    sandbox.add_webhook(receiver.url, SECRET)
    answered(sandbox, api, loop)

    sandbox.settle()

    (received,) = receiver.received
    digest = hmac.new(SECRET.encode(), received.body, hashlib.sha256).hexdigest()
    assert received.headers["x-hitl-signature-256"] == f"sha256={digest}"
    assert received.json()["data"]["request"]["response_data"] == "Publish"


def test_global_webhooks_are_signed_without_prefix(
    sandbox: Sandbox, api: Caller, loop: str, receiver: Receiver
) -> None:
    sandbox.add_webhook(receiver.url, SECRET, type="global", events=["request.completed"])
    answered(sandbox, api, loop)

    sandbox.settle()

    (received,) = receiver.received
    digest = hmac.new(SECRET.encode(), received.body, hashlib.sha256).hexdigest()
    assert received.headers["x-hitl-signature"] == digest
    assert received.json()["data"]["decision"] == "Publish"


def test_one_request_is_delivered_on_both_channels(
    sandbox: Sandbox, api: Caller, loop: str, receiver: Receiver
) -> None:
    sandbox.add_webhook(f"{receiver.url}/account", SECRET)
    answered(sandbox, api, loop, callback_url=f"{receiver.url}/callback")

    sandbox.settle()

    assert sorted(received.path for received in receiver.received) == ["/account", "/callback"]


def test_a_callback_is_tried_four_times(sandbox: Sandbox, api: Caller, loop: str, receiver: Receiver) -> None:
    receiver.answer(500, 502, 503, 504, 200)
    request_id = answered(sandbox, api, loop, callback_url=receiver.url)

    sandbox.advance(1000)

    assert attempts_of(sandbox, request_id) == [(0, 500), (1, 502), (3, 503), (7, 504)]
    assert sandbox.deliveries(request_id)[0]["state"] == "failed"


def test_an_account_webhook_is_tried_eight_times_over_two_days(
    sandbox: Sandbox, api: Caller, loop: str, receiver: Receiver
) -> None:
    receiver.answer(*[500] * 9)
    sandbox.add_webhook(receiver.url, SECRET)
    request_id = answered(sandbox, api, loop)

    sandbox.advance(3 * 86400)

    moments = [moment for moment, _ in attempts_of(sandbox, request_id)]
    assert moments == [0, 15, 75, 375, 2175, 9375, 52575, 138975]


def test_retries_end_with_the_first_success(sandbox: Sandbox, api: Caller, loop: str, receiver: Receiver) -> None:
    receiver.answer(500, 204)
    request_id = answered(sandbox, api, loop, callback_url=receiver.url)

    sandbox.advance(1000)

    assert attempts_of(sandbox, request_id) == [(0, 500), (1, 204)]
    assert receiver.received[0].body == receiver.received[1].body
    assert sandbox.deliveries(request_id)[0]["state"] == "delivered"


@pytest.mark.parametrize("status", [301, 307, 400, 401, 403, 404, 408, 410, 413, 429])
def test_a_callback_that_was_refused_or_redirected_is_final(
    sandbox: Sandbox, api: Caller, loop: str, receiver: Receiver, status: int
) -> None:
    receiver.answer(status)
    request_id = answered(sandbox, api, loop, callback_url=receiver.url)

    sandbox.advance(1000)

    assert attempts_of(sandbox, request_id) == [(0, status)]
    assert len(receiver.received) == 1


@pytest.mark.parametrize(("status", "tries"), [(408, 2), (429, 2), (500, 2), (400, 1), (401, 1), (307, 1)])
def test_account_webhooks_retry_408_and_429_too(
    sandbox: Sandbox, api: Caller, loop: str, receiver: Receiver, status: int, tries: int
) -> None:
    receiver.answer(status)
    sandbox.add_webhook(receiver.url, SECRET)
    request_id = answered(sandbox, api, loop)

    sandbox.advance(1000)

    assert len(attempts_of(sandbox, request_id)) == tries


def test_a_receiver_that_is_not_there_is_tried_again(sandbox: Sandbox, api: Caller, loop: str) -> None:
    request_id = answered(sandbox, api, loop, callback_url="http://127.0.0.1:9/closed")

    sandbox.advance(1000)

    (delivery,) = sandbox.deliveries(request_id)
    assert [attempt["status"] for attempt in delivery["attempts"]] == [None] * 4
    assert "ConnectError" in delivery["attempts"][0]["error"]


def test_a_receiver_that_is_too_slow_is_given_up_on(
    sandbox: Sandbox, api: Caller, loop: str, receiver: Receiver
) -> None:
    sandbox.configure(deadline=0.1)
    receiver.pause.clear()
    request_id = answered(sandbox, api, loop, callback_url=receiver.url)

    sandbox.settle()
    receiver.pause.set()

    (attempt,) = sandbox.deliveries(request_id)[0]["attempts"]
    assert (attempt["status"], attempt["error"]) == (None, "no answer within 0.1 s")


def test_schedules_can_be_chosen(sandbox: Sandbox, api: Caller, loop: str, receiver: Receiver) -> None:
    sandbox.configure(callback_delays=[5, 5])
    receiver.answer(500, 500, 500)
    request_id = answered(sandbox, api, loop, callback_url=receiver.url)

    sandbox.advance(1000)

    assert attempts_of(sandbox, request_id) == [(5, 500), (10, 500)]


@pytest.mark.parametrize("outcome", ["timeout", "cancelled"])
def test_an_end_without_an_answer_is_delivered(
    sandbox: Sandbox, api: Caller, loop: str, receiver: Receiver, outcome: str
) -> None:
    request_id = api.request(loop, callback_url=receiver.url, timeout_seconds=60)
    if outcome == "cancelled":
        api.call("DELETE", f"/requests/{request_id}")

    sandbox.advance(60)

    (body,) = receiver.bodies()
    assert (body["event"], body["status"]) == (f"request.{outcome}", outcome)
    assert body["response_data"] is None


def test_a_claim_is_delivered_to_account_webhooks_only(
    sandbox: Sandbox, api: Caller, loop: str, receiver: Receiver
) -> None:
    sandbox.configure(claims=True)
    sandbox.add_webhook(receiver.url, SECRET)
    sandbox.claim(api.request(loop, callback_url=receiver.url))

    sandbox.settle()

    (body,) = receiver.bodies()
    assert body["event"] == "request.claimed"
    assert body["data"]["estimated_completion"] == "2026-09-21T14:50:00Z"


@pytest.mark.parametrize(
    ("patterns", "hits"),
    [
        (["*"], True),
        (["request.*"], True),
        (["request.timeout"], False),
        (["*", "!request.*"], False),
        (["!loop.*"], True),
        (["loop.{loop}.*"], True),
        (["loop.000000000000000000000000.*"], False),
        (["*", "!loop.{loop}.*"], False),
    ],
)
def test_a_webhook_receives_what_its_patterns_match(
    sandbox: Sandbox, api: Caller, loop: str, receiver: Receiver, patterns: list[str], hits: bool
) -> None:
    sandbox.add_webhook(receiver.url, SECRET, events=[pattern.format(loop=loop) for pattern in patterns])
    answered(sandbox, api, loop)

    sandbox.settle()

    assert (len(receiver.received) == 1) is hits


def test_a_webhook_of_one_loop_or_account_receives_no_other_events(
    sandbox: Sandbox, api: Caller, other_account: Caller, loop: str, receiver: Receiver
) -> None:
    for caller in (api, other_account):
        caller.post("/webhooks", {"url": receiver.url, "events": ["*"], "secret": SECRET, "loop_id": caller.loop()})

    answered(sandbox, api, loop)
    sandbox.settle()

    assert receiver.received == []


def test_joining_is_delivered(sandbox: Sandbox, api: Caller, loop: str, receiver: Receiver) -> None:
    sandbox.add_webhook(f"{receiver.url}/account", SECRET)
    sandbox.add_webhook(f"{receiver.url}/global", SECRET, type="global")
    sandbox.add_member(loop, "priya@example.com", status="pending")
    sandbox.add_member(loop, "priya@example.com")

    sandbox.settle()

    events = sorted((received.path, received.json()["event"]) for received in receiver.received)
    assert events == [
        ("/account", "loop.member_joined"),
        ("/global", "user.invited"),
        ("/global", "user.joined"),
    ]


def test_any_body_can_be_sent(sandbox: Sandbox, receiver: Receiver) -> None:
    sandbox.send(receiver.url, "{broken", signature="bare", secret=SECRET, content_type="text/plain")

    sandbox.settle()

    (received,) = receiver.received
    assert received.body == b"{broken"
    assert received.headers["content-type"] == "text/plain"
    assert received.headers["x-hitl-signature"] == hmac.new(SECRET.encode(), b"{broken", "sha256").hexdigest()
