"""The webhook bodies of the sandbox, field by field, against the documented payloads."""

import json
from pathlib import Path
from typing import Any

import pytest

from hitl_sandbox.testing import Sandbox
from tests.hitl_sandbox.caller import Caller
from tests.hitl_sandbox.receiver import Receiver
from tests.hitl_sandbox.shapes import shape_of, without

#: The documented payloads, where they are beside the checkout.
DOCUMENTED = Path(__file__).parents[4] / "shared" / "hitl-api" / "payloads"

ANSWERS: dict[str, Any] = {
    "text": "Drop paragraph two.",
    "single_select": "Publish",
    "multi_select": ["typo", "broken_link"],
    "rating": 8.5,
    "number": 149.95,
    "boolean": False,
    "editable_text": "Dear you",
}

#: Names, types and nullability of every webhook form, as ``name.inner:type``; nothing else may appear.
EXPECTED: dict[str, str] = {
    "callback-v2.request.completed": """
        event:string request_id:string loop_id:string status:string response_data:object
        response_data.selected_value:string response_by:object response_by.user_id:string
        response_by.name:string response_by.email:string response_at:string
        response_time_seconds:number created_at:string""",
    "callback-v2.request.timeout": """
        event:string request_id:string loop_id:string status:string response_data:null response_by:null
        response_at:null response_time_seconds:null created_at:string""",
    "callback-v2.request.cancelled": """
        event:string request_id:string loop_id:string status:string response_data:null response_by:null
        response_at:null response_time_seconds:null created_at:string""",
    "intro-flat.request.completed": """
        event:string request_id:string status:string response_data:string response_by:string
        completed_at:string""",
    "data-flat.request.completed": """
        event:string data:object data.request_id:string data.response_data:string""",
    "make-flat.request.completed": """
        event:string request_id:string loop_id:string status:string response_data:string
        response_by_user:object response_by_user.id:string response_by_user.name:string
        response_by_user.email:string response_time_seconds:number timestamp:string""",
    "n8n-doc.request.completed": """
        event:string timestamp:string data:object data.request_id:string data.loop_id:string
        data.decision:string data.reviewer_id:string data.reasoning:string data.confidence:number""",
    "handoff.request.completed": """
        event:string request_id:string timestamp:string data:object data.request:object
        data.request.id:string data.request.status:string data.request.response_data:string
        data.request.response_by:object data.request.response_by.user_id:string
        data.request.response_by.name:string data.request.response_by.email:string
        data.request.response_at:string data.request.response_time_seconds:number""",
    "make-workflow.execution.completed": """
        event:string execution_id:string workflow_id:string status:string response_data:string
        response_by_user:object response_by_user.id:string response_by_user.name:string
        response_by_user.email:string response_time_seconds:number timestamp:string""",
    "legacy-r0.request.completed": """
        event:string review:object review.id:string review.template_id:string review.status:string
        review.result:object review.result.content:string review.result.feedback:string
        review.completed_at:string review.reviewer:string timestamp:string""",
    "n8n-resume": "request_id:string response:string status:string",
    "nested.request.completed": """
        event:string timestamp:string data:object data.request:object data.request.id:string
        data.request.loop_id:string data.request.processing_type:string data.request.type:string
        data.request.priority:string data.request.request_text:string data.request.response_type:string
        data.request.status:string data.request.response_data:string data.request.response_by:string
        data.request.response_at:string data.request.response_time_seconds:number
        data.request.timeout_at:string data.request.created_at:string data.request.updated_at:string
        data.loop:object data.loop.id:string data.loop.name:string data.loop.creator_id:string
        data.reviewer:object data.reviewer.user_id:string data.reviewer.email:string""",
    "nested.request.claimed": """
        event:string timestamp:string data:object data.request:object data.request.id:string
        data.request.loop_id:string data.request.processing_type:string data.request.type:string
        data.request.priority:string data.request.request_text:string data.request.response_type:string
        data.request.status:string data.request.claimed_by:string data.request.claimed_at:string
        data.request.timeout_at:string data.request.created_at:string data.request.updated_at:string
        data.loop:object data.loop.id:string data.loop.name:string data.reviewer:object
        data.reviewer.user_id:string data.reviewer.email:string data.estimated_completion:string""",
    "nested.request.cancelled": """
        event:string timestamp:string data:object data.request:object data.request.id:string
        data.request.loop_id:string data.request.status:string data.request.previous_status:string
        data.request.cancelled_at:string data.request.created_at:string data.request.updated_at:string
        data.loop:object data.loop.id:string data.loop.name:string data.refund_info:object
        data.refund_info.refunded:bool data.refund_info.reason:string""",
    "nested.request.timeout": """
        event:string timestamp:string data:object data.request:object data.request.id:string
        data.request.loop_id:string data.request.status:string data.request.previous_status:string
        data.request.timeout_at:string data.request.created_at:string data.request.updated_at:string
        data.request.default_response:string data.loop:object data.loop.id:string data.loop.name:string""",
    "nested.loop.member_joined": """
        event:string timestamp:string data:object data.loop:object data.loop.id:string
        data.loop.name:string data.loop.member_count:number data.loop.active_count:number
        data.loop.pending_count:number data.member:object data.member.user_id:string
        data.member.email:string data.member.status:string data.member.joined_at:string
        data.member.role:string""",
    "global.request.created": """
        event:string timestamp:string data:object data.request_id:string data.loop_id:string
        data.content_type:string data.priority:string data.created_at:string""",
    "global.request.completed": """
        event:string timestamp:string data:object data.request_id:string data.decision:string
        data.reviewer_id:string data.completed_at:string""",
    "global.loop.created": """
        event:string timestamp:string data:object data.loop_id:string data.name:string
        data.created_by:string data.created_at:string""",
    "global.loop.archived": """
        event:string timestamp:string data:object data.loop_id:string data.archived_by:string
        data.archived_at:string""",
    "global.user.invited": """
        event:string timestamp:string data:object data.user_id:string data.email:string
        data.invited_by:string data.invited_at:string""",
    "global.user.joined": """
        event:string timestamp:string data:object data.user_id:string data.joined_at:string""",
    "turn.resolved": """
        event:string timestamp:string session_id:string turn:object turn.id:string turn.session_id:string
        turn.turn_number:number turn.request_id:string turn.action_type:string turn.agent_prompt:string
        turn.proposed_tool:string turn.proposed_args:object turn.human_decision:string
        turn.human_comment:string turn.created_at:string""",
}


