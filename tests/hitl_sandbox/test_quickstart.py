"""The calls of the vendor's quickstart page, in its order and with its bodies, at both of its addresses.

https://docs.hitl.sh/quickstart: an earlier revision posts to /requests, the present one to /api/loops/{id}/requests.
"""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from hitl_sandbox.testing import Sandbox
from tests.hitl_sandbox.receiver import Receiver

OPTIONS = [
    "✅ Approve - Follows guidelines",
    "⚠️ Approve with Warning - Minor issues",
    "❌ Reject - Violates guidelines",
    "🚨 Reject and Flag - Serious violation",
]
#: None of the options.
DEFAULT = "❌ Reject - Review timeout"


@pytest.fixture
def http(sandbox: Sandbox) -> Iterator[httpx.Client]:
    headers = {"Authorization": "Bearer your_api_key_here", "Content-Type": "application/json"}
    with httpx.Client(base_url=sandbox.base_url, headers=headers) as client:
        yield client


@pytest.fixture
def loop_id(http: httpx.Client) -> str:
    loop_data = {
        "name": "Content Moderation Team",
        "description": "Reviews user-generated content for community guidelines compliance",
        "icon": "🛡️",
    }
    return str(http.post("/api/loops", json=loop_data).json()["data"]["loop"]["id"])


def first_request(loop_id: str, **timeout: int) -> dict[str, Any]:
    return {
        "loop_id": loop_id,
        "request_text": 'Please review this user comment for community guidelines compliance:\n\n"Hey everyone!"',
        "response_type": "single_select",
        "response_config": {"options": OPTIONS},
        "priority": "medium",
        "processing_type": "time-sensitive",
        "default_response": DEFAULT,
        **timeout,
    }


ADDRESSES = [
    ("/requests", {"timeout_minutes": 60}),
    ("/api/requests", {"timeout_minutes": 60}),
    ("/api/loops/{}/requests", {"timeout_seconds": 3600}),
]


@pytest.mark.parametrize("prefix", ["", "/api"])
def test_the_loop_is_made_and_its_reviewers_invited(http: httpx.Client, loop_id: str, prefix: str) -> None:
    created = http.post(f"{prefix}/loops", json={"name": "Content Moderation Team", "icon": "🛡️"}).json()["data"]
    loop_details = http.get(f"{prefix}/loops/{created['loop']['id']}").json()["data"]["loop"]

    assert http.get("/test").json()["error"] is False
    assert created["loop"]["invite_code"] == created["invite_code"] == loop_details["invite_code"]
    assert created["loop"]["qr_code_url"] == created["qr_code_url"] == loop_details["qr_code_url"]
    assert http.get(loop_details["qr_code_url"]).headers["content-type"] == "image/png"
    assert created["join_url"].endswith(f"/join/{created['invite_code']}")


@pytest.mark.parametrize(("address", "timeout"), ADDRESSES)
def test_the_request_is_made_and_answered(
    sandbox: Sandbox, http: httpx.Client, loop_id: str, receiver: Receiver, address: str, timeout: dict[str, int]
) -> None:
    sandbox.add_webhook(receiver.url, "your_webhook_secret_here", events=["request.completed"])
    response = http.post(address.format(loop_id), json=first_request(loop_id, **timeout))
    request = response.json()["data"]["request"]
    sandbox.advance(30)
    sandbox.answer(request["id"], OPTIONS[1])
    sandbox.settle()

    request_data = http.get(f"/api/requests/{request['id']}").json()["data"]["request"]

    assert (response.status_code, request["status"]) == (201, "pending")
    assert (request_data["status"], request_data["response_data"]) == ("completed", OPTIONS[1])
    assert f"{request_data['response_time_seconds']:.1f}" == "30.0"
    (webhook_data,) = receiver.bodies()
    assert "Approve" in webhook_data["data"]["request"]["response_data"]
    assert webhook_data["data"]["reviewer"]["email"]


@pytest.mark.parametrize(("address", "timeout"), ADDRESSES)
def test_the_request_times_out_with_its_default(
    sandbox: Sandbox, http: httpx.Client, loop_id: str, address: str, timeout: dict[str, int]
) -> None:
    created = http.post(address.format(loop_id), json=first_request(loop_id, **timeout)).json()["data"]["request"]
    sandbox.advance(3600)

    request_data = http.get(f"/api/requests/{created['id']}").json()["data"]["request"]

    assert (request_data["status"], request_data["default_response"]) == ("timeout", DEFAULT)
    assert httpx.get(sandbox.url).status_code == 200


@pytest.mark.parametrize("address", [address for address, _ in ADDRESSES])
def test_the_complete_example_submits_content_and_counts(
    sandbox: Sandbox, http: httpx.Client, loop_id: str, address: str
) -> None:
    body = first_request(loop_id) | {"metadata": {"user_id": "user123", "content_type": "comment"}}
    del body["default_response"]

    response = http.post(address.format(loop_id), json=body)
    listed = http.get("/api/requests?limit=100").json()["data"]["requests"]

    assert response.status_code == 201
    assert [request["status"] for request in listed] == ["pending"]
    assert httpx.get(sandbox.url).status_code == 200


@pytest.mark.parametrize(("address", "timeout"), ADDRESSES)
def test_strict_mode_refuses_the_quickstarts_default(
    sandbox: Sandbox, http: httpx.Client, loop_id: str, address: str, timeout: dict[str, int]
) -> None:
    sandbox.configure(strict=True)
    body = {"type": "markdown", "platform": "api", **first_request(loop_id, **timeout), "timeout_seconds": 3600}

    reply = http.post(address.format(loop_id), json=body)

    assert (reply.status_code, reply.json()["msg"]) == (400, "Invalid default response")


def test_a_body_without_a_loop_keeps_the_reference_rules(http: httpx.Client, loop_id: str) -> None:
    body = first_request(loop_id, timeout_seconds=3600) | {"type": "markdown"}
    del body["loop_id"]

    reply = http.post(f"/api/loops/{loop_id}/requests", json=body)

    assert (reply.status_code, reply.json()["msg"]) == (400, "Invalid default response")


def test_a_change_leaves_the_quickstarts_default_alone(http: httpx.Client, loop_id: str) -> None:
    created = http.post("/requests", json=first_request(loop_id, timeout_minutes=60)).json()["data"]["request"]

    kept = http.patch(f"/api/requests/{created['id']}", json={"priority": "high"})
    changed = http.patch(f"/api/requests/{created['id']}", json={"default_response": "None of them"})

    assert kept.json()["data"]["request"]["default_response"] == DEFAULT
    assert (changed.status_code, changed.json()["msg"]) == (400, "Invalid default response")
