import math
from typing import Any

import pytest

from hitl_sandbox.testing import Sandbox
from tests.hitl_sandbox.caller import CONFIGS, NO_ID, Caller, ask, refusal

OPTIONS = {"options": ["Approve with Warning", "Reject"]}
OBJECTS = {"options": [{"value": "yes", "label": "Yes, do it"}, {"value": "no", "label": "No"}]}


def test_a_created_request_is_broadcast(sandbox: Sandbox, api: Caller, loop: str) -> None:
    sandbox.add_member(loop, "priya@example.com")
    sandbox.add_member(loop, "noor@example.com", device=False)
    sandbox.add_member(loop, "late@example.com", status="pending")

    reply = api.post(f"/loops/{loop}/requests", ask())

    data = reply.json()["data"]
    assert (reply.status_code, reply.json()["msg"]) == (201, "Request created and broadcasted successfully")
    assert (data["broadcasted_to"], data["notifications_sent"]) == (3, 2)
    assert data["status"] == "pending"
    assert data["timeout_at"] == "2026-09-21T15:20:00Z"
    assert data["polling_url"] == f"/v1/api/requests/{data['request_id']}"


def test_who_was_notified_is_a_list_when_read(sandbox: Sandbox, api: Caller, loop: str) -> None:
    sandbox.add_member(loop, "noor@example.com", device=False)

    notified = api.read(api.request(loop))["broadcasted_to"]

    assert [person["notification_sent"] for person in notified] == [True, False]
    assert [person["notification_error"] for person in notified] == [None, "no device token"]


@pytest.mark.parametrize(
    ("changes", "msg", "data"),
    [
        ({"request_text": None}, "Request text is required", None),
        ({"request_text": ""}, "Request text is required", None),
        (
            {"request_text": "x" * 2001},
            "Validation failed",
            "request_text must be between 1 and 2000 characters",
        ),
        ({"processing_type": None}, "Validation failed", "processing_type is required"),
        (
            {"processing_type": "soon"},
            "Validation failed",
            "processing_type must be one of: time-sensitive, deferred",
        ),
        ({"type": "html"}, "Validation failed", "type must be one of: markdown, image, file, video, audio"),
        ({"priority": "urgent"}, "Validation failed", "priority must be one of: low, medium, high, critical"),
        (
            {"platform": "fax"},
            "Validation failed",
            "platform must be one of: n8n, zapier, web_portal, api, mobile, webhook",
        ),
        ({"timeout_seconds": None}, "timeout_seconds is required for time-sensitive requests", None),
        ({"timeout_seconds": 59}, "Validation failed", "timeout_seconds must be between 60 and 86400"),
        ({"timeout_seconds": 86401}, "Validation failed", "timeout_seconds must be between 60 and 86400"),
        ({"timeout_seconds": True}, "Validation failed", "timeout_seconds must be between 60 and 86400"),
        ({"timeout_seconds": "90"}, "Validation failed", "timeout_seconds must be between 60 and 86400"),
        ({"type": "image"}, "Image URL is required when type is image", None),
        ({"type": "file"}, "Validation failed", "file_url is required when type is file"),
        ({"type": "video"}, "Validation failed", "video_url is required when type is video"),
        ({"type": "audio"}, "Validation failed", "audio_url is required when type is audio"),
        ({"image_urls": "https://x"}, "Validation failed", "image_urls must be an array of strings"),
        ({"image_url": 3}, "Validation failed", "image_url must be a string"),
        ({"context": [1]}, "Validation failed", "context must be an object"),
        ({"response_config": None}, "Validation failed", "response_config is required"),
        ({"response_config": []}, "Validation failed", "response_config must be an object"),
        ({"default_response": None}, "Validation failed", "default_response is required"),
        ({"callback_url": "http://example.com/x"}, "Validation failed", "callback_url must use HTTPS"),
        ({"callback_url": "ftp://example.com"}, "Validation failed", "callback_url must be a valid URL"),
        ({"callback_url": "https://[broken"}, "Validation failed", "callback_url must be a valid URL"),
    ],
)
def test_a_request_that_breaks_a_rule_is_refused(
    api: Caller, loop: str, changes: dict[str, Any], msg: str, data: str | None
) -> None:
    assert refusal(api.post(f"/loops/{loop}/requests", ask(**changes))) == (400, msg, data)


def test_an_unknown_response_type_is_refused(api: Caller, loop: str) -> None:
    reply = api.post(f"/loops/{loop}/requests", ask() | {"response_type": "haiku"})

    types = "text, single_select, multi_select, rating, number, boolean, editable_text"
    assert refusal(reply) == (400, "Validation failed", f"response_type must be one of: {types}")


