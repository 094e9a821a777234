"""Bodies about a request, one function per documented form."""

from collections.abc import Callable
from typing import Any

from hitlsh.samples.context import Json, Scene


def callback(scene: Scene, outcome: str, response_data: Any = None) -> Json:
    answered = outcome == "completed"
    return {
        "event": f"request.{outcome}",
        "request_id": scene.request_id,
        "loop_id": scene.loop["id"],
        "status": outcome,
        "response_data": response_data,
        "response_by": scene.reviewer if answered else None,
        "response_at": scene.now if answered else None,
        "response_time_seconds": 360.0 if answered else None,
        "created_at": scene.asked_at,
    }


def answered_callback(usual: Any) -> Callable[[Scene], Json]:
    return lambda scene: callback(scene, "completed", scene.answer(usual))


def _nested(scene: Scene, status: str, request: Json, **beside: Any) -> Json:
    asked = {"id": scene.request_id, "loop_id": scene.loop["id"], "status": status}
    times = {"created_at": scene.asked_at, "updated_at": scene.now}
    return {
        "event": f"request.{status}",
        "timestamp": scene.now,
        "data": {"request": asked | request | times, "loop": scene.loop, **beside},
    }


def _question(scene: Scene) -> Json:
    return {
        "processing_type": "time-sensitive",
        "type": "markdown",
        "priority": "high",
        "request_text": "Refund order 4117?",
        "response_type": "single_select",
        "timeout_at": scene.due_at,
    }


def nested_completed(scene: Scene) -> Json:
    answer = {
        "response_data": scene.answer("Approve"),
        "response_by": scene.reviewer["user_id"],
        "response_at": scene.now,
        "response_time_seconds": 360.0,
    }
    return _nested(scene, "completed", _question(scene) | answer, reviewer=scene.member)


def nested_claimed(scene: Scene) -> Json:
    claim = {"claimed_by": scene.reviewer["user_id"], "claimed_at": scene.now}
    return _nested(scene, "claimed", _question(scene) | claim, reviewer=scene.member)


def nested_timeout(scene: Scene) -> Json:
    end = {"previous_status": "pending", "timeout_at": scene.now, "default_response": "Reject"}
    return _nested(scene, "timeout", end)


def nested_cancelled(scene: Scene) -> Json:
    refund = {"refunded": True, "reason": "Request cancelled before processing began"}
    end = {"previous_status": "pending", "cancelled_at": scene.now}
    return _nested(scene, "cancelled", end, refund_info=refund)


def intro_flat(scene: Scene) -> Json:
    return {
        "event": "request.completed",
        "request_id": scene.request_id,
        "status": "completed",
        "response_data": scene.answer("Approve"),
        "response_by": scene.reviewer["email"],
        "completed_at": scene.now,
    }


def data_flat(scene: Scene) -> Json:
    answer = {"request_id": scene.request_id, "response_data": scene.answer("Approve")}
    return {"event": "request.completed", "data": answer}


def make_flat(scene: Scene) -> Json:
    return scene.event(
        "request.completed",
        request_id=scene.request_id,
        loop_id=scene.loop["id"],
        status="completed",
        response_data=scene.answer("approve"),
        response_by_user=scene.user,
        response_time_seconds=360.0,
    )


def global_completed(scene: Scene) -> Json:
    decided = {
        "request_id": scene.request_id,
        "decision": scene.answer("approved"),
        "reviewer_id": f"reviewer_{scene.reviewer['user_id']}",
        "completed_at": scene.now,
    }
    return scene.event("request.completed", data=decided)


def global_created(scene: Scene) -> Json:
    created = {
        "request_id": scene.request_id,
        "loop_id": scene.loop["id"],
        "content_type": "text",
        "priority": "normal",
        "created_at": scene.now,
    }
    return scene.event("request.created", data=created)


def n8n_doc(scene: Scene) -> Json:
    decided = {
        "request_id": scene.request_id,
        "loop_id": scene.loop["id"],
        "decision": scene.answer("approved"),
        "reviewer_id": scene.reviewer["user_id"],
        "reasoning": "The parcel came back",
        "confidence": 0.9,
    }
    return scene.event("request.completed", data=decided)


def handoff(scene: Scene) -> Json:
    request = {
        "id": scene.request_id,
        "status": "completed",
        "response_data": scene.answer("approve"),
        "response_by": scene.reviewer,
        "response_at": scene.now,
        "response_time_seconds": 360.0,
    }
    return scene.event("request.completed", request_id=scene.request_id, data={"request": request})


def n8n_resume(scene: Scene) -> Json:
    return {"request_id": scene.request_id, "response": scene.answer("approve"), "status": "completed"}
