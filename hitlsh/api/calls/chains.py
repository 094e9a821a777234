"""Approval chains: several approvers for one request.

Follows https://docs.hitl.sh, "Approval chains" (2026). Later pages have endorsements instead.
"""

from collections.abc import Sequence
from typing import Any, Literal

import msgspec

from hitlsh.api.errors import ArgumentInvalid
from hitlsh.api.models.optional import ApprovalChain
from hitlsh.api.operations import Envelope, Operation, encode_body, path_segment, without_none
from hitlsh.api.questions.limits import check_one_of


class ApprovalStep(msgspec.Struct, frozen=True, kw_only=True):
    """A step of a new chain: one of its approvers must approve, or all."""

    approver_ids: tuple[str, ...]
    require_all: bool = False


def create(
    request_id: str, *, org_id: str, mode: Literal["sequential", "parallel"], steps: Sequence[ApprovalStep]
) -> Operation[ApprovalChain]:
    """Create a chain for a request, with its steps in this order; raises Conflict when there is one."""
    check_one_of("mode", mode, ("sequential", "parallel"))
    if not steps or not all(step.approver_ids for step in steps):
        raise ArgumentInvalid("steps", "must be at least one step, each with at least one approver id")
    body = encode_body({"org_id": org_id, "mode": mode, "steps": [_step(at, step) for at, step in enumerate(steps, 1)]})
    return Operation(method="POST", path=_path(request_id), body=body, read=_chain)


def get(request_id: str) -> Operation[ApprovalChain]:
    """Return the chain of a request; raises NotFound when there is none."""
    return Operation(method="GET", path=_path(request_id), read=_chain)


def decide(
    chain_id: str, *, step_order: int, decision: Literal["approve", "reject"], comment: str | None = None
) -> Operation[ApprovalChain | None]:
    """Decide a step as one of its approvers. Returns the chain; None where HITL.sh does not send it."""
    check_one_of("decision", decision, ("approve", "reject"))
    body = encode_body({"step_order": step_order, "decision": decision} | without_none(comment=comment))
    path = f"/approval-chains/{path_segment('chain_id', chain_id)}/decide"
    return Operation(method="POST", path=path, body=body, read=_chain_if_sent)


def _path(request_id: str) -> str:
    return f"/requests/{path_segment('request_id', request_id)}/approval-chain"


def _step(order: int, step: ApprovalStep) -> dict[str, Any]:
    return {"step_order": order, "approver_ids": list(step.approver_ids), "require_all": step.require_all}


def _chain(reply: Envelope) -> ApprovalChain:
    return ApprovalChain.from_payload(reply.inner("approval_chain"))


def _chain_if_sent(reply: Envelope) -> ApprovalChain | None:
    return _chain(reply) if "id" in reply.inner("approval_chain") else None