@pytest.mark.parametrize(
    ("response_type", "config", "issue"),
    [
        ("single_select", {}, "options array required for select response type"),
        ("multi_select", {"options": []}, "options array required for select response type"),
        ("single_select", {"options": ["x"] * 2}, "option values must be unique"),
        (
            "single_select",
            {"options": [str(n) for n in range(21)]},
            "options array must have between 1 and 20 entries",
        ),
        (
            "single_select",
            {"options": [{"label": "no value"}]},
            "each option must be a string or an object with value and label",
        ),
        (
            "multi_select",
            {"options": ["a"], "min_selections": 2},
            "min_selections must not exceed max_selections",
        ),
        ("rating", {"scale_max": 1}, "the minimum must be less than the maximum"),
        ("rating", {"scale_max": 5, "scale_step": 0}, "the step must be greater than 0"),
        ("number", {"max_value": 5, "decimal_places": 11}, "decimal_places must be between 0 and 10"),
        ("text", {"max_length": 5001}, "max_length must be between 1 and 5000"),
        ("text", {"max_length": 5, "min_length": 6}, "min_length must be between 0 and max_length"),
        ("boolean", {"true_label": "x" * 101}, "true_label must be a string of at most 100 characters"),
        ("editable_text", {"max_length": 5}, "draft_text is required for editable_text response type"),
    ],
)
def test_a_configuration_nobody_could_answer_is_refused(
    api: Caller, loop: str, response_type: str, config: dict[str, Any], issue: str
) -> None:
    body = ask(response_type, response_config=config)

    reply = api.post(f"/loops/{loop}/requests", body)

    assert refusal(reply) == (400, "Invalid response configuration", issue)


@pytest.mark.parametrize(
    ("response_type", "config", "default"),
    [
        ("single_select", OPTIONS, "Approve with Warning"),
        ("single_select", OPTIONS, "approve_with_warning"),
        ("single_select", OPTIONS, ["Reject"]),
        ("single_select", OBJECTS, "yes"),
        ("single_select", OBJECTS, "Yes, do it"),
        ("multi_select", OPTIONS, []),
        ("multi_select", OPTIONS, "reject"),
        ("rating", {"min": 0, "max": 3}, 0),
        ("number", {"max_value": 9, "min_value": 0}, 0),
        ("number", {"max_value": 9, "allow_negative": True}, -3.25),
        ("boolean", {}, False),
        ("boolean", {"false_label": "Nope"}, "nope"),
        ("text", {}, ""),
        ("editable_text", {"draft_text": "a"}, {"revised_text": "b"}),
    ],
)
def test_defaults_are_taken_in_every_documented_spelling(
    api: Caller, loop: str, response_type: str, config: dict[str, Any], default: Any
) -> None:
    request_id = api.request(loop, response_type, response_config=config, default_response=default)

    assert api.read(request_id)["default_response"] == default


@pytest.mark.parametrize(
    ("response_type", "default", "issue"),
    [
        ("single_select", "Maybe", "default_response must match one of the configured options"),
        ("multi_select", ["typo", "Maybe"], "default_response must match one of the configured options"),
        ("rating", 11, "default_response must be a number that fits the rating configuration"),
        ("rating", 1.25, "default_response must be a number that fits the rating configuration"),
        ("number", True, "default_response must be a number that fits the number configuration"),
        ("number", 0.001, "default_response must be a number that fits the number configuration"),
        ("boolean", 1, "default_response must be true or false"),
        ("text", 5, "default_response must be a text within max_length"),
        ("text", "x" * 51, "default_response must be a text within max_length"),
    ],
)
def test_a_default_no_answer_could_equal_is_refused(
    api: Caller, loop: str, response_type: str, default: Any, issue: str
) -> None:
    reply = api.post(f"/loops/{loop}/requests", ask(response_type, default_response=default))

    assert refusal(reply) == (400, "Invalid default response", issue)


def test_a_loop_without_active_members_takes_no_requests(sandbox: Sandbox, api: Caller, loop: str) -> None:
    email = api.get(f"/loops/{loop}").json()["data"]["loop"]["members"][0]["email"]
    sandbox.add_member(loop, email, status="pending")

    reply = api.post(f"/loops/{loop}/requests", ask())

    assert refusal(reply) == (400, "No active members found in the loop", None)


def test_deferred_requests_wait_thirty_days(api: Caller, loop: str) -> None:
    request_id = api.request(loop, processing_type="deferred", timeout_seconds=None)

    assert api.read(request_id)["timeout_at"] == "2026-10-21T14:20:00Z"


