from typing import Any

import pytest

from hitl_sandbox.testing import Sandbox
from tests.hitl_sandbox.caller import NO_ID, Caller, refusal
from tests.hitl_sandbox.receiver import Receiver

GOOD: dict[str, Any] = {"url": "https://example.com/hook", "events": ["request.*"], "secret": "s1"}


@pytest.mark.parametrize("prefix", ["", "/api"])
def test_a_webhook_is_registered_and_its_secret_not_shown(api: Caller, prefix: str) -> None:
    api.prefix = prefix

    reply = api.post("/webhooks", GOOD)

    webhook = reply.json()["data"]["webhook"]
    assert reply.status_code == 201
    assert (webhook["url"], webhook["events"], webhook["type"]) == (GOOD["url"], ["request.*"], "account")
    assert "s1" not in reply.text


@pytest.mark.parametrize(
    ("changes", "issue"),
    [
        ({"url": None}, "url is required"),
        ({"url": "http://example.com"}, "url must use HTTPS"),
        ({"events": []}, "events must be a non-empty array of event patterns"),
        ({"secret": ""}, "secret is required"),
        ({"loop_id": 5}, "loop_id must be a string"),
        ({"type": "odd"}, "type must be one of: account, global"),
    ],
)
def test_a_webhook_that_breaks_a_rule_is_refused(api: Caller, changes: dict[str, Any], issue: str) -> None:
    assert refusal(api.post("/webhooks", GOOD | changes)) == (400, "Validation failed", issue)


def test_a_rotated_secret_signs_from_the_next_attempt_on(sandbox: Sandbox, api: Caller, receiver: Receiver) -> None:
    receiver.answer(500)
    webhook = api.post("/webhooks", GOOD | {"url": receiver.url}).json()["data"]["webhook"]
    test = api.post(f"/webhooks/{webhook['id']}/test")
    sandbox.settle()

    rotated = api.call("PATCH", f"/webhooks/{webhook['id']}", json={"secret": "s2"})
    sandbox.advance(15)

    first, second = receiver.received
    assert (test.status_code, rotated.status_code) == (200, 200)
    assert first.body == second.body
    assert first.headers["x-hitl-signature-256"] != second.headers["x-hitl-signature-256"]


@pytest.mark.parametrize(("method", "path"), [("PATCH", "/webhooks/{}"), ("POST", "/webhooks/{}/test")])
def test_only_its_owner_knows_a_webhook(api: Caller, other_account: Caller, method: str, path: str) -> None:
    webhook_id = api.post("/webhooks", GOOD).json()["data"]["webhook"]["id"]

    for unknown in (webhook_id, NO_ID):
        reply = other_account.call(method, path.format(unknown), json={})
        assert refusal(reply) == (404, "Webhook not found", None)
    assert refusal(other_account.call(method, path.format("x"), json={}))[1] == "Invalid webhook ID format"


def test_a_disabled_webhook_hears_nothing(sandbox: Sandbox, api: Caller, loop: str, receiver: Receiver) -> None:
    api.post("/webhooks", GOOD | {"url": receiver.url, "enabled": False})
    sandbox.answer(api.request(loop), "Publish")

    sandbox.settle()

    assert receiver.received == []
