import httpx
import pytest

from hitl_sandbox.testing import Sandbox
from tests.hitl_sandbox.caller import Caller


def test_the_state_holds_everything(sandbox: Sandbox, api: Caller, loop: str) -> None:
    request_id = api.request(loop, callback_url="http://127.0.0.1:9/")
    sandbox.add_webhook("http://127.0.0.1:9/", "s")
    sandbox.answer(request_id, "Publish")

    state = sandbox.state()

    assert [item["id"] for item in state["loops"]] == [loop]
    assert [item["id"] for item in state["requests"]] == [request_id]
    assert [delivery["channel"] for delivery in state["deliveries"]] == ["callback", "account"]
    assert "secret" not in state["deliveries"][0]
    assert len(state["webhooks"]) == 1
    assert state["clock"]["speed"] == 0


def test_calls_are_counted_per_key(sandbox: Sandbox, api: Caller, other_account: Caller) -> None:
    for _ in range(3):
        api.get("/loops", a=1)
    other_account.get("/nothing-here")
    other_account.get("/loops/x")
    key_id = sandbox.calls()[0]["key_id"]

    counted = sandbox.state()["calls"]

    assert counted["per_key"][key_id] == 3
    assert counted["total"] == 4
    assert counted["calls"][0] | {"at": 0} == {
        "at": 0,
        "key_id": key_id,
        "method": "GET",
        "path": "/v1/api/loops",
        "query": "a=1",
        "status": 200,
        "fault": None,
    }


def test_a_reset_forgets_everything(sandbox: Sandbox, api: Caller, loop: str) -> None:
    api.request(loop)
    sandbox.fault("error", times=None)
    sandbox.configure(rate_limit=1)
    sandbox.advance(5000)

    sandbox.reset(seed=1)

    state = sandbox.state()
    assert (state["loops"], state["requests"], state["faults"]) == ([], [], [])
    assert state["calls"]["total"] == 0
    assert sandbox.now() == 1_790_000_400
    assert [api.get("/loops").status_code for _ in range(2)] == [200, 200]


def test_the_same_seed_gives_the_same_ids(sandbox: Sandbox, api: Caller) -> None:
    first = api.loop()
    sandbox.reset(seed=1)
    again = api.loop()
    sandbox.reset(seed=2)

    assert first == again
    assert api.loop() != first


@pytest.mark.parametrize("seconds", [-1, "x", True, None])
def test_the_clock_only_goes_forward(sandbox: Sandbox, seconds: object) -> None:
    reply = httpx.post(f"{sandbox.url}/sandbox/clock/advance", json={"seconds": seconds})

    assert reply.status_code == 400
    assert "only goes forward" in reply.json()["data"]


@pytest.mark.parametrize(
    ("path", "body", "msg"),
    [
        ("/settings", {"speeed": 1}, "Unknown settings: speeed"),
        ("/settings", {"callback_variant": "v9"}, "Unknown callback_variant 'v9'"),
        ("/requests/x/answer", {}, "Request not found"),
        ("/loops/x/members", {"email": "a@example.com"}, "Loop not found"),
        ("/loops/x/members", {}, "Missing field: email"),
        ("/loops/x/members", {"email": 5}, "email must be a non-empty string, not 5"),
        ("/loops/x/members", {"email": "a", "status": "gone"}, "status must be one of: active, pending"),
        ("/send", {"url": "http://127.0.0.1:9", "body": "", "signature": "rot13"}, "Unknown signature 'rot13'"),
        ("/clock/advance", {}, "Missing field: seconds"),
    ],
)
def test_a_control_call_that_makes_no_sense_is_refused(
    sandbox: Sandbox, path: str, body: dict[str, object], msg: str
) -> None:
    if path.endswith("/answer"):
        body = {"response_data": "x"}

    reply = httpx.post(f"{sandbox.url}/sandbox{path}", json=body)

    assert reply.is_client_error
    assert reply.json()["msg"] == msg


def test_a_body_that_is_no_object_is_refused(sandbox: Sandbox) -> None:
    reply = httpx.post(f"{sandbox.url}/sandbox/send", content=b"[1]")

    assert (reply.status_code, reply.json()["msg"]) == (400, "Invalid request body")


def test_another_sites_page_cannot_press_our_buttons(sandbox: Sandbox) -> None:
    headers = {"Sec-Fetch-Site": "cross-site"}

    control = httpx.post(f"{sandbox.url}/sandbox/reset", headers=headers)
    page = httpx.post(f"{sandbox.url}/page/examples", headers=headers)

    assert (control.status_code, page.status_code) == (403, 403)
    assert sandbox.state()["requests"] == []


def test_methods_of_the_sandbox_raise_what_the_route_said(sandbox: Sandbox) -> None:
    with pytest.raises(AssertionError, match="Request not found"):
        sandbox.answer("0" * 24, "x")