def test_a_platform_is_only_required_in_strict_mode(sandbox: Sandbox, api: Caller, loop: str) -> None:
    request_id = api.request(loop, platform=None)
    sandbox.configure(strict=True)

    reply = api.post(f"/loops/{loop}/requests", ask(platform=None))

    assert api.read(request_id)["platform"] == "api"
    assert refusal(reply) == (400, "Validation failed", "platform is required")


def test_strict_mode_requires_what_the_types_page_requires(sandbox: Sandbox, api: Caller, loop: str) -> None:
    sandbox.configure(strict=True)

    reply = api.post(f"/loops/{loop}/requests", ask("text", response_config={}))

    issue = "max_length is required for text response type"
    assert refusal(reply) == (400, "Invalid response configuration", issue)


def test_attachments_context_and_extras_are_echoed(api: Caller, loop: str) -> None:
    sent: dict[str, Any] = {
        "type": "file",
        "file_url": "https://example.com/a.pdf",
        "file_type": "application/pdf",
        "image_urls": ["https://example.com/a.png"],
        "context": {"post": "p-1", "deep": [1, {"a": None}]},
        "metadata": {"order": 7},
        "tags": ["x"],
        "platform_version": "2.4.0",
        "callback_url": "https://example.com/hook",
    }

    actual = api.read(api.request(loop, **sent))

    assert {name: actual[name] for name in sent} == sent


@pytest.mark.parametrize("url", ["http://localhost:1/x", "http://127.0.0.1/x", "http://receiver:8000/x"])
def test_plain_http_is_accepted_for_neighbours(api: Caller, loop: str, url: str) -> None:
    assert api.read(api.request(loop, callback_url=url))["callback_url"] == url


def test_the_quickstart_form_names_the_loop_in_the_body(api: Caller, loop: str) -> None:
    body = ask(processing_type=None, type=None, platform=None, timeout_seconds=None)

    reply = api.post("/requests", body | {"loop_id": loop, "timeout_minutes": 30})

    data = reply.json()["data"]
    assert reply.status_code == 201
    assert data["request"] == {"id": data["request_id"], "status": "pending"}
    assert (data["processing_type"], data["timeout_at"]) == ("time-sensitive", "2026-09-21T14:50:00Z")


def test_the_quickstart_form_needs_a_loop(api: Caller) -> None:
    assert refusal(api.post("/requests", ask())) == (400, "Missing required field: loop_id", None)
    assert refusal(api.post("/requests", {"loop_id": "x"})) == (400, "Invalid loop ID format", None)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/requests/{}"),
        ("PATCH", "/requests/{}"),
        ("DELETE", "/requests/{}"),
        ("POST", "/requests/{}/cancel"),
        ("POST", "/requests/{}/feedback"),
        ("GET", "/requests/{}/approval-chain"),
        ("POST", "/requests/{}/approval-chain"),
    ],
)
def test_every_request_route_checks_the_id_then_existence_then_the_key(
    api: Caller, other_account: Caller, loop: str, method: str, path: str
) -> None:
    request_id = api.request(loop)

    malformed = other_account.call(method, path.format("zzz"))
    missing = other_account.call(method, path.format(NO_ID))
    foreign = other_account.call(method, path.format(request_id))

    assert refusal(malformed) == (400, "Invalid request ID format", None)
    assert refusal(missing) == (404, "Request not found", None)
    assert refusal(foreign) == (403, "Access denied to this request", None)


def test_another_key_of_the_same_account_sees_the_loop_but_not_the_request(
    sandbox: Sandbox, api: Caller, other_account: Caller
) -> None:
    for key in ("hitl_test_caller", "hitl_test_other_account"):
        sandbox.add_key(key, email="priya@example.com")
    loop = api.loop()
    request_id = api.request(loop)

    assert other_account.get(f"/loops/{loop}").status_code == 200
    assert other_account.get(f"/loops/{loop}/requests").json()["data"]["count"] == 0
    assert other_account.get("/requests").json()["data"]["total"] == 0
    assert other_account.get(f"/requests/{request_id}").status_code == 403


def test_a_pending_request_can_be_cancelled_once(api: Caller, loop: str) -> None:
    request_id = api.request(loop)

    first = api.call("DELETE", f"/requests/{request_id}", json={"reason": "not needed"})
    second = api.call("DELETE", f"/requests/{request_id}")

    assert first.json()["msg"] == "Request cancelled successfully"
    assert first.json()["data"] == {"request_id": request_id, "status": "cancelled"}
    assert refusal(second) == (400, "Request cannot be cancelled in current state", None)


