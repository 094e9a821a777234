import base64

import pytest

from hitl_sandbox.testing import Sandbox
from tests.hitl_sandbox.caller import NO_ID, Caller, refusal


def test_a_created_loop_comes_with_an_invitation(sandbox: Sandbox, api: Caller) -> None:
    reply = api.post("/loops", {"name": "Forum desk", "icon": "🔥", "description": "Replies"})

    data = reply.json()["data"]
    assert (reply.status_code, reply.json()["msg"]) == (201, "Loop created successfully with QR code")
    assert len(data["invite_code"]) == 9
    assert data["qr_code_url"] == f"{sandbox.url}/qr/{data['invite_code']}.png"
    picture = data["qr_code_base64"].removeprefix("data:image/png;base64,")
    assert base64.b64decode(picture).startswith(b"\x89PNG")
    assert {name: data["loop"][name] for name in ("invite_code", "qr_code_url")} == {
        name: data[name] for name in ("invite_code", "qr_code_url")
    }


def test_the_creator_is_the_first_active_member(api: Caller, loop: str) -> None:
    actual = api.get(f"/loops/{loop}").json()["data"]["loop"]

    assert [member["user_id"] for member in actual["members"]] == [actual["creator_id"]]
    assert actual["members"][0]["status"] == "active"
    assert (actual["member_count"], actual["pending_count"]) == (1, 0)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"icon": "bell"}, ("Loop name is required", None)),
        ({"name": "", "icon": "bell"}, ("Loop name is required", None)),
        (
            {"name": "x" * 101, "icon": "bell"},
            ("Validation failed", "name must be between 1 and 100 characters"),
        ),
        ({"name": "x"}, ("Loop icon is required", None)),
        (
            {"name": "x", "icon": "bell", "description": "x" * 501},
            ("Validation failed", "description must be between 0 and 500 characters"),
        ),
        ([], ("Invalid request body", None)),
    ],
)
def test_a_loop_that_breaks_a_rule_is_refused(api: Caller, body: object, expected: tuple[str, object]) -> None:
    assert refusal(api.post("/loops", body)) == (400, *expected)


def test_a_body_that_is_not_json_is_refused(api: Caller) -> None:
    assert refusal(api.call("POST", "/loops", content=b"{nope")) == (400, "Invalid request body", None)


@pytest.mark.parametrize("prefix", ["", "/api"])
def test_loops_are_served_with_and_without_the_api_segment(api: Caller, loop: str, prefix: str) -> None:
    api.prefix = prefix

    listed = api.get("/loops").json()

    assert listed["msg"] == "Loops retrieved successfully"
    assert [item["id"] for item in listed["data"]["loops"]] == [loop]
    assert listed["data"]["count"] == 1


def test_a_loop_can_be_changed_by_its_creator(api: Caller, loop: str) -> None:
    reply = api.call("PUT", f"/loops/{loop}", json={"name": "New name"})

    assert reply.json()["msg"] == "Loop updated successfully"
    assert reply.json()["data"]["loop"]["name"] == "New name"
    assert reply.json()["data"]["loop"]["icon"] == "shield-check"


def test_a_change_of_nothing_is_refused(api: Caller, loop: str) -> None:
    reply = api.call("PUT", f"/loops/{loop}", json={})

    assert refusal(reply) == (400, "At least one field must be provided for update", None)


def test_a_deleted_loop_is_gone_with_its_requests(api: Caller, loop: str) -> None:
    request_id = api.request(loop)

    reply = api.call("DELETE", f"/loops/{loop}")

    assert (reply.json()["msg"], reply.json()["data"]) == ("Loop deleted successfully", {"loop_id": loop})
    assert refusal(api.get(f"/loops/{loop}")) == (404, "Loop not found", None)
    assert refusal(api.get(f"/requests/{request_id}")) == (404, "Request not found", None)


def test_a_busy_loop_can_be_kept_from_deletion(sandbox: Sandbox, api: Caller, loop: str) -> None:
    sandbox.configure(keep_busy_loops=True)
    api.request(loop)

    reply = api.call("DELETE", f"/loops/{loop}")

    assert refusal(reply) == (400, "Cannot delete loop with active requests", None)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/loops/{}"),
        ("PUT", "/loops/{}"),
        ("DELETE", "/loops/{}"),
        ("GET", "/loops/{}/members"),
        ("DELETE", f"/loops/{{}}/members/{NO_ID}"),
        ("POST", "/loops/{}/requests"),
        ("GET", "/loops/{}/requests"),
    ],
)
def test_every_loop_route_checks_the_id_then_existence_then_access(
    api: Caller, other_account: Caller, loop: str, method: str, path: str
) -> None:
    malformed = other_account.call(method, path.format("not-an-id"))
    missing = other_account.call(method, path.format(NO_ID))
    foreign = other_account.call(method, path.format(loop))

    assert refusal(malformed) == (400, "Invalid loop ID format", None)
    assert refusal(missing) == (404, "Loop not found", None)
    assert refusal(foreign) == (403, "Access denied to this loop", None)


