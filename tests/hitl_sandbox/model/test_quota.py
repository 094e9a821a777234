import pytest

from hitl_sandbox.testing import Sandbox
from tests.hitl_sandbox.caller import NO_ID, Caller, refusal


def test_every_reply_carries_the_three_headers(sandbox: Sandbox, api: Caller) -> None:
    replies = [api.get("/loops"), api.get(f"/loops/{NO_ID}"), api.post("/loops", {})]

    assert [reply.headers["X-RateLimit-Remaining"] for reply in replies] == ["99999", "99998", "99997"]
    assert {reply.headers["X-RateLimit-Limit"] for reply in replies} == {"100000"}
    assert {reply.headers["X-RateLimit-Reset"] for reply in replies} == {"1790002800"}


def test_the_call_over_the_limit_is_refused_with_the_headers(sandbox: Sandbox, api: Caller) -> None:
    sandbox.configure(rate_limit=2)
    api.get("/loops")
    api.get("/loops")

    reply = api.get("/loops")

    assert refusal(reply) == (429, "Rate limit exceeded. Maximum 2 requests per hour per API key.", None)
    assert reply.headers["X-RateLimit-Remaining"] == "0"


def test_the_limit_is_per_key(sandbox: Sandbox, api: Caller, other_account: Caller) -> None:
    sandbox.configure(rate_limit=1)
    api.get("/loops")

    assert api.get("/loops").status_code == 429
    assert other_account.get("/loops").status_code == 200


def test_the_window_ends_at_the_full_hour(sandbox: Sandbox, api: Caller) -> None:
    sandbox.configure(rate_limit=1)
    api.get("/loops")
    sandbox.advance(1790002800 - sandbox.now() - 1)
    before = api.get("/loops").status_code
    sandbox.advance(1)

    after = api.get("/loops")

    assert before == 429
    assert after.status_code == 200
    assert after.headers["X-RateLimit-Reset"] == str(1790002800 + 3600)


def test_the_limit_is_checked_before_the_id(sandbox: Sandbox, api: Caller) -> None:
    sandbox.configure(rate_limit=1)
    api.get("/loops")

    assert api.get("/loops/not-an-id").status_code == 429


def test_cancelling_a_pending_request_gives_one_unit_back(api: Caller, loop: str) -> None:
    request_id = api.request(loop)
    before = int(api.get(f"/requests/{request_id}").headers["X-RateLimit-Remaining"])

    cancelled = api.call("DELETE", f"/requests/{request_id}")

    assert int(cancelled.headers["X-RateLimit-Remaining"]) == before


USAGE = {"usage_count": 1, "usage_limit": 1, "remaining": 0}


@pytest.mark.parametrize(
    ("shape", "msg", "data"),
    [
        ("usage", "API key usage limit exceeded", None),
        ("rate-data", "API rate limit exceeded", USAGE),
        ("request-data", "API key request limit exceeded", USAGE),
        ("reset-at", "API rate limit exceeded", USAGE | {"reset_at": "2026-09-21T15:00:00Z"}),
    ],
)
def test_the_other_documented_429_bodies_can_be_chosen(
    sandbox: Sandbox, api: Caller, shape: str, msg: str, data: object
) -> None:
    sandbox.configure(rate_limit=1, rate_limit_body=shape)
    api.get("/loops")

    assert refusal(api.get("/loops")) == (429, msg, data)


def test_the_429_of_the_troubleshooting_page_has_its_numbers_at_the_top(sandbox: Sandbox, api: Caller) -> None:
    sandbox.configure(rate_limit=1, rate_limit_body="top-level")
    api.get("/loops")

    body = api.get("/loops").json()

    assert body == {"error": True, "msg": "API rate limit exceeded", **USAGE}