def test_a_claimed_request_cannot_be_cancelled_unless_so_set(sandbox: Sandbox, api: Caller, loop: str) -> None:
    sandbox.configure(claims=True)
    request_id = api.request(loop)
    sandbox.claim(request_id)
    refused = api.call("DELETE", f"/requests/{request_id}")
    sandbox.configure(cancel_claimed=True, r1_replies=True)

    cancelled = api.call("DELETE", f"/requests/{request_id}").json()["data"]

    assert refused.status_code == 400
    assert cancelled["previous_status"] == "claimed"
    assert cancelled["refund_info"]["refunded"] is False


def test_a_pending_request_can_be_amended(api: Caller, loop: str) -> None:
    request_id = api.request(loop)

    reply = api.call("PATCH", f"/requests/{request_id}", json={"priority": "low", "timeout_seconds": 60})

    assert reply.json()["data"]["request"]["priority"] == "low"
    assert api.read(request_id)["timeout_at"] == "2026-09-21T14:21:00Z"
    assert api.read(request_id)["request_text"] == "May this go live?"


def test_amending_is_checked_like_creating(sandbox: Sandbox, api: Caller, loop: str) -> None:
    request_id = api.request(loop)

    wrong = api.call("PATCH", f"/requests/{request_id}", json={"priority": "urgent"})
    sandbox.answer(request_id, "Publish")
    late = api.call("PATCH", f"/requests/{request_id}", json={"priority": "low"})

    assert refusal(wrong)[2] == "priority must be one of: low, medium, high, critical"
    assert refusal(late) == (400, "Request cannot be updated in current state", None)


def test_strict_mode_knows_no_patch(sandbox: Sandbox, api: Caller, loop: str) -> None:
    sandbox.configure(strict=True)

    assert api.call("PATCH", f"/requests/{api.request(loop)}", json={}).status_code == 405


FORMS: list[tuple[str, Any, dict[str, Any]]] = [
    ("text", "fine", dict.fromkeys(("label", "value", "slug", "object"), "fine")),
    (
        "single_select",
        "hold_back",
        {
            "label": "Hold back",
            "value": "Hold back",
            "slug": "hold_back",
            "object": {"selected_value": "Hold back"},
        },
    ),
    (
        "multi_select",
        ["Broken link"],
        {
            "label": ["Broken link"],
            "value": ["broken_link"],
            "slug": ["broken_link"],
            "object": {"selected_values": ["broken_link"], "selected_labels": ["Broken link"]},
        },
    ),
    (
        "multi_select",
        [],
        {"label": [], "value": [], "object": {"selected_values": [], "selected_labels": []}},
    ),
    ("rating", 8.5, {"label": 8.5, "value": 8.5, "object": {"rating": 8.5, "rating_label": "Very good"}}),
    ("rating", 1, {"label": 1, "object": {"rating": 1, "rating_label": "1 of 10"}}),
    ("number", 0, {"label": 0, "object": {"number": 0, "formatted_value": "€0"}}),
    ("number", 149.95, {"label": 149.95, "object": {"number": 149.95, "formatted_value": "€149.95"}}),
    ("boolean", False, {"label": False, "object": {"boolean": False, "boolean_label": "Hold back"}}),
    (
        "editable_text",
        "Dear you",
        {form: {"revised_text": "Dear you", "was_edited": True} for form in ("label", "object")},
    ),
]


@pytest.mark.parametrize(("response_type", "answer", "forms"), FORMS)
def test_an_answer_is_written_in_the_chosen_form(
    sandbox: Sandbox, api: Caller, loop: str, response_type: str, answer: Any, forms: dict[str, Any]
) -> None:
    request_id = api.request(loop, response_type)
    sandbox.answer(request_id, answer)

    for form, expected in forms.items():
        sandbox.configure(response_form=form)
        actual = api.read(request_id)["response_data"]
        assert (actual, type(actual)) == (expected, type(expected)), form


