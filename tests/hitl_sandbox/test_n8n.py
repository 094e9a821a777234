"""The calls that the vendor's n8n node makes, in its order and with its bodies, in both of its generations.

https://github.com/hitl-sh/n8n-plugin: 0.1 asks in a loop, 2.0 triggers a workflow; both poll the request.
"""

from collections.abc import Iterator
from typing import Any
from urllib.parse import urljoin

import httpx
import pytest

from hitl_sandbox.testing import Sandbox
from tests.hitl_sandbox.receiver import Receiver

OPTIONS = [
    {"value": "approve", "label": "Approve"},
    {"value": "approve_with_warning", "label": "Approve with Warning"},
]
SELECT = {"prompt": "", "options": OPTIONS, "required": True}
#: For each response type: the configuration that 0.1 sends, its default, an answer, and the answer in GET replies.
QUESTIONS: dict[str, tuple[dict[str, Any], Any, Any, Any]] = {
    "single_select": (SELECT, "approve_with_warning", "approve", "Approve"),
    "multi_select": (SELECT | {"min_selections": 1, "max_selections": 2}, ["approve"], ["approve"], ["Approve"]),
    "rating": ({"prompt": "", "min": 0, "max": 10, "required": True}, 0, 0, 0),
    "number": (
        {
            "required": True,
            "prompt": "",
            "min_value": 0,
            "max_value": 1000000,
            "decimal_places": 0,
            "allow_negative": False,
        },
        0,
        0,
        0,
    ),
    "boolean": ({"prompt": "", "required": True}, False, False, False),
    "text": (
        {
            "prompt": "",
            "placeholder": "Enter your response...",
            "min_length": 0,
            "max_length": 1000,
            "required": True,
        },
        "",
        "Looks fine",
        "Looks fine",
    ),
}


@pytest.fixture
def http(sandbox: Sandbox) -> Iterator[httpx.Client]:
    headers = {"Authorization": "Bearer hitl_test_n8n", "Content-Type": "application/json"}
    with httpx.Client(headers=headers) as client:
        yield client


@pytest.fixture
def loop_id(sandbox: Sandbox, http: httpx.Client) -> str:
    """The loop that the node's list offers."""
    http.post(f"{sandbox.url}/v1/api/loops", json={"name": "n8n", "icon": "cog"})
    listed = http.get(f"{sandbox.url}/v1/api/loops").json()
    assert listed["error"] is False
    return str(listed["data"]["loops"][0]["id"])


def body_of_0_1(response_type: str, processing_type: str, **more: Any) -> dict[str, Any]:
    config, default, _, _ = QUESTIONS[response_type]
    timing = {"timeout_seconds": 3600} if processing_type == "time-sensitive" else {}
    return {
        "processing_type": processing_type,
        "type": "markdown",
        "priority": "medium",
        "request_text": "Publish?",
        "response_type": response_type,
        "response_config": config,
        "default_response": default,
        "platform": "n8n",
        "platform_version": "1.0.0",
        **timing,
        **more,
    }


def test_the_credential_is_tested(sandbox: Sandbox, http: httpx.Client) -> None:
    assert http.get(f"{sandbox.url}/v1/test").json()["error"] is False


@pytest.mark.parametrize("processing_type", ["deferred", "time-sensitive"])
@pytest.mark.parametrize("response_type", sorted(QUESTIONS))
def test_0_1_asks_in_a_loop_and_polls(
    sandbox: Sandbox, http: httpx.Client, loop_id: str, response_type: str, processing_type: str
) -> None:
    _, _, answer, expected = QUESTIONS[response_type]
    body = body_of_0_1(response_type, processing_type)
    created = http.post(f"{sandbox.url}/v1/api/loops/{loop_id}/requests", json=body).json()["data"]
    polling_url = urljoin(sandbox.url, created["polling_url"])
    pending = http.get(polling_url).json()["data"]["request"]["status"]
    sandbox.advance(5)
    sandbox.answer(created["request_id"], answer)

    ended = http.get(polling_url).json()["data"]["request"]

    assert (pending, ended["status"]) == ("pending", "completed")
    assert ended["response_data"] == expected
    assert ended["response_by_user"]["email"].endswith("@example.com")
    assert ended["response_time_seconds"] == 5
    assert {"timeout_at", "broadcasted_to", "notifications_sent"} <= set(created)


def test_0_1_is_resumed_at_its_wait_url(sandbox: Sandbox, http: httpx.Client, loop_id: str, receiver: Receiver) -> None:
    sandbox.configure(callback_variant="n8n-resume")
    body = body_of_0_1("single_select", "deferred", callback_url=f"{receiver.url}/webhook-waiting/231")
    created = http.post(f"{sandbox.url}/v1/api/loops/{loop_id}/requests", json=body).json()["data"]
    sandbox.answer(created["request_id"], "approve")
    sandbox.settle()

    (received,) = receiver.received

    assert received.path == "/webhook-waiting/231"
    assert received.json() == {"request_id": created["request_id"], "response": "approve", "status": "completed"}


def trigger_2_0(http: httpx.Client, url: str, processing_type: str) -> dict[str, Any]:
    timing = {"timeout_seconds": 600} if processing_type == "time-sensitive" else {}
    body = {
        "order": 7731,
        "processing_type": processing_type,
        "platform": "n8n",
        "platform_version": "2.0.0",
        **timing,
    }
    reply = http.post(url, json=body).json()
    assert reply["error"] is False
    return dict(reply["data"])


@pytest.mark.parametrize("processing_type", ["deferred", "time-sensitive"])
@pytest.mark.parametrize("path", ["/v1/workflows/webhook/your-webhook-id", "/v1/workflows/wf_abc123/trigger"])
def test_2_0_triggers_a_workflow_and_polls_its_request(
    sandbox: Sandbox, http: httpx.Client, path: str, processing_type: str
) -> None:
    started = trigger_2_0(http, f"{sandbox.url}{path}", processing_type)
    polling_url = f"{sandbox.url}/v1/api/requests/{started['request_id']}"
    pending = http.get(polling_url).json()["data"]["request"]
    sandbox.advance(5)
    sandbox.answer(started["request_id"], "approve")

    ended = http.get(polling_url).json()["data"]["request"]

    assert started["execution_id"].startswith("exec_")
    assert (pending["status"], pending["response_data"]) == ("pending", None)
    assert (pending["processing_type"], pending["platform"], pending["platform_version"]) == (
        processing_type,
        "n8n",
        "2.0.0",
    )
    assert (ended["status"], ended["response_data"]) == ("completed", "approve")
    assert ended["response_by_user"]["email"].endswith("@example.com")
    assert ended["response_time_seconds"] == 5


def test_2_0_sees_a_timeout(sandbox: Sandbox, http: httpx.Client) -> None:
    started = trigger_2_0(http, f"{sandbox.url}/v1/workflows/webhook/your-webhook-id", "time-sensitive")
    sandbox.advance(600)

    ended = http.get(f"{sandbox.url}/v1/api/requests/{started['request_id']}").json()["data"]["request"]

    assert (ended["status"], ended["response_data"]) == ("timeout", None)
