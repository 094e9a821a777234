"""An API client that returns whole replies, and the request bodies of the tests."""

from typing import Any

import httpx

from hitl_sandbox.testing import Sandbox

Json = dict[str, Any]

KEY = "hitl_test_caller"
NO_ID = "0" * 24

CONFIGS: dict[str, Json] = {
    "text": {"max_length": 50},
    "single_select": {"options": ["Publish", "Hold back", "Ask author"]},
    "multi_select": {
        "options": [{"value": "typo", "label": "Typo"}, {"value": "broken_link", "label": "Broken link"}],
        "max_selections": 2,
        "min_selections": 0,
    },
    "rating": {"scale_max": 10, "scale_step": 0.5, "labels": {"8.5": "Very good"}},
    "number": {"max_value": 1000, "min_value": 0, "prefix": "€"},
    "boolean": {"true_label": "Go", "false_label": "Hold back"},
    "editable_text": {"draft_text": "Dear all", "max_length": 100},
}
DEFAULTS: Json = {
    "text": "",
    "single_select": "Hold back",
    "multi_select": [],
    "rating": 5,
    "number": 0,
    "boolean": False,
    "editable_text": "Dear all",
}


def ask(response_type: str = "single_select", **changes: Any) -> Json:
    """A valid create body; a change to None leaves the field out."""
    body = {
        "processing_type": "time-sensitive",
        "type": "markdown",
        "priority": "high",
        "request_text": "May this go live?",
        "timeout_seconds": 3600,
        "response_type": response_type,
        "response_config": CONFIGS[response_type],
        "default_response": DEFAULTS[response_type],
        "platform": "api",
    } | changes
    return {name: value for name, value in body.items() if value is not None}


class Caller:
    """Calls the API with one key, under one of its two path prefixes."""

    def __init__(self, sandbox: Sandbox, key: str | None = KEY, prefix: str = "/api") -> None:
        headers = {} if key is None else {"Authorization": f"Bearer {key}"}
        # Plain HTTP on this machine: loading certificates would only take time.
        self._http = httpx.Client(base_url=sandbox.base_url, headers=headers, trust_env=False, verify=False, timeout=30)
        self.prefix = prefix

    def call(self, method: str, path: str, **options: Any) -> httpx.Response:
        return self._http.request(method, f"{self.prefix}{path}", **options)

    def get(self, path: str, **query: Any) -> httpx.Response:
        return self.call("GET", path, params=query)

    def post(self, path: str, body: Any = None) -> httpx.Response:
        return self.call("POST", path, json=body)

    def loop(self, **changes: Any) -> str:
        """A new loop's id."""
        reply = self.post("/loops", {"name": "Forum desk", "icon": "shield-check"} | changes)
        return str(reply.json()["data"]["loop"]["id"])

    def request(self, loop_id: str, response_type: str = "single_select", **changes: Any) -> str:
        """A new request's id."""
        reply = self.post(f"/loops/{loop_id}/requests", ask(response_type, **changes))
        assert reply.status_code == 201, reply.text
        return str(reply.json()["data"]["request_id"])

    def read(self, request_id: str) -> Json:
        """The request as GET shows it."""
        reply = self.get(f"/requests/{request_id}")
        assert reply.status_code == 200, reply.text
        return dict(reply.json()["data"]["request"])

    def close(self) -> None:
        self._http.close()


def refusal(reply: httpx.Response) -> tuple[int, str, Any]:
    """Status, msg and data of an error, in the documented envelope."""
    body = reply.json()
    assert body["error"] is True
    assert set(body) <= {"error", "msg", "data"}
    return reply.status_code, body["msg"], body.get("data")
