"""The account webhooks' form: the request, its loop and its reviewer as objects."""

from typing import Any

from hitl_sandbox.clock import iso, iso_or_none
from hitl_sandbox.webhooks.request_events import Fact, refund_info


def nested(fact: Fact) -> dict[str, Any]:
    shapes = {"cancelled": _nested_cancelled, "timeout": _nested_timeout}
    inner = shapes.get(fact.request.status, _nested_open)(fact)
    return {"event": fact.event, "timestamp": iso(fact.at), "data": inner}


def _nested_brief(fact: Fact, **more: Any) -> dict[str, Any]:
    request = fact.request
    return {
        "id": request.id,
        "loop_id": request.loop_id,
        "status": request.status,
        "previous_status": request.previous_status,
        **more,
        "created_at": iso(request.created_at),
        "updated_at": iso(request.updated_at),
    }


def _nested_loop(fact: Fact) -> dict[str, Any]:
    return {"id": fact.loop.id, "name": fact.loop.name}


def _nested_cancelled(fact: Fact) -> dict[str, Any]:
    request = _nested_brief(fact, cancelled_at=iso_or_none(fact.request.cancelled_at))
    return {"request": request, "loop": _nested_loop(fact), "refund_info": refund_info(fact.request)}


def _nested_timeout(fact: Fact) -> dict[str, Any]:
    request = _nested_brief(fact, timeout_at=iso(fact.request.timeout_at))
    return {
        "request": {**request, "default_response": fact.request.ask.default_response},
        "loop": _nested_loop(fact),
    }


def _nested_open(fact: Fact) -> dict[str, Any]:
    """Claimed and completed: the request in full and its reviewer."""
    request = fact.request
    described: dict[str, Any] = {
        "id": request.id,
        "loop_id": request.loop_id,
        "processing_type": request.ask.processing_type,
        "type": request.ask.type,
        "priority": request.ask.priority,
        "request_text": request.ask.request_text,
        "response_type": request.ask.response_type,
        "status": request.status,
        **_nested_progress(fact),
        "timeout_at": iso(request.timeout_at),
        "created_at": iso(request.created_at),
        "updated_at": iso(request.updated_at),
    }
    inner: dict[str, Any] = {"request": described, "loop": _nested_loop(fact)}
    if request.status == "completed":
        inner["loop"]["creator_id"] = fact.loop.creator_id
    if fact.reviewer is not None:
        inner["reviewer"] = {"user_id": fact.reviewer.user_id, "email": fact.reviewer.email}
    if request.status == "claimed":
        inner["estimated_completion"] = iso_or_none(request.claim_ends)
    return inner


def _nested_progress(fact: Fact) -> dict[str, Any]:
    request = fact.request
    if request.status == "claimed":
        return {"claimed_by": request.claimed_by, "claimed_at": iso_or_none(request.claimed_at)}
    if request.status != "completed":
        return {}
    return {
        "response_data": fact.response("label"),
        "response_by": request.response_by,
        "response_at": iso_or_none(request.response_at),
        "response_time_seconds": request.response_time_seconds(),
    }
