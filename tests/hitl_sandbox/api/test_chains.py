from typing import Any

import httpx
import pytest

from tests.hitl_sandbox.caller import NO_ID, Caller, refusal


@pytest.fixture
def me(api: Caller) -> str:
    return user_of(api)


def user_of(caller: Caller) -> str:
    prefix, caller.prefix = caller.prefix, ""
    user_id = caller.get("/test").json()["data"]["user_id"]
    caller.prefix = prefix
    return str(user_id)


def step(order: int, *approvers: str, require_all: bool = False) -> dict[str, Any]:
    return {"step_order": order, "approver_ids": list(approvers), "require_all": require_all}


def begin(api: Caller, loop: str, *steps: dict[str, Any], mode: str = "sequential") -> str:
    body = {"org_id": "org1", "mode": mode, "steps": list(steps)}
    reply = api.post(f"/requests/{api.request(loop)}/approval-chain", body)
    assert (reply.status_code, reply.json()["msg"]) == (201, "Approval chain created successfully")
    return str(reply.json()["data"]["approval_chain"]["id"])


def decide(caller: Caller, chain: str, order: int, decision: str = "approve") -> httpx.Response:
    return caller.post(f"/approval-chains/{chain}/decide", {"step_order": order, "decision": decision})


def statuses(reply: httpx.Response) -> tuple[str, list[str]]:
    assert reply.json()["msg"] == "Decision submitted successfully"
    chain = reply.json()["data"]["approval_chain"]
    return chain["status"], [step["status"] for step in chain["steps"]]


def test_sequential_steps_follow_each_other(api: Caller, loop: str, me: str) -> None:
    chain = begin(api, loop, step(2, me), step(1, me))

    early = refusal(decide(api, chain, 2))
    first = statuses(decide(api, chain, 1))
    second = statuses(decide(api, chain, 2))

    assert early == (400, "Approval step is no longer pending", None)
    assert first == ("pending", ["approved", "pending"])
    assert second == ("approved", ["approved", "approved"])


def test_parallel_steps_are_all_open(api: Caller, loop: str, me: str) -> None:
    chain = begin(api, loop, step(1, me), step(2, me), mode="parallel")

    assert statuses(decide(api, chain, 2)) == ("pending", ["pending", "approved"])
    assert statuses(decide(api, chain, 1)) == ("approved", ["approved", "approved"])


def test_a_rejection_ends_the_chain(api: Caller, loop: str, me: str) -> None:
    chain = begin(api, loop, step(1, me), step(2, me))

    rejected = statuses(decide(api, chain, 1, "reject"))
    after = refusal(decide(api, chain, 2))

    assert rejected == ("rejected", ["rejected", "skipped"])
    assert after == (400, "Approval chain is no longer pending", None)


def test_a_step_can_need_everybody(api: Caller, other_account: Caller, loop: str, me: str) -> None:
    chain = begin(api, loop, step(1, me, user_of(other_account), require_all=True))

    assert statuses(decide(api, chain, 1)) == ("pending", ["pending"])
    assert statuses(decide(other_account, chain, 1)) == ("approved", ["approved"])


def test_nobody_decides_twice_or_uninvited(api: Caller, other_account: Caller, loop: str, me: str) -> None:
    chain = begin(api, loop, step(1, me, NO_ID, require_all=True))
    decide(api, chain, 1)

    assert refusal(decide(api, chain, 1)) == (409, "You have already submitted a decision", None)
    assert refusal(decide(other_account, chain, 1)) == (403, "You are not an approver for this step", None)


def test_a_decision_needs_a_chain_a_step_and_a_word(api: Caller, loop: str, me: str) -> None:
    chain = begin(api, loop, step(1, me))

    assert refusal(decide(api, "x", 1)) == (400, "Invalid chain ID format", None)
    assert refusal(decide(api, NO_ID, 1)) == (404, "Approval chain not found", None)
    assert refusal(decide(api, chain, 9)) == (404, "Approval step not found", None)
    assert refusal(decide(api, chain, 1, "maybe")) == (400, "Decision must be 'approve' or 'reject'", None)
    no_step = api.post(f"/approval-chains/{chain}/decide", {"decision": "approve"})
    assert refusal(no_step) == (400, "Invalid request body", None)


@pytest.mark.parametrize("prefix", ["", "/api"])
def test_a_chain_can_be_read(api: Caller, loop: str, me: str, prefix: str) -> None:
    request_id = api.request(loop)
    body = {"org_id": "org1", "mode": "parallel", "steps": [step(1, me)]}
    api.post(f"/requests/{request_id}/approval-chain", body)
    api.prefix = prefix

    reply = api.get(f"/requests/{request_id}/approval-chain")

    chain = reply.json()["data"]["approval_chain"]
    assert reply.json()["msg"] == "Approval chain retrieved successfully"
    assert (chain["request_id"], chain["mode"], chain["resolved_at"]) == (request_id, "parallel", None)


@pytest.mark.parametrize(
    ("changes", "msg"),
    [
        ({"steps": []}, "At least one approval step is required"),
        ({"steps": None}, "At least one approval step is required"),
        ({"mode": "random"}, "Invalid request body"),
        ({"org_id": None}, "Invalid request body"),
        ({"steps": ["x"]}, "Invalid request body"),
        ({"steps": [{"step_order": 1}]}, "Invalid request body"),
        ({"steps": [step(1)]}, "Invalid request body"),
        ({"steps": [step(1, "a"), step(1, "b")]}, "Invalid request body"),
    ],
)
def test_a_chain_that_breaks_a_rule_is_refused(api: Caller, loop: str, changes: dict[str, Any], msg: str) -> None:
    body = {"org_id": "org1", "mode": "sequential", "steps": [step(1, NO_ID)]} | changes

    assert refusal(api.post(f"/requests/{api.request(loop)}/approval-chain", body)) == (400, msg, None)


def test_a_request_has_one_chain_at_most(api: Caller, loop: str) -> None:
    path = f"/requests/{api.request(loop)}/approval-chain"
    body = {"org_id": "org1", "mode": "sequential", "steps": [step(1, NO_ID)]}

    missing, _, again = api.get(path), api.post(path, body), api.post(path, body)

    assert refusal(missing) == (404, "Approval chain not found", None)
    assert refusal(again) == (409, "Approval chain already exists for this request", None)