def expected(name: str) -> dict[str, set[str]]:
    pairs = (field.rpartition(":") for field in EXPECTED[name].split())
    return {"": {"object"}} | {path: {kind} for path, _, kind in pairs}


def emit(name: str, sandbox: Sandbox, api: Caller, receiver: Receiver) -> Any:
    """Cause the payload and return it as it arrived."""
    variant, _, event = name.partition(".")
    if name == "turn.resolved":
        return _emit_turn(sandbox, api, receiver)
    if variant in ("nested", "global"):
        return _emit_to_account(variant, event, sandbox, api, receiver)
    sandbox.configure(callback_variant=variant)
    request_id = api.request(api.loop(), callback_url=receiver.url)
    _end(event or "request.completed", request_id, sandbox, api)
    sandbox.settle()
    (body,) = receiver.bodies()
    return body


def _end(event: str, request_id: str, sandbox: Sandbox, api: Caller) -> None:
    if event.endswith("timeout"):
        sandbox.advance(3600)
    elif event.endswith("cancelled"):
        api.call("DELETE", f"/requests/{request_id}")
    elif event.endswith("claimed"):
        sandbox.claim(request_id)
    else:
        sandbox.answer(request_id, "Publish")


def _emit_to_account(variant: str, event: str, sandbox: Sandbox, api: Caller, receiver: Receiver) -> Any:
    sandbox.configure(claims=True, cancel_claimed=True)
    sandbox.add_webhook(receiver.url, "s", events=[event], type="global" if variant == "global" else "account")
    loop = api.loop()
    sandbox.add_member(loop, "noor@example.com", status="pending")
    sandbox.add_member(loop, "noor@example.com")
    if event.startswith("request."):
        _end(event, api.request(loop), sandbox, api)
    api.call("DELETE", f"/loops/{loop}")
    sandbox.settle()
    (body,) = receiver.bodies()
    return body