@pytest.mark.parametrize(
    ("response_type", "answer", "issue"),
    [
        ("single_select", "Maybe", "'Maybe' is not one of: Publish, Hold back, Ask author"),
        ("multi_select", "typo", "a list of options is expected"),
        ("multi_select", ["typo", "Typo"], "an option was selected twice"),
        ("rating", 8.25, "the number must be on a step of 0.5"),
        ("rating", 11, "the number must be between 1 and 10"),
        ("number", 0.125, "at most 2 decimal places are allowed"),
        ("number", True, "a number is expected"),
        ("boolean", "yes", "true or false is expected"),
        ("text", "x" * 51, "the text must be between 0 and 50 characters"),
        ("text", 5, "a text is expected"),
    ],
)
def test_a_reviewer_cannot_give_an_answer_that_does_not_fit(
    sandbox: Sandbox, api: Caller, loop: str, response_type: str, answer: Any, issue: str
) -> None:
    request_id = api.request(loop, response_type)

    with pytest.raises(AssertionError, match=issue.replace("(", "\\(")):
        sandbox.answer(request_id, answer)
    assert api.read(request_id)["status"] == "pending"


def test_selections_are_counted(sandbox: Sandbox, api: Caller, loop: str) -> None:
    config = CONFIGS["multi_select"] | {"min_selections": 1, "max_selections": 1}
    request_id = api.request(loop, "multi_select", response_config=config)

    for answer in ([], ["typo", "broken_link"]):
        with pytest.raises(AssertionError, match="select between 1 and 1 options"):
            sandbox.answer(request_id, answer)


def test_the_first_answer_wins(sandbox: Sandbox, api: Caller, loop: str) -> None:
    request_id = api.request(loop, "boolean")
    sandbox.answer(request_id, False)

    with pytest.raises(AssertionError, match="already completed"):
        sandbox.answer(request_id, True)
    assert api.read(request_id)["response_data"] is False


def test_an_answer_says_who_gave_it_and_how_long_it_took(sandbox: Sandbox, api: Caller, loop: str) -> None:
    priya = sandbox.add_member(loop, "priya@example.com")
    request_id = api.request(loop)
    sandbox.advance(402.3)

    sandbox.answer(request_id, "Publish", reviewer="priya@example.com")

    actual = api.read(request_id)
    assert actual["response_by"] == priya["user_id"]
    assert actual["response_by_user"] == {
        "id": priya["user_id"],
        "name": "Priya",
        "email": "priya@example.com",
    }
    assert math.isclose(actual["response_time_seconds"], 402.3)
    assert actual["response_at"] == "2026-09-21T14:26:42Z"


def test_only_an_active_member_can_answer(sandbox: Sandbox, api: Caller, loop: str) -> None:
    sandbox.add_member(loop, "late@example.com", status="pending")

    with pytest.raises(AssertionError, match="not a member"):
        sandbox.answer(api.request(loop), "Publish", reviewer="late@example.com")


def test_a_request_times_out_with_nothing_in_the_answer(sandbox: Sandbox, api: Caller, loop: str) -> None:
    request_id = api.request(loop, timeout_seconds=60)
    sandbox.advance(59)
    before = api.read(request_id)["status"]
    sandbox.advance(1)

    after = api.read(request_id)

    assert before == "pending"
    assert after["status"] == "timeout"
    assert (after["response_data"], after["response_by"], after["response_at"]) == (None, None, None)
    assert after["default_response"] == "Hold back"


def test_the_default_can_be_filled_in_on_timeout(sandbox: Sandbox, api: Caller, loop: str) -> None:
    sandbox.configure(fill_timeout=True)
    request_id = api.request(loop, timeout_seconds=60)

    sandbox.advance(60)

    assert api.read(request_id)["response_data"] == "Hold back"


def test_claims_are_off_unless_set(sandbox: Sandbox, api: Caller, loop: str) -> None:
    with pytest.raises(AssertionError, match="Claims are off"):
        sandbox.claim(api.request(loop))


def test_a_claim_runs_out(sandbox: Sandbox, api: Caller, loop: str) -> None:
    sandbox.configure(claims=True)
    request_id = api.request(loop)
    sandbox.claim(request_id)
    claimed = api.read(request_id)
    sandbox.advance(1800)

    assert claimed["status"] == "claimed"
    assert claimed["claimed_at"] == "2026-09-21T14:20:00Z"
    assert api.get("/requests", status="claimed").json()["data"]["total"] == 0
    assert api.read(request_id)["status"] == "pending"


def test_a_claimed_request_still_times_out(sandbox: Sandbox, api: Caller, loop: str) -> None:
    sandbox.configure(claims=True)
    request_id = api.request(loop, timeout_seconds=60)
    sandbox.claim(request_id)

    sandbox.advance(60)

    assert api.read(request_id)["status"] == "timeout"


def test_a_claim_can_be_given_back(sandbox: Sandbox, api: Caller, loop: str) -> None:
    sandbox.configure(claims=True)
    request_id = api.request(loop)
    sandbox.claim(request_id)

    sandbox.release(request_id)

    assert api.read(request_id)["status"] == "pending"
