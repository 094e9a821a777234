"""Replies to calls that no endpoint serves, or that carry no valid key."""

import httpx
import pytest

from hitl_sandbox.testing import Sandbox
from tests.hitl_sandbox.caller import NO_ID, Caller

RATE_HEADERS = ("X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset")


@pytest.mark.parametrize("prefix", ["", "/api"])
@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("PATCH", "/loops", "GET, HEAD, POST"),
        ("POST", f"/loops/{NO_ID}", "DELETE, GET, HEAD, PUT"),
        ("PUT", f"/requests/{NO_ID}", "DELETE, GET, HEAD, PATCH"),
        ("GET", "/workflows/wf_1/trigger", "POST"),
    ],
)
def test_a_method_that_is_not_served_names_those_that_are(
    api: Caller, prefix: str, method: str, path: str, allowed: str
) -> None:
    api.prefix = prefix

    reply = api.call(method, path)

    assert (reply.status_code, reply.json()["error"]) == (405, True)
    assert reply.headers["Allow"] == allowed


def test_a_method_that_strict_mode_refuses_is_not_allowed(sandbox: Sandbox, api: Caller, loop: str) -> None:
    request_id = api.request(loop)
    sandbox.configure(strict=True)

    reply = api.call("PATCH", f"/requests/{request_id}", json={"priority": "low"})

    assert (reply.status_code, reply.headers["Allow"]) == (405, "DELETE, GET, HEAD")


def test_a_control_route_names_its_methods_too(sandbox: Sandbox) -> None:
    reply = httpx.put(f"{sandbox.url}/sandbox/faults")

    assert (reply.status_code, reply.headers["Allow"]) == (405, "DELETE, GET, HEAD, POST")


@pytest.mark.parametrize(("method", "path", "status"), [("GET", "/nothing", 404), ("PATCH", "/loops", 405)])
def test_an_address_that_is_not_served_carries_the_callers_rate_headers(
    api: Caller, method: str, path: str, status: int
) -> None:
    before = api.get("/loops")

    reply = api.call(method, path)

    assert reply.status_code == status
    assert {name: reply.headers[name] for name in RATE_HEADERS} == {name: before.headers[name] for name in RATE_HEADERS}


@pytest.mark.parametrize("path", ["/api/loops", "/test"])
def test_a_call_without_a_key_carries_the_rate_headers(sandbox: Sandbox, path: str) -> None:
    reply = httpx.get(f"{sandbox.base_url}{path}")

    assert reply.status_code == 401
    assert [reply.headers[name] for name in RATE_HEADERS] == ["100000", "100000", "1790002800"]


@pytest.mark.parametrize(("method", "path", "status"), [("GET", "/nothing", 404), ("PATCH", "/api/loops", 405)])
def test_an_address_that_is_not_served_needs_no_key_for_the_rate_headers(
    sandbox: Sandbox, method: str, path: str, status: int
) -> None:
    reply = httpx.request(method, f"{sandbox.base_url}{path}")

    assert reply.status_code == status
    assert reply.headers["X-RateLimit-Limit"] == "100000"
