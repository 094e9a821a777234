"""The API's replies, field by field, against the documented ones."""

import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from hitl_sandbox.testing import Sandbox
from tests.hitl_sandbox.caller import Caller, ask
from tests.hitl_sandbox.shapes import Shape, shape_of, without

DOCUMENTED = Path(__file__).parents[4] / "shared" / "hitl-api" / "payloads"

#: The fields that the sandbox adds to documented replies; the documents show each of them on some page.
ADDED = {
    **{
        name: {f"{loop}.invite_code", f"{loop}.qr_code_url", f"{loop}.members[].name"}
        for name, loop in (
            ("rest.create-loop.201", "data.loop"),
            ("rest.get-loop.200", "data.loop"),
            ("rest.list-loops.200", "data.loops[]"),
        )
    },
    "rest.members.200": {"data.total_count", "data.active_count", "data.pending_count", "data.members[].name"},
    "rest.get-request.completed.200": {
        "data.request.response_by_user",
        "data.request.response_by_user.id",
        "data.request.response_by_user.name",
        "data.request.response_by_user.email",
    },
}

FEEDBACK = {
    "rating": 4,
    "comment": "Quick",
    "accuracy": 5,
    "timeliness": 4,
    "helpfulness": 4,
    "would_recommend": True,
    "tags": ["fast"],
    "category": "positive",
}

LOOP = """id:string name:string description:string icon:string creator_id:string members:list members[]:object
    members[].user_id:string members[].email:string members[].status:string members[].joined_at:string|null
    member_count:number pending_count:number created_at:string updated_at:string"""
REQUEST = """id:string loop_id:string creator_id:string api_key_id:string processing_type:string type:string
    priority:string request_text:string image_url:null context:object platform:string platform_version:string
    response_type:string response_config:object default_response:string timeout_at:string
    callback_url:string broadcasted_to:list broadcasted_to[]:object broadcasted_to[].user_id:string
    broadcasted_to[].email:string broadcasted_to[].role:string broadcasted_to[].notification_sent:bool
    broadcasted_to[].notification_error:null|string broadcasted_at:string status:string
    created_at:string updated_at:string"""
PENDING = "response_by:null response_at:null response_data:null response_time_seconds:null"
ANSWERED = "response_by:string response_at:string response_data:string response_time_seconds:number"
PENDING_REQUEST = f"{REQUEST} {PENDING}"
ANSWERED_REQUEST = f"{REQUEST} {ANSWERED}"
SUMMARY = """id:string loop_id:string processing_type:string type:string priority:string request_text:string
    response_type:string status:string timeout_at:string created_at:string updated_at:string"""


def under(parent: str, fields: str) -> str:
    return " ".join(f"{parent}.{field}" for field in fields.split())


#: Names, types and nullability of every reply, as the documents print them.
EXPECTED = {
    "rest.test.200": """data.api_key_id:string data.user_id:string data.email:string
        data.account_status:string data.rate_limit:object data.rate_limit.limit:number
        data.rate_limit.remaining:number data.rate_limit.reset_at:string data.permissions:list
        data.permissions[]:string""",
    "rest.create-loop.201": f"""data.loop:object {under("data.loop", LOOP.replace("|null", ""))}
        data.invite_code:string data.qr_code_base64:string data.qr_code_url:string data.join_url:string""",
    "rest.list-loops.200": f"""data.loops:list data.loops[]:object {under("data.loops[]", LOOP)}
        data.count:number""",
    "rest.get-loop.200": f"data.loop:object {under('data.loop', LOOP)}",
    "rest.delete-loop.200": "data.loop_id:string",
    "rest.members.200": """data.loop_id:string data.members:list data.members[]:object
        data.members[].user_id:string data.members[].email:string data.members[].status:string
        data.members[].joined_at:string|null data.member_count:number""",
    "rest.remove-member.200": "data.loop_id:string data.user_id:string",
    "rest.create-request.201": """data.request_id:string data.status:string data.processing_type:string
        data.type:string data.priority:string data.timeout_at:string data.broadcasted_to:number
        data.notifications_sent:number data.polling_url:string""",
    "rest.get-request.pending.200": f"data.request:object {under('data.request', PENDING_REQUEST)}",
    "rest.get-request.completed.200": f"data.request:object {under('data.request', ANSWERED_REQUEST)}",
    "rest.list-requests.200": f"""data.requests:list data.requests[]:object
        {under("data.requests[]", SUMMARY + " " + ANSWERED)} data.count:number data.total:number
        data.has_more:bool data.pagination:object data.pagination.limit:number
        data.pagination.offset:number data.pagination.next_offset:number""",
    "rest.loop-requests.200": f"""data.loop_id:string data.requests:list data.requests[]:object
        {under("data.requests[]", PENDING_REQUEST)} data.count:number""",
    "rest.cancel-request.200": "data.request_id:string data.status:string",
    "rest.feedback.200": "data.request_id:string data.feedback:object",
    "rest.error.400.plain": "",
    "rest.error.400.validation": "data:string",
    "rest.error.401": "",
    "rest.error.429": "",
}

