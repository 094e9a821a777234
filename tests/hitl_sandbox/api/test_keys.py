import httpx
import pytest

from hitl_sandbox.testing import Sandbox
from tests.hitl_sandbox.caller import Caller, refusal


@pytest.mark.parametrize(
    ("header", "msg"),
    [
        (None, "Missing Authorization header"),
        ("Basic abc", "Invalid Authorization header format. Use 'Bearer <api_key>'"),
        ("hitl_test_1", "Invalid Authorization header format. Use 'Bearer <api_key>'"),
        ("Bearer", "Empty API key"),
    ],
)
def test_a_call_without_a_usable_key_is_refused(sandbox: Sandbox, header: str | None, msg: str) -> None:
    headers = {} if header is None else {"Authorization": header}

    reply = httpx.get(f"{sandbox.base_url}/api/loops", headers=headers)

    assert refusal(reply) == (401, msg, None)


def test_any_key_is_its_own_account_when_none_was_named(api: Caller, other_account: Caller) -> None:
    api.prefix = other_account.prefix = ""

    mine, theirs = api.get("/test").json()["data"], other_account.get("/test").json()["data"]

    assert mine["user_id"] != theirs["user_id"]
    assert mine["api_key_id"] != theirs["api_key_id"]


def test_an_unknown_key_is_refused_when_keys_were_named() -> None:
    with Sandbox(keys={"hitl_live_1": "priya@example.com"}) as strict:
        accepted, refused = Caller(strict, "hitl_live_1", ""), Caller(strict, "hitl_live_2", "")

        assert accepted.get("/test").json()["data"]["email"] == "priya@example.com"
        assert refusal(refused.get("/test")) == (401, "Invalid API key", None)
        accepted.close()
        refused.close()


def test_an_inactive_key_is_refused(sandbox: Sandbox, api: Caller) -> None:
    sandbox.add_key("hitl_test_caller", email="priya@example.com", active=False)

    reply = api.get("/loops")

    assert refusal(reply) == (401, "API key is inactive", None)


def test_x_api_key_is_not_a_key(sandbox: Sandbox) -> None:
    reply = httpx.get(f"{sandbox.base_url}/test", headers={"X-API-Key": "hitl_test_1"})

    assert refusal(reply) == (401, "Missing Authorization header", None)


def test_test_describes_the_key(sandbox: Sandbox, api: Caller) -> None:
    api.prefix = ""

    reply = api.get("/test")

    data = reply.json()["data"]
    assert (reply.status_code, reply.json()["msg"]) == (200, "API key is valid")
    assert data["rate_limit"] == {"limit": 100_000, "remaining": 99_999, "reset_at": "2026-09-21T15:00:00Z"}
    assert data["permissions"] == ["loops:read", "loops:write", "requests:read", "requests:write"]
    assert data["account_status"] == "active"


@pytest.mark.parametrize("path", ["/health", "/api/health"])
def test_health_needs_no_key(sandbox: Sandbox, path: str) -> None:
    assert httpx.get(f"{sandbox.base_url}{path}").json()["error"] is False