def _emit_turn(sandbox: Sandbox, api: Caller, receiver: Receiver) -> Any:
    sandbox.add_webhook(receiver.url, "s", events=["turn.resolved"])
    session = api.post("/sessions", {}).json()["data"]["session"]["id"]
    proposal = {"action_type": "git_push", "agent_prompt": "p", "proposed_tool": "Bash", "proposed_args": {}}
    turn = api.post(f"/sessions/{session}/turns", proposal).json()["data"]["turn"]["id"]
    decision = {"decision": "approve", "comment": "fine"}
    api.call("PUT", f"/sessions/{session}/turns/{turn}", json=decision)
    sandbox.settle()
    (body,) = receiver.bodies()
    return body


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_every_form_has_exactly_its_fields(sandbox: Sandbox, api: Caller, receiver: Receiver, name: str) -> None:
    assert shape_of(emit(name, sandbox, api, receiver)) == expected(name)


def documented(prefix: str = "") -> list[str]:
    """The names of the documented payloads; none where they are missing."""
    other = ("rest.", "signatures", "global.system", "callback-v2.request.completed.")
    names = sorted(path.stem for path in DOCUMENTED.glob(f"{prefix}*.json"))
    return [name for name in names if prefix or not name.startswith(other)]


@pytest.mark.parametrize("name", documented())
def test_every_form_agrees_with_the_documents(sandbox: Sandbox, api: Caller, receiver: Receiver, name: str) -> None:
    printed = shape_of(json.loads((DOCUMENTED / f"{name}.json").read_text()))

    emitted = shape_of(emit(name, sandbox, api, receiver))

    assert without(emitted, "turn.proposed_args") == without(printed, "turn.proposed_args")


#: The object form of each response type, and its bare form where the documents print one.
RESPONSES: dict[str, dict[str, set[str]]] = {
    "single_select": {"": {"object"}, "selected_value": {"string"}},
    "multi_select": {
        "": {"object"},
        "selected_values": {"list"},
        "selected_values[]": {"string"},
        "selected_labels": {"list"},
        "selected_labels[]": {"string"},
    },
    "rating": {"": {"object"}, "rating": {"number"}, "rating_label": {"string"}},
    "number": {"": {"object"}, "number": {"number"}, "formatted_value": {"string"}},
    "boolean": {"": {"object"}, "boolean": {"bool"}, "boolean_label": {"string"}},
    "text": {"": {"string"}},
    "editable_text": {"": {"object"}, "revised_text": {"string"}, "was_edited": {"bool"}},
}


def call_back(sandbox: Sandbox, api: Caller, receiver: Receiver, response_type: str) -> Any:
    request_id = api.request(api.loop(), response_type, callback_url=receiver.url)
    sandbox.answer(request_id, ANSWERS[response_type])
    sandbox.settle()
    return receiver.bodies()[-1]


@pytest.mark.parametrize("response_type", sorted(RESPONSES))
def test_every_response_type_has_its_object_form_in_callbacks(
    sandbox: Sandbox, api: Caller, receiver: Receiver, response_type: str
) -> None:
    body = call_back(sandbox, api, receiver, response_type)

    assert shape_of(body["response_data"]) == RESPONSES[response_type]


@pytest.mark.parametrize("name", documented("callback-v2.request.completed."))
def test_every_response_type_agrees_with_the_documents(
    sandbox: Sandbox, api: Caller, receiver: Receiver, name: str
) -> None:
    _, _, _, response_type, *scalar = name.split(".")
    sandbox.configure(callback_form="slug" if scalar else "object")
    printed = json.loads((DOCUMENTED / f"{name}.json").read_text())

    body = call_back(sandbox, api, receiver, response_type)

    assert shape_of(body) == shape_of(printed)


