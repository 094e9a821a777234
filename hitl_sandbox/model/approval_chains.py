"""Approval chains: the people who approve a request, their order, and the effect of each decision."""

from typing import Any, ClassVar, Literal

import msgspec

from hitl_sandbox.clock import iso, iso_or_none
from hitl_sandbox.errors import Refusal
from hitl_sandbox.model.records import StoredRecord

STEP_STATUS = {"approve": "approved", "reject": "rejected"}


class ApproverDecision(msgspec.Struct, frozen=True, kw_only=True):
    user_id: str
    decision: Literal["approve", "reject"]
    comment: str | None
    decided_at: float


class StoredStep(msgspec.Struct, frozen=True, kw_only=True):
    step_order: int
    approver_ids: tuple[str, ...]
    require_all: bool
    status: Literal["waiting", "pending", "approved", "rejected", "skipped"]
    decisions: tuple[ApproverDecision, ...] = ()


class StoredChain(StoredRecord, frozen=True, kw_only=True):
    kind: ClassVar[str] = "chain"

    request_id: str
    org_id: str
    mode: Literal["sequential", "parallel"]
    steps: tuple[StoredStep, ...]
    created_at: float
    status: Literal["pending", "approved", "rejected", "skipped"] = "pending"
    resolved_at: float | None = None

    def parent(self) -> str:
        return self.request_id


def read_steps(body: dict[str, Any], mode: str) -> tuple[StoredStep, ...]:
    raw = body.get("steps")
    if not isinstance(raw, list) or not raw:
        raise Refusal(400, "At least one approval step is required")
    steps = sorted((_read_step(item) for item in raw), key=lambda step: step.step_order)
    if len({step.step_order for step in steps}) != len(steps):
        raise Refusal(400, "Invalid request body")
    first_steps = steps if mode == "parallel" else steps[:1]
    return tuple(msgspec.structs.replace(step, status="pending") if step in first_steps else step for step in steps)


def _read_step(raw: Any) -> StoredStep:
    try:
        step = msgspec.convert({"require_all": False, **raw, "status": "waiting"}, StoredStep)
    except (msgspec.ValidationError, TypeError):
        raise Refusal(400, "Invalid request body") from None
    if not step.approver_ids:
        raise Refusal(400, "Invalid request body")
    return step


def decide(
    chain: StoredChain,
    *,
    order: int,
    user_id: str,
    decision: Literal["approve", "reject"],
    comment: str | None,
    now: float,
) -> StoredChain:
    """Add a decision to a chain; raises ``Refusal`` as documented."""
    step = next((step for step in chain.steps if step.step_order == order), None)
    if step is None:
        raise Refusal(404, "Approval step not found")
    if user_id not in step.approver_ids:
        raise Refusal(403, "You are not an approver for this step")
    if any(approver_decision.user_id == user_id for approver_decision in step.decisions):
        raise Refusal(409, "You have already submitted a decision")
    if chain.status != "pending":
        raise Refusal(400, "Approval chain is no longer pending")
    if step.status != "pending":
        raise Refusal(400, "Approval step is no longer pending")
    approver_decision = ApproverDecision(user_id=user_id, decision=decision, comment=comment, decided_at=now)
    decided = _with_decision(step, approver_decision)
    steps = tuple(decided if other is step else other for other in chain.steps)
    return _advance(msgspec.structs.replace(chain, steps=steps), decided, now)


def _with_decision(step: StoredStep, approver_decision: ApproverDecision) -> StoredStep:
    decisions = (*step.decisions, approver_decision)
    is_waiting = step.require_all and len(decisions) < len(set(step.approver_ids))
    if approver_decision.decision == "approve" and is_waiting:
        return msgspec.structs.replace(step, decisions=decisions)
    status: Literal["approved", "rejected"] = "approved" if approver_decision.decision == "approve" else "rejected"
    return msgspec.structs.replace(step, decisions=decisions, status=status)


def _advance(chain: StoredChain, decided: StoredStep, now: float) -> StoredChain:
    """Reject the chain and skip its open steps after a rejection; start the next step after an approval."""
    if decided.status == "rejected":
        open_statuses = ("waiting", "pending")
        steps = [_with_status(step, "skipped") if step.status in open_statuses else step for step in chain.steps]
        return msgspec.structs.replace(chain, steps=tuple(steps), status="rejected", resolved_at=now)
    if all(step.status == "approved" for step in chain.steps):
        return msgspec.structs.replace(chain, status="approved", resolved_at=now)
    if decided.status == "approved" and chain.mode == "sequential":
        following = next(step for step in chain.steps if step.status == "waiting")
        steps = [_with_status(step, "pending") if step is following else step for step in chain.steps]
        return msgspec.structs.replace(chain, steps=tuple(steps))
    return chain


def _with_status(step: StoredStep, status: Literal["pending", "skipped"]) -> StoredStep:
    return msgspec.structs.replace(step, status=status)


def chain_object(chain: StoredChain) -> dict[str, Any]:
    chain_fields: dict[str, Any] = msgspec.to_builtins(chain)
    for step in chain_fields["steps"]:
        for approver_decision in step["decisions"]:
            approver_decision["decided_at"] = iso(approver_decision["decided_at"])
    return {**chain_fields, "created_at": iso(chain.created_at), "resolved_at": iso_or_none(chain.resolved_at)}
