"""Uploads, approval chains, sessions and turns, workflows, webhooks: by both clients over HTTP."""

from typing import Any

import pytest

from hitl_sandbox.testing import Sandbox
from hitlsh.api import BadRequest, Conflict, Forbidden, NotFound, boolean
from hitlsh.api.calls.chains import ApprovalStep

NOBODY = "f" * 24


async def test_an_image_and_a_document_are_stored(api: Any) -> None:
    png = await api.uploads.image(b"\x89PNG\r\n\x1a\n" + b"\0" * 16, "cat.png")
    pdf = await api.uploads.document(b"%PDF-1.7\n", "terms.pdf")

    assert png.url
    assert (pdf.file_type, pdf.file_name, pdf.size_bytes) == ("application/pdf", "terms.pdf", 9)


async def chained(api: Any, loop_id: str, sandbox: Sandbox) -> tuple[Any, Any]:
    """A request with a chain of two steps, whose approver is the key's own user, and that chain."""
    me = (await api.test()).user_id
    created = await api.requests.create(loop_id, "Publish?", boolean(), default_response=False)
    steps = [ApprovalStep(approver_ids=(me,)), ApprovalStep(approver_ids=(me, NOBODY), require_all=True)]
    return created, await api.chains.create(created.request_id, org_id="o1", mode="sequential", steps=steps)


async def test_a_chain_is_made_read_and_decided(api: Any, loop_id: str, sandbox: Sandbox) -> None:
    created, chain = await chained(api, loop_id, sandbox)

    await api.chains.decide(chain.id, step_order=1, decision="approve", comment="fine")
    found = await api.chains.get(created.request_id)

    assert (chain.status, chain.mode, len(chain.steps)) == ("pending", "sequential", 2)
    assert found.steps[0].status == "approved"
    assert found.steps[0].decisions[0].comment == "fine"
    assert found.steps[1].require_all


async def test_a_chain_refuses_what_it_cannot_take(opened: Any, api: Any, loop_id: str, sandbox: Sandbox) -> None:
    created, chain = await chained(api, loop_id, sandbox)

    with pytest.raises(Conflict, match="already exists"):
        await api.chains.create(
            created.request_id, org_id="o", mode="parallel", steps=[ApprovalStep(approver_ids=("x",))]
        )
    with pytest.raises(NotFound):
        await api.chains.decide(NOBODY, step_order=1, decision="approve")
    with pytest.raises(NotFound):
        await api.chains.decide(chain.id, step_order=9, decision="approve")
    with pytest.raises(BadRequest, match="Invalid chain ID format"):
        await api.chains.decide("x", step_order=1, decision="approve")
    with pytest.raises(Forbidden):
        await opened("hitl_test_of_somebody_else").chains.decide(chain.id, step_order=1, decision="approve")


async def test_a_request_without_chain_has_none(api: Any, loop_id: str) -> None:
    created = await api.requests.create(loop_id, "Publish?", boolean(), default_response=False)

    with pytest.raises(NotFound, match="Approval chain not found"):
        await api.chains.get(created.request_id)


async def session_of(api: Any, loop_id: str) -> Any:
    return await api.sessions.create(loop_id=loop_id, context={"repo": "shop", "branch": "main"})


async def test_a_session_lives_and_ends(api: Any, loop_id: str) -> None:
    session = await session_of(api, loop_id)

    paused = await api.sessions.pause(session.id)
    resumed = await api.sessions.resume(session.id)
    changed = await api.sessions.update(session.id, context={"repo": "shop", "branch": "next"})
    ended = await api.sessions.complete(session.id)
    again = await api.sessions.complete(session.id)

    assert [found.status for found in (session, paused, resumed, ended, again)] == [
        "active", "paused", "active", "completed", "completed",
    ]  # fmt: skip
    assert changed.context["branch"] == "next"
    assert (await api.sessions.get(session.id)).agent_type == "claude"
    assert [found.id async for found in api.sessions.list(status="completed", page_size=1)] == [session.id]


async def test_an_impossible_move_is_a_conflict(api: Any, loop_id: str) -> None:
    session = await session_of(api, loop_id)

    with pytest.raises(Conflict):
        await api.sessions.resume(session.id)
    await api.sessions.pause(session.id)
    with pytest.raises(Conflict):
        await api.sessions.create_turn(session.id, "git_push")


async def test_a_turn_is_proposed_decided_and_reported(api: Any, loop_id: str) -> None:
    session = await session_of(api, loop_id)
    turn = await api.sessions.create_turn(
        session.id,
        "git_push",
        agent_prompt="Push it",
        proposed_tool="Bash",
        proposed_args={"command": "git push"},
    )

    decided = await api.sessions.decide_turn(session.id, turn.id, "modify", comment="to next")
    waited = await api.sessions.wait_for_turn(session.id, turn.id, timeout=1)
    reported = await api.sessions.report_action(
        session.id, turn.id, success=False, exit_code=0, stdout="", files_modified=["a.py"]
    )

    assert (turn.pending, turn.action_type, turn.proposed_args) == (True, "git_push", {"command": "git push"})
    assert (decided.human_decision, decided.human_comment) == ("modify", "to next")
    assert (waited.id, waited.pending) == (turn.id, False)
    assert reported.files_modified == ("a.py",)
    assert [found.id for found in await api.sessions.turns(session.id)] == [turn.id]
    assert (await api.sessions.get_turn(session.id, turn.id)).action_taken
    with pytest.raises(Conflict):
        await api.sessions.decide_turn(session.id, turn.id, "approve")


@pytest.mark.slow
async def test_waiting_for_a_turn_in_vain_is_no_error(api: Any, loop_id: str) -> None:
    session = await session_of(api, loop_id)
    turn = await api.sessions.create_turn(session.id, "bypass")

    waited = await api.sessions.wait_for_turn(session.id, turn.id, timeout=1)

    assert waited.pending


async def test_a_reviewer_decides_a_turn_through_its_request(api: Any, loop_id: str, sandbox: Sandbox) -> None:
    session = await session_of(api, loop_id)
    turn = await api.sessions.create_turn(session.id, "file_write")

    sandbox.answer(turn.request_id, "approve")

    assert (await api.sessions.get_turn(session.id, turn.id)).human_decision == "approve"


async def test_unknown_sessions_and_turns_are_not_found(api: Any, loop_id: str) -> None:
    session = await session_of(api, loop_id)

    with pytest.raises(NotFound):
        await api.sessions.get(NOBODY)
    with pytest.raises(NotFound):
        await api.sessions.get_turn(session.id, NOBODY)


@pytest.mark.parametrize("form", ["trigger", "webhook"])
async def test_a_workflow_is_started_on_either_path(api: Any, form: str) -> None:
    started = await api.workflows.trigger("wf_1", {"order": 17}, form=form)

    assert started.execution_id


async def test_a_webhook_is_registered_rotated_and_tested(api: Any) -> None:
    webhook = await api.webhooks.create("https://hooks.example.org/x", events=["request.*"], secret="s3cret")
    rotated = await api.webhooks.rotate_secret(webhook.id, "n3w")

    assert webhook.id
    assert webhook.events == ("request.*",)
    assert rotated.id in (webhook.id, None)
    assert "s3cret" not in repr(webhook)
