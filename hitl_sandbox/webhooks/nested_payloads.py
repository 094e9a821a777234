"""The form of account webhooks: the request, its loop and its reviewer as objects."""

from typing import Any

from hitl_sandbox.clock import iso, iso_or_none
from hitl_sandbox.webhooks.request_events import RequestEvent, refund_info


def nested(event: RequestEvent) -> dict[str, Any]:
    writers = {"cancelled": _cancelled_data, "timeout": _timeout_data}
    data = writers.get(event.request.status, _full_data)(event)
    return {"event": event.name, "timestamp": iso(event.at), "data": data}


def _short_request(event: RequestEvent, **more: Any) -> dict[str, Any]:
    request = event.request
    return {
        "id": request.id,
        "loop_id": request.loop_id,
        "status": request.status,
        "previous_status": request.previous_status,
        **more,
        "created_at": iso(request.created_at),
        "updated_at": iso(request.updated_at),
    }


def _loop(event: RequestEvent) -> dict[str, Any]:
    return {"id": event.loop.id, "name": event.loop.name}


def _cancelled_data(event: RequestEvent) -> dict[str, Any]:
    request = _short_request(event, cancelled_at=iso_or_none(event.request.cancelled_at))
    return {"request": request, "loop": _loop(event), "refund_info": refund_info(event.request)}


def _timeout_data(event: RequestEvent) -> dict[str, Any]:
    request = _short_request(event, timeout_at=iso(event.request.timeout_at))
    return {
        "request": {**request, "default_response": event.request.spec.default_response},
        "loop": _loop(event),
    }


def _full_data(event: RequestEvent) -> dict[str, Any]:
    """The data of claimed and completed: the full request and its reviewer."""
    request = event.request
    full_request: dict[str, Any] = {
        "id": request.id,
        "loop_id": request.loop_id,
        "processing_type": request.spec.processing_type,
        "type": request.spec.type,
        "priority": request.spec.priority,
        "request_text": request.spec.request_text,
        "response_type": request.spec.response_type,
        "status": request.status,
        **_progress(event),
        "timeout_at": iso(request.timeout_at),
        "created_at": iso(request.created_at),
        "updated_at": iso(request.updated_at),
    }
    data: dict[str, Any] = {"request": full_request, "loop": _loop(event)}
    if request.status == "completed":
        data["loop"]["creator_id"] = event.loop.creator_id
    if event.reviewer is not None:
        data["reviewer"] = {"user_id": event.reviewer.user_id, "email": event.reviewer.email}
    if request.status == "claimed":
        data["estimated_completion"] = iso_or_none(request.claim_ends)
    return data


def _progress(event: RequestEvent) -> dict[str, Any]:
    """The fields that a claim or an answer adds to the request."""
    request = event.request
    if request.status == "claimed":
        return {"claimed_by": request.claimed_by, "claimed_at": iso_or_none(request.claimed_at)}
    if request.status != "completed":
        return {}
    return {
        "response_data": event.response("label"),
        "response_by": request.response_by,
        "response_at": iso_or_none(request.response_at),
        "response_time_seconds": request.response_time_seconds(),
    }
