"""Asking people and reading what they said, by both clients over HTTP."""

import json
from typing import Any

import pytest

from hitl_sandbox.testing import Sandbox
from hitlsh.api import (
    BadRequest,
    Forbidden,
    NotFound,
    Option,
    boolean,
    editable_text,
    image,
    multi_select,
    number,
    rating,
    single_select,
    text,
)
from hitlsh.api.operations import Operation

PICK = single_select("Approve", "Reject")


async def ask(api: Any, loop_id: str, words: str = "Refund order 17?", **options: Any) -> str:
    options = {"question": PICK, "default_response": "Reject", "timeout_seconds": 600} | options
    return str((await api.requests.create(loop_id, words, **options)).request_id)


async def collected(items: Any) -> list[Any]:
    return [item async for item in items]


async def test_a_request_is_asked_and_answered(api: Any, loop_id: str, sandbox: Sandbox) -> None:
    created = await api.requests.create(
        loop_id,
        "Refund order 17?",
        PICK,
        default_response="reject",
        timeout_seconds=600,
        context={"order": 17},
    )
    open_one = await api.requests.get(created.request_id)
    sandbox.answer(created.request_id, "Approve")
    request = await api.requests.get(created.request_id)

    assert (created.status, created.processing_type) == ("pending", "time-sensitive")
    assert created.polling_url == f"{sandbox.url}/v1/api/requests/{created.request_id}"
    assert (open_one.outcome, open_one.answer, open_one.default_response) == (None, None, "Reject")
    assert (request.outcome, request.answer.value, request.context) == ("completed", "Approve", {"order": 17})
    assert request.reviewer.email == "kim@example.org"
    assert request.decided_at >= request.created_at


@pytest.mark.parametrize("form", ["label", "value", "slug", "object"])
@pytest.mark.parametrize(
    ("question", "default", "said", "heard"),
    [
        (PICK, "Reject", "Approve", "Approve"),
        (single_select(Option(value="ok", label="All right"), "No"), "No", "ok", "All right"),
        (multi_select("A", "B", min_selections=0), [], [], []),
        (rating(0, 5), 3, 0, 0),
        (number(-5, 5), 1, 0, 0),
        (boolean(), True, False, False),
        (text(), "none", "", ""),
        (editable_text("Dear all"), "", "Dear you", "Dear you"),
    ],
)
async def test_every_response_type_comes_back_in_every_form(
    api: Any, loop_id: str, sandbox: Sandbox, form: str, question: Any, default: Any, said: Any, heard: Any
) -> None:
    sandbox.configure(response_form=form)
    request_id = await ask(api, loop_id, question=question, default_response=default)

    sandbox.answer(request_id, said)
    answer = (await api.requests.get(request_id)).answer

    assert answer is not None
    assert answer.value == heard or answer.matches(str(heard))
    assert type(answer.value) is type(heard)


async def test_a_timeout_is_not_an_answer(api: Any, loop_id: str, sandbox: Sandbox) -> None:
    sandbox.configure(fill_timeout=True)
    request_id = await ask(api, loop_id)

    sandbox.advance(601)
    request = await api.requests.get(request_id)

    assert (request.outcome, request.answer, request.default_response) == ("timeout", None, "Reject")


async def test_a_request_is_taken_back_once(api: Any, loop_id: str) -> None:
    request_id = await ask(api, loop_id)

    cancelled = await api.requests.cancel(request_id, reason="bought back")

    assert (cancelled.request_id, cancelled.status) == (request_id, "cancelled")
    assert (await api.requests.get(request_id)).outcome == "cancelled"
    with pytest.raises(BadRequest, match="cannot be cancelled in current state"):
        await api.requests.cancel(request_id)


async def test_the_long_replies_of_the_older_api_are_read(api: Any, loop_id: str, sandbox: Sandbox) -> None:
    sandbox.configure(r1_replies=True)
    request_id = await ask(api, loop_id)

    cancelled = await api.requests.cancel(request_id)

    assert cancelled.previous_status == "pending"
    assert cancelled.refund_info["refunded"] is True


async def test_a_claimed_request_is_open(api: Any, loop_id: str, sandbox: Sandbox) -> None:
    sandbox.configure(claims=True)
    request_id = await ask(api, loop_id)

    sandbox.claim(request_id)
    request = await api.requests.get(request_id)

    assert (request.status, request.outcome) == ("claimed", None)
    assert request.claimed_by


async def test_a_list_is_walked_page_by_page(api: Any, loop_id: str, sandbox: Sandbox) -> None:
    asked = [await ask(api, loop_id, f"Number {n}?") for n in range(5)]

    found = await collected(api.requests.list(page_size=2, sort="created_at_asc"))

    assert [request.id for request in found] == asked
    assert sum(call["path"] == "/v1/api/requests" for call in sandbox.calls()) == 3


@pytest.mark.parametrize("rows", [1, 2])
async def test_a_list_that_grows_meanwhile_gives_nothing_twice(
    api: Any, loop_id: str, sandbox: Sandbox, rows: int
) -> None:
    asked = {await ask(api, loop_id, f"Number {n}?") for n in range(5)}
    sandbox.fault("drift", rows=rows, times=None)

    found = await collected(api.requests.list(page_size=2))

    assert len(found) == len({request.id for request in found})
    assert {request.id for request in found} <= asked


async def test_a_list_is_filtered(api: Any, loop_id: str, sandbox: Sandbox) -> None:
    answered, high = await ask(api, loop_id), await ask(api, loop_id, priority="high")
    sandbox.answer(answered, "Approve")

    completed = await collected(api.requests.list(status="completed", loop_id=loop_id))
    urgent = await collected(api.requests.list(priority="high"))

    assert [(request.id, request.answer.value) for request in completed] == [(answered, "Approve")]
    assert [request.id for request in urgent] == [high]


