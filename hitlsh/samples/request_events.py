"""Bodies of events about a request: one function for each documented form."""

from collections.abc import Callable
from typing import Any

from hitlsh.samples.context import Json, SampleContext


def callback(context: SampleContext, outcome: str, response_data: Any = None) -> Json:
    is_answered = outcome == "completed"
    return {
        "event": f"request.{outcome}",
        "request_id": context.request_id,
        "loop_id": context.loop["id"],
        "status": outcome,
        "response_data": response_data,
        "response_by": context.reviewer if is_answered else None,
        "response_at": context.now if is_answered else None,
        "response_time_seconds": 360.0 if is_answered else None,
        "created_at": context.created_at,
    }


def answered_callback(default: Any) -> Callable[[SampleContext], Json]:
    return lambda context: callback(context, "completed", context.answer(default))


def _nested(context: SampleContext, status: str, request: Json, **siblings: Any) -> Json:
    common = {"id": context.request_id, "loop_id": context.loop["id"], "status": status}
    times = {"created_at": context.created_at, "updated_at": context.now}
    return {
        "event": f"request.{status}",
        "timestamp": context.now,
        "data": {"request": common | request | times, "loop": context.loop, **siblings},
    }


def _question(context: SampleContext) -> Json:
    return {
        "processing_type": "time-sensitive",
        "type": "markdown",
        "priority": "high",
        "request_text": "Refund order 4117?",
        "response_type": "single_select",
        "timeout_at": context.timeout_at,
    }


def nested_completed(context: SampleContext) -> Json:
    answer = {
        "response_data": context.answer("Approve"),
        "response_by": context.reviewer["user_id"],
        "response_at": context.now,
        "response_time_seconds": 360.0,
    }
    return _nested(context, "completed", _question(context) | answer, reviewer=context.member)


def nested_claimed(context: SampleContext) -> Json:
    claim = {"claimed_by": context.reviewer["user_id"], "claimed_at": context.now}
    return _nested(context, "claimed", _question(context) | claim, reviewer=context.member)


def nested_timeout(context: SampleContext) -> Json:
    end = {"previous_status": "pending", "timeout_at": context.now, "default_response": "Reject"}
    return _nested(context, "timeout", end)


def nested_cancelled(context: SampleContext) -> Json:
    refund = {"refunded": True, "reason": "Request cancelled before processing began"}
    end = {"previous_status": "pending", "cancelled_at": context.now}
    return _nested(context, "cancelled", end, refund_info=refund)


def intro_flat(context: SampleContext) -> Json:
    return {
        "event": "request.completed",
        "request_id": context.request_id,
        "status": "completed",
        "response_data": context.answer("Approve"),
        "response_by": context.reviewer["email"],
        "completed_at": context.now,
    }


def data_flat(context: SampleContext) -> Json:
    answer = {"request_id": context.request_id, "response_data": context.answer("Approve")}
    return {"event": "request.completed", "data": answer}


def make_flat(context: SampleContext) -> Json:
    return context.event(
        "request.completed",
        request_id=context.request_id,
        loop_id=context.loop["id"],
        status="completed",
        response_data=context.answer("approve"),
        response_by_user=context.user,
        response_time_seconds=360.0,
    )


def global_completed(context: SampleContext) -> Json:
    decided = {
        "request_id": context.request_id,
        "decision": context.answer("approved"),
        "reviewer_id": f"reviewer_{context.reviewer['user_id']}",
        "completed_at": context.now,
    }
    return context.event("request.completed", data=decided)


def global_created(context: SampleContext) -> Json:
    created = {
        "request_id": context.request_id,
        "loop_id": context.loop["id"],
        "content_type": "text",
        "priority": "normal",
        "created_at": context.now,
    }
    return context.event("request.created", data=created)


def n8n_doc(context: SampleContext) -> Json:
    decided = {
        "request_id": context.request_id,
        "loop_id": context.loop["id"],
        "decision": context.answer("approved"),
        "reviewer_id": context.reviewer["user_id"],
        "reasoning": "The parcel came back",
        "confidence": 0.9,
    }
    return context.event("request.completed", data=decided)


def handoff(context: SampleContext) -> Json:
    request = {
        "id": context.request_id,
        "status": "completed",
        "response_data": context.answer("approve"),
        "response_by": context.reviewer,
        "response_at": context.now,
        "response_time_seconds": 360.0,
    }
    return context.event("request.completed", request_id=context.request_id, data={"request": request})


def n8n_resume(context: SampleContext) -> Json:
    return {"request_id": context.request_id, "response": context.answer("approve"), "status": "completed"}