@pytest.mark.parametrize(
    ("method", "path", "msg"),
    [
        ("PUT", "/loops/{}", "Only loop creator can update the loop"),
        ("DELETE", "/loops/{}", "Only loop creator can delete the loop"),
        ("DELETE", f"/loops/{{}}/members/{NO_ID}", "Only loop creator can remove members"),
        ("POST", "/loops/{}/requests", "Only loop creators can create requests"),
    ],
)
def test_a_member_may_look_but_not_change(
    sandbox: Sandbox, other_account: Caller, loop: str, method: str, path: str, msg: str
) -> None:
    sandbox.add_key("hitl_test_other_account", email="noor@example.com")
    sandbox.add_member(loop, "noor@example.com")

    assert other_account.get(f"/loops/{loop}").status_code == 200
    assert refusal(other_account.call(method, path.format(loop), json={})) == (403, msg, None)


def test_members_are_listed_with_both_generations_of_counts(sandbox: Sandbox, api: Caller, loop: str) -> None:
    sandbox.add_member(loop, "priya@example.com")
    sandbox.add_member(loop, "noor@example.com", status="pending")

    data = api.get(f"/loops/{loop}/members").json()["data"]

    assert [member["status"] for member in data["members"]] == ["active", "active", "pending"]
    assert data["members"][2]["joined_at"] is None
    assert (data["member_count"], data["total_count"]) == (3, 3)
    assert (data["active_count"], data["pending_count"]) == (2, 1)


def test_a_member_can_be_removed_once(sandbox: Sandbox, api: Caller, loop: str) -> None:
    user_id = sandbox.add_member(loop, "priya@example.com")["user_id"]

    removed = api.call("DELETE", f"/loops/{loop}/members/{user_id}")
    again = api.call("DELETE", f"/loops/{loop}/members/{user_id}")

    assert removed.json()["msg"] == "Member removed successfully"
    assert removed.json()["data"] == {"loop_id": loop, "user_id": user_id}
    assert refusal(again) == (404, "User is not a member of this loop", None)


def test_the_creator_cannot_be_removed(api: Caller, loop: str) -> None:
    creator = api.get(f"/loops/{loop}").json()["data"]["loop"]["creator_id"]

    reply = api.call("DELETE", f"/loops/{loop}/members/{creator}")

    assert refusal(reply) == (403, "Loop creator cannot remove themselves", None)


def test_first_generation_replies_say_more(sandbox: Sandbox, api: Caller, loop: str) -> None:
    sandbox.configure(r1_replies=True)
    user_id = sandbox.add_member(loop, "priya@example.com")["user_id"]

    members = api.get(f"/loops/{loop}/members").json()["data"]
    removed = api.call("DELETE", f"/loops/{loop}/members/{user_id}").json()
    deleted = api.call("DELETE", f"/loops/{loop}").json()["data"]

    assert members["members"][1]["role"] == "member"
    assert set(members["statistics"]) == {
        "avg_join_time_days",
        "newest_member_joined",
        "oldest_member_joined",
    }
    assert removed["msg"] == "Member removed from loop successfully"
    assert "removed_at" in removed["data"]
    assert deleted["deleted_data"] == {"members_removed": 1, "requests_deleted": 0, "responses_deleted": 0}


def test_a_loop_without_a_description_has_no_such_key(api: Caller, loop: str) -> None:
    described = api.call("PUT", f"/loops/{loop}", json={"description": "Replies"}).json()["data"]["loop"]
    cleared = api.call("PUT", f"/loops/{loop}", json={"description": None}).json()["data"]["loop"]

    assert described["description"] == "Replies"
    assert "description" not in cleared
    assert "description" not in api.get("/loops").json()["data"]["loops"][0]


def test_a_member_has_a_name(sandbox: Sandbox, api: Caller, loop: str) -> None:
    sandbox.add_member(loop, "priya@example.com", name="Priya Example")

    listed = api.get(f"/loops/{loop}/members").json()["data"]["members"]
    actual = api.get(f"/loops/{loop}").json()["data"]["loop"]["members"]

    assert [member["name"] for member in listed] == [member["name"] for member in actual]
    assert listed[1]["name"] == "Priya Example"


@pytest.mark.parametrize("path", ["/nothing", "/loops/a/b/c"])
def test_an_unknown_path_is_answered_in_the_envelope(api: Caller, path: str) -> None:
    assert refusal(api.get(path)) == (404, "Not Found", None)


def test_a_method_nobody_serves_is_answered_in_the_envelope(api: Caller) -> None:
    assert refusal(api.call("PATCH", "/loops")) == (405, "Method Not Allowed", None)
