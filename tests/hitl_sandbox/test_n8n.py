"""The calls the vendor's n8n node makes, in its order."""

from urllib.parse import urljoin

import httpx
import pytest

from hitl_sandbox.testing import Sandbox

KEY = {"Authorization": "Bearer hitl_test_n8n"}
OPTIONS = [
    {"value": "approve", "label": "Approve"},
    {"value": "approve_with_warning", "label": "Approve with Warning"},
]


@pytest.mark.parametrize(
    ("response_type", "config", "default", "answer", "read"),
    [
        ("single_select", {"options": OPTIONS}, "approve_with_warning", "approve", "Approve"),
        ("single_select", {"options": ["Approve with Warning"]}, "approve_with_warning", "Approve with Warning", None),
        ("multi_select", {"options": OPTIONS, "max_selections": 2}, ["approve"], ["approve"], ["Approve"]),
        ("rating", {"min": 0, "max": 10}, 0, 0, 0),
        ("number", {"min": 0, "max": 100}, 0, 0, 0),
        ("boolean", {"true_label": "Yes", "false_label": "No"}, False, False, False),
        ("text", {"placeholder": "…"}, "", "", ""),
    ],
)
def test_the_nodes_sequence_runs_to_its_end(
    sandbox: Sandbox, response_type: str, config: dict[str, object], default: object, answer: object, read: object
) -> None:
    with httpx.Client(base_url=sandbox.base_url, headers=KEY) as http:
        tested = http.get("/test")
        http.post("/api/loops", json={"name": "n8n", "icon": "cog"})
        loops = http.get("/api/loops").json()["data"]["loops"]
        body = {
            "processing_type": "time-sensitive",
            "type": "markdown",
            "priority": "medium",
            "request_text": "Publish?",
            "timeout_seconds": 3600,
            "response_type": response_type,
            "response_config": config | {"prompt": "What now?"},
            "default_response": default,
            "platform": "n8n",
        }
        created = http.post(f"/api/loops/{loops[0]['id']}/requests", json=body).json()["data"]
        address = urljoin(sandbox.url, created["polling_url"])
        pending = http.get(address).json()["data"]["request"]["status"]
        sandbox.answer(created["request_id"], answer)
        ended = http.get(address).json()["data"]["request"]

    assert tested.json()["error"] is False
    assert (pending, ended["status"]) == ("pending", "completed")
    assert ended["response_data"] == (answer if read is None else read)
    assert ended["response_by_user"]["email"].endswith("@example.com")