OPEN = (
    "data.request.context",
    "data.request.response_config",
    "data.requests[].context",
    "data.requests[].response_config",
    "data.feedback",
)


def expected(name: str) -> Shape:
    shape: Shape = {"": {"object"}, "error": {"bool"}, "msg": {"string"}}
    for field in EXPECTED[name].split():
        path, _, kinds = field.rpartition(":")
        shape[path] = set(kinds.split("|"))
    return shape if "data" in shape or not EXPECTED[name] else shape | {"data": {"object"}}


def provoke(name: str, sandbox: Sandbox, api: Caller) -> httpx.Response:
    """Get the documented reply: from a loop of three, with requests open and answered."""
    created = api.post("/loops", {"name": "Forum desk", "icon": "bell", "description": "Replies"})
    loop = created.json()["data"]["loop"]["id"]
    sandbox.add_member(loop, "priya@example.com", device=False)
    noor = sandbox.add_member(loop, "noor@example.com", status="pending")["user_id"]
    if name in ("rest.create-loop.201", "rest.create-request.201"):
        return created if "loop" in name else api.post(f"/loops/{loop}/requests", ask())
    described: dict[str, Any] = {
        "context": {"post": "p-1"},
        "platform_version": "2.4.0",
        "callback_url": "https://app.example.com/hooks",
    }
    request_id = api.request(loop, **described)
    if name in ("rest.get-request.completed.200", "rest.list-requests.200", "rest.feedback.200"):
        sandbox.answer(request_id, "Publish")
        sandbox.answer(api.request(loop), "Publish")
    if name == "rest.error.429":
        sandbox.configure(rate_limit=1)
    calls: dict[str, tuple[str, str, Any]] = {
        "rest.test.200": ("GET", "/test", None),
        "rest.list-loops.200": ("GET", "/loops", None),
        "rest.get-loop.200": ("GET", f"/loops/{loop}", None),
        "rest.delete-loop.200": ("DELETE", f"/loops/{loop}", None),
        "rest.members.200": ("GET", f"/loops/{loop}/members", None),
        "rest.remove-member.200": ("DELETE", f"/loops/{loop}/members/{noor}", None),
        "rest.get-request.pending.200": ("GET", f"/requests/{request_id}", None),
        "rest.get-request.completed.200": ("GET", f"/requests/{request_id}", None),
        "rest.list-requests.200": ("GET", "/requests?limit=1", None),
        "rest.loop-requests.200": ("GET", f"/loops/{loop}/requests", None),
        "rest.cancel-request.200": ("DELETE", f"/requests/{request_id}", None),
        "rest.feedback.200": ("POST", f"/requests/{request_id}/feedback", {"feedback": FEEDBACK}),
        "rest.error.400.plain": ("GET", "/loops/x", None),
        "rest.error.400.validation": ("GET", "/requests?priority=urgent", None),
        "rest.error.401": ("GET", "/loops", None),
        "rest.error.429": ("GET", "/loops", None),
    }
    method, path, body = calls[name]
    if name == "rest.error.401":
        return httpx.get(f"{sandbox.base_url}/api{path}")
    return api.call(method, path, json=body)


def emitted(name: str, sandbox: Sandbox, api: Caller) -> Shape:
    reply = provoke(name, sandbox, api)
    status = next(int(part) for part in name.split(".") if part.isdecimal())
    assert reply.status_code == status, reply.text
    shape = without(shape_of(reply.json()), *OPEN)
    return {path: types for path, types in shape.items() if path not in ADDED.get(name, ())}


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_every_reply_has_exactly_its_fields(sandbox: Sandbox, api: Caller, name: str) -> None:
    assert emitted(name, sandbox, api) == expected(name)


@pytest.mark.parametrize("name", sorted(path.stem for path in DOCUMENTED.glob("rest.*.json")))
def test_every_reply_agrees_with_the_documents(sandbox: Sandbox, api: Caller, name: str) -> None:
    printed = shape_of(json.loads((DOCUMENTED / f"{name}.json").read_text()))

    assert emitted(name, sandbox, api) == without(printed, *OPEN)
