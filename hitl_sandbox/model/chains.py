"""Approval chains: who has to agree, in which order, and what a verdict does."""

from typing import Any, ClassVar, Literal

import msgspec

from hitl_sandbox.clock import iso, iso_or_none
from hitl_sandbox.errors import Refusal
from hitl_sandbox.model.records import Record

DECIDED = {"approve": "approved", "reject": "rejected"}


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    user_id: str
    decision: Literal["approve", "reject"]
    comment: str | None
    decided_at: float


class Step(msgspec.Struct, frozen=True, kw_only=True):
    step_order: int
    approver_ids: tuple[str, ...]
    require_all: bool
    status: Literal["waiting", "pending", "approved", "rejected", "skipped"]
    decisions: tuple[Verdict, ...] = ()


class Chain(Record, frozen=True, kw_only=True):
    kind: ClassVar[str] = "chain"

    request_id: str
    org_id: str
    mode: Literal["sequential", "parallel"]
    steps: tuple[Step, ...]
    created_at: float
    status: Literal["pending", "approved", "rejected", "skipped"] = "pending"
    resolved_at: float | None = None

    def parent(self) -> str:
        return self.request_id


def read_steps(body: dict[str, Any], mode: str) -> tuple[Step, ...]:
    raw = body.get("steps")
    if not isinstance(raw, list) or not raw:
        raise Refusal(400, "At least one approval step is required")
    steps = sorted((_read_step(item) for item in raw), key=lambda step: step.step_order)
    if len({step.step_order for step in steps}) != len(steps):
        raise Refusal(400, "Invalid request body")
    started = steps if mode == "parallel" else steps[:1]
    return tuple(msgspec.structs.replace(step, status="pending") if step in started else step for step in steps)


def _read_step(raw: Any) -> Step:
    try:
        step = msgspec.convert({"require_all": False, **raw, "status": "waiting"}, Step)
    except (msgspec.ValidationError, TypeError):
        raise Refusal(400, "Invalid request body") from None
    if not step.approver_ids:
        raise Refusal(400, "Invalid request body")
    return step


def decide(
    chain: Chain,
    *,
    order: int,
    user_id: str,
    decision: Literal["approve", "reject"],
    comment: str | None,
    now: float,
) -> Chain:
    """The chain with one more verdict; raises the documented refusals."""
    step = next((step for step in chain.steps if step.step_order == order), None)
    if step is None:
        raise Refusal(404, "Approval step not found")
    if user_id not in step.approver_ids:
        raise Refusal(403, "You are not an approver for this step")
    if any(verdict.user_id == user_id for verdict in step.decisions):
        raise Refusal(409, "You have already submitted a decision")
    if chain.status != "pending":
        raise Refusal(400, "Approval chain is no longer pending")
    if step.status != "pending":
        raise Refusal(400, "Approval step is no longer pending")
    verdict = Verdict(user_id=user_id, decision=decision, comment=comment, decided_at=now)
    decided = _with_verdict(step, verdict)
    steps = tuple(decided if other is step else other for other in chain.steps)
    return _moved_on(msgspec.structs.replace(chain, steps=steps), decided, now)


def _with_verdict(step: Step, verdict: Verdict) -> Step:
    decisions = (*step.decisions, verdict)
    waits = step.require_all and len(decisions) < len(set(step.approver_ids))
    if verdict.decision == "approve" and waits:
        return msgspec.structs.replace(step, decisions=decisions)
    status: Literal["approved", "rejected"] = "approved" if verdict.decision == "approve" else "rejected"
    return msgspec.structs.replace(step, decisions=decisions, status=status)


def _moved_on(chain: Chain, decided: Step, now: float) -> Chain:
    """A rejection ends the chain and skips what is left; an approval starts the next step."""
    if decided.status == "rejected":
        left = ("waiting", "pending")
        steps = [_marked(step, "skipped") if step.status in left else step for step in chain.steps]
        return msgspec.structs.replace(chain, steps=tuple(steps), status="rejected", resolved_at=now)
    if all(step.status == "approved" for step in chain.steps):
        return msgspec.structs.replace(chain, status="approved", resolved_at=now)
    if decided.status == "approved" and chain.mode == "sequential":
        following = next(step for step in chain.steps if step.status == "waiting")
        steps = [_marked(step, "pending") if step is following else step for step in chain.steps]
        return msgspec.structs.replace(chain, steps=tuple(steps))
    return chain


def _marked(step: Step, status: Literal["pending", "skipped"]) -> Step:
    return msgspec.structs.replace(step, status=status)


def chain_object(chain: Chain) -> dict[str, Any]:
    shown: dict[str, Any] = msgspec.to_builtins(chain)
    for step in shown["steps"]:
        for verdict in step["decisions"]:
            verdict["decided_at"] = iso(verdict["decided_at"])
    return {**shown, "created_at": iso(chain.created_at), "resolved_at": iso_or_none(chain.resolved_at)}