async def test_one_page_tells_the_total(api: Any, loop_id: str) -> None:
    for n in range(3):
        await ask(api, loop_id, f"Number {n}?")

    page = await api.requests.page(limit=2)

    assert (page.count, page.total, page.has_more, page.pagination["next_offset"]) == (2, 3, True, 2)


async def test_the_requests_of_a_loop_are_listed_in_full(api: Any, loop_id: str) -> None:
    request_id = await ask(api, loop_id)

    (request,) = await api.requests.list_of_loop(loop_id)

    assert (request.id, request.response_config["options"]) == (request_id, ["Approve", "Reject"])


async def test_a_pending_request_is_changed(api: Any, loop_id: str) -> None:
    request_id = await ask(api, loop_id)

    changed = await api.requests.update(request_id, priority="critical", context={"vip": True})

    assert (changed.id, changed.priority, changed.context) == (request_id, "critical", {"vip": True})


async def test_feedback_is_given_once_it_is_completed(api: Any, loop_id: str, sandbox: Sandbox) -> None:
    request_id = await ask(api, loop_id)
    with pytest.raises(BadRequest, match="Feedback can only be added to completed requests"):
        await api.requests.feedback(request_id, rating=5)
    sandbox.answer(request_id, "Approve")

    given = await api.requests.feedback(request_id, rating=1, would_recommend=False, comment="", tags=["slow"])

    assert given.request_id == request_id
    assert given.feedback == {"rating": 1, "would_recommend": False, "comment": "", "tags": ["slow"]}


async def test_waiting_ends_with_the_answer(api: Any, loop_id: str, sandbox: Sandbox) -> None:
    request_id = await ask(api, loop_id)
    sandbox.answer(request_id, "Approve")

    request = await api.requests.wait(request_id, every=0.01)

    assert request.answer.value == "Approve"


async def test_waiting_ends_without_an_answer_when_the_time_is_up(api: Any, loop_id: str) -> None:
    request_id = await ask(api, loop_id)

    request = await api.requests.wait(request_id, every=0.01, for_up_to=0.02)

    assert (request.id, request.outcome) == (request_id, None)


async def test_content_and_callback_are_sent(api: Any, loop_id: str) -> None:
    request_id = await ask(
        api,
        loop_id,
        content=image("https://x.example/a.png", "https://x.example/b.png"),
        callback_url="http://127.0.0.1:9/callbacks/token",
    )

    request = await api.requests.get(request_id)

    assert (request.type, request.image_url) == ("image", "https://x.example/a.png")
    assert request.callback_url == "http://127.0.0.1:9/callbacks/token"


async def test_a_loop_without_active_members_cannot_be_asked(api: Any, sandbox: Sandbox) -> None:
    created = await api.loops.create("Empty", "lock")
    sandbox.add_member(created.loop.id, created.loop.members[0].email, status="pending")

    with pytest.raises(BadRequest, match="No active members found in the loop"):
        await ask(api, created.loop.id)


async def test_requests_are_seen_only_by_their_key(opened: Any, api: Any, loop_id: str) -> None:
    request_id = await ask(api, loop_id)
    stranger = opened("hitl_test_of_somebody_else")

    with pytest.raises((Forbidden, NotFound)):
        await stranger.requests.get(request_id)
    with pytest.raises(Forbidden):
        await ask(stranger, loop_id)
    assert await collected(stranger.requests.list()) == []


async def test_an_unknown_request_is_not_found(api: Any) -> None:
    with pytest.raises(NotFound, match="Request not found"):
        await api.requests.get("f" * 24)
    with pytest.raises(BadRequest, match="Invalid request ID format"):
        await api.requests.get("seventeen")


WHOLE = {
    "processing_type": "time-sensitive",
    "type": "markdown",
    "priority": "low",
    "request_text": "Go?",
    "timeout_seconds": 60,
    "response_type": "single_select",
    "response_config": {"options": ["A", "B"]},
    "default_response": "A",
    "platform": "api",
}


@pytest.mark.parametrize(
    "changes",
    [
        {"request_text": ""},
        {"request_text": "x" * 2001},
        {"priority": "urgent"},
        {"processing_type": "soon"},
        {"timeout_seconds": None},
        {"type": "image"},
        {"response_config": {}},
        {"response_config": None},
        {"default_response": "C"},
        {"response_type": "essay"},
    ],
)
async def test_what_a_careless_caller_sends_is_a_bad_request(api: Any, loop_id: str, changes: dict[str, Any]) -> None:
    body = json.dumps(WHOLE | changes).encode()
    careless: Operation[None] = Operation(
        method="POST", path=f"/api/loops/{loop_id}/requests", body=body, read=lambda _: None
    )

    with pytest.raises(BadRequest) as refused:
        await api.run(careless)

    assert refused.value.msg
    assert refused.value.status == 400


async def test_a_sequence_like_that_of_the_vendors_n8n_node(api: Any, sandbox: Sandbox) -> None:
    """Test the credentials, choose a loop, ask, poll until a terminal status, read the answer."""
    await api.test()
    made = await api.loops.create("From n8n", "lock")
    sandbox.add_member(made.loop.id, "kim@example.org")
    (chosen,) = await api.loops.list()

    created = await api.requests.create(
        chosen.id, "Post it?", boolean(), default_response=False, timeout_seconds=3600, platform="n8n"
    )
    polled = [(await api.requests.get(created.request_id)).status for _ in range(2)]
    sandbox.answer(created.request_id, True)
    last = await api.requests.get(created.request_id)

    assert polled == ["pending", "pending"]
    assert (last.status, last.answer.value, last.platform) == ("completed", True, "n8n")
