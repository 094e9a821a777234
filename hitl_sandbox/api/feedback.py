"""Feedback on completed requests, one for each."""

from typing import Any

import msgspec
from starlette.routing import Route

from hitl_sandbox.api.access import path_request
from hitl_sandbox.api.call import ApiCall, ApiReply, endpoint
from hitl_sandbox.clock import iso
from hitl_sandbox.errors import Refusal
from hitl_sandbox.model.request_spec import invalid

RATINGS = ("rating", "accuracy", "timeliness", "helpfulness")
CATEGORIES = ("positive", "constructive", "issue")


async def add_feedback(call: ApiCall) -> ApiReply:
    request = path_request(call)
    feedback = _read_feedback(await call.body())
    if request.status != "completed":
        raise Refusal(400, "Feedback can only be added to completed requests")
    if request.feedback is not None:
        raise Refusal(400, "Feedback has already been added to this request")
    now = call.parts.state.now()
    call.parts.state.store.put(msgspec.structs.replace(request, feedback=feedback, updated_at=now))
    call.parts.state.changes.notify()
    data: dict[str, Any] = {"request_id": request.id, "feedback": feedback}
    if call.settings.r1_replies:
        data["feedback_id"] = call.parts.state.new_id()
        data["submitted_at"] = iso(now)
        data["reviewer_notified"] = True
    return ApiReply(msg="Feedback added successfully", data=data)


def _read_feedback(body: dict[str, Any]) -> dict[str, Any]:
    feedback = body.get("feedback")
    if not isinstance(feedback, dict):
        raise Refusal(400, "Invalid request body")
    if "would_recommend" in body:
        # A third-party client sends it beside the object.
        feedback = {"would_recommend": body["would_recommend"], **feedback}
    for name in RATINGS:
        _check_rating(feedback.get(name, 1))
    comment = feedback.get("comment", "")
    if not isinstance(comment, str):
        raise invalid("comment must be a string")
    if len(comment) > 1000:
        raise Refusal(400, "Comment exceeds maximum length of 1000 characters")
    if feedback.get("category", CATEGORIES[0]) not in CATEGORIES:
        raise invalid(f"category must be one of: {', '.join(CATEGORIES)}")
    return feedback


def _check_rating(value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= 5:
        raise Refusal(400, "Rating values must be between 1 and 5")


routes = [Route("/requests/{request_id}/feedback", endpoint(add_feedback), methods=["POST"])]