@pytest.mark.parametrize(
    ("response_type", "result"),
    [
        ("boolean", {"approved": False, "feedback": ""}),
        ("single_select", {"content": "Publish", "feedback": ""}),
        ("multi_select", {"content": ["typo", "broken_link"], "feedback": ""}),
        ("rating", {"content": 8.5, "feedback": ""}),
        ("number", {"content": 149.95, "feedback": ""}),
        ("text", {"content": "Drop paragraph two.", "feedback": ""}),
        ("editable_text", {"content": "Dear you", "feedback": ""}),
    ],
)
def test_a_review_of_the_first_api_carries_the_answer_as_its_result(
    sandbox: Sandbox, api: Caller, receiver: Receiver, response_type: str, result: object
) -> None:
    sandbox.configure(callback_variant="legacy-r0")

    body = call_back(sandbox, api, receiver, response_type)

    assert body["event"] == "review.completed"
    assert body["review"]["result"] == result
    assert "decision" not in body["review"]


@pytest.mark.parametrize("outcome", ["timeout", "cancelled"])
def test_a_review_that_nobody_answered_has_no_result(
    sandbox: Sandbox, api: Caller, receiver: Receiver, outcome: str
) -> None:
    sandbox.configure(callback_variant="legacy-r0")
    _end(f"request.{outcome}", api.request(api.loop(), callback_url=receiver.url), sandbox, api)
    sandbox.settle()

    (body,) = receiver.bodies()

    assert (body["event"], body["review"]["status"]) == (f"review.{outcome}", outcome)
    assert (body["review"]["result"], body["review"]["reviewer"]) == (None, None)


@pytest.mark.parametrize(
    ("options", "answer", "response_data"),
    [
        (["Approve with Warning", "Reject"], "Approve with Warning", "approve_with_warning"),
        ([{"value": "v1", "label": "Approve"}], "Approve", "v1"),
    ],
    ids=["plain", "object"],
)
def test_make_is_sent_the_slug_of_an_option(
    sandbox: Sandbox, api: Caller, receiver: Receiver, options: list[Any], answer: str, response_data: str
) -> None:
    sandbox.configure(callback_variant="make-flat")
    request_id = api.request(
        api.loop(), response_config={"options": options}, default_response=answer, callback_url=receiver.url
    )
    sandbox.answer(request_id, answer)
    sandbox.settle()

    (body,) = receiver.bodies()

    assert body["response_data"] == response_data


#: What HITL.sh sends in some forms only, and the form that carries it.
METADATA = {
    "make-workflow.execution.completed": ("execution_id", "workflow_id"),
    "turn.resolved": ("session_id",),
    "nested.loop.member_joined": ("data.member",),
    "nested.request.cancelled": ("data.refund_info",),
}


@pytest.mark.parametrize("name", sorted(METADATA))
def test_metadata_is_sent_in_the_forms_that_carry_it(
    sandbox: Sandbox, api: Caller, receiver: Receiver, name: str
) -> None:
    assert set(METADATA[name]) <= set(shape_of(emit(name, sandbox, api, receiver)))


@pytest.mark.parametrize("form", ["object", "label", "value", "slug"])
@pytest.mark.parametrize(("answer", "was_edited"), [("Dear all", False), ("Dear you", True)])
def test_an_edited_text_says_whether_it_was_edited(
    sandbox: Sandbox, api: Caller, receiver: Receiver, form: str, answer: str, was_edited: bool
) -> None:
    sandbox.configure(callback_form=form)
    request_id = api.request(api.loop(), "editable_text", callback_url=receiver.url)
    sandbox.answer(request_id, answer)
    sandbox.settle()

    (body,) = receiver.bodies()

    assert body["response_data"] == {"revised_text": answer, "was_edited": was_edited}
    assert api.read(request_id)["response_data"] == body["response_data"]
