"""Webhook bodies, one function per documented form.

A form is given the facts once (``Fact``) and writes them its own way; the names are those of the
contract's list of variants.
"""

from collections.abc import Callable
from typing import Any

import msgspec

from sandbox.answers import write_answer
from sandbox.clock import iso, iso_or_none
from sandbox.records import Loop, Member, Request
from sandbox.settings import ResponseForm


class Fact(msgspec.Struct, frozen=True, kw_only=True):
    """Something that happened to a request."""

    event: str
    at: float
    request: Request
    loop: Loop
    #: Who answered or claimed.
    reviewer: Member | None = None
    #: How the answer is written in the forms that leave it open.
    form: ResponseForm = "object"
    #: Fill response_data with the default when the request timed out.
    fill_timeout: bool = False

    def response(self, form: ResponseForm | None = None) -> Any:
        request = self.request
        if request.status == "timeout" and self.fill_timeout:
            return request.ask.default_response
        if request.status != "completed":
            return None
        return write_answer(request.ask, request.answer, form or self.form)

    def person(self, id_name: str) -> dict[str, Any] | None:
        if self.reviewer is None or self.request.status != "completed":
            return None
        return {id_name: self.reviewer.user_id, "name": self.reviewer.name, "email": self.reviewer.email}


def callback_v2(fact: Fact) -> dict[str, Any]:
    request = fact.request
    return {
        "event": fact.event,
        "request_id": request.id,
        "loop_id": request.loop_id,
        "status": request.status,
        "response_data": fact.response(),
        "response_by": fact.person("user_id"),
        "response_at": iso_or_none(request.response_at),
        "response_time_seconds": request.response_time_seconds(),
        "created_at": iso(request.created_at),
    }


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


def refund_info(request: Request) -> dict[str, Any]:
    if request.previous_status == "claimed":
        return {"refunded": False, "reason": "Request was already being processed by reviewer"}
    return {"refunded": True, "reason": "Request cancelled before processing began"}


def intro_flat(fact: Fact) -> dict[str, Any]:
    person = fact.person("user_id")
    return {
        "event": fact.event,
        "request_id": fact.request.id,
        "status": fact.request.status,
        "response_data": fact.response("label"),
        "response_by": None if person is None else person["email"],
        "completed_at": iso_or_none(fact.request.response_at),
    }


def data_flat(fact: Fact) -> dict[str, Any]:
    inner = {"request_id": fact.request.id, "response_data": fact.response("label")}
    return {"event": fact.event, "data": inner}


def global_form(fact: Fact) -> dict[str, Any]:
    request = fact.request
    inner: dict[str, Any] = {"request_id": request.id}
    if fact.event == "request.created":
        inner |= {
            "loop_id": request.loop_id,
            "content_type": request.ask.type,
            "priority": request.ask.priority,
            "created_at": iso(request.created_at),
        }
    else:
        inner |= {
            "decision": _decision(fact),
            "reviewer_id": request.response_by,
            "completed_at": iso_or_none(request.response_at),
        }
    return {"event": fact.event, "timestamp": iso(fact.at), "data": inner}


def _decision(fact: Fact) -> Any:
    return fact.response("value") if fact.request.status == "completed" else fact.request.status


def n8n_doc(fact: Fact) -> dict[str, Any]:
    inner = {
        "request_id": fact.request.id,
        "loop_id": fact.request.loop_id,
        "decision": _decision(fact),
        "reviewer_id": fact.request.response_by,
        "reasoning": "",
        "confidence": 1.0,
    }
    return {"event": fact.event, "timestamp": iso(fact.at), "data": inner}


def make_flat(fact: Fact) -> dict[str, Any]:
    return {
        "event": fact.event,
        "request_id": fact.request.id,
        "loop_id": fact.request.loop_id,
        "status": fact.request.status,
        "response_data": fact.response("label"),
        "response_by_user": fact.person("id"),
        "response_time_seconds": fact.request.response_time_seconds(),
        "timestamp": iso(fact.at),
    }


def make_workflow(fact: Fact) -> dict[str, Any]:
    """What a workflow's action node sends; a request outside any workflow lends its own ids."""
    return {
        "event": f"execution.{fact.request.status}",
        "execution_id": fact.request.links.execution_id or f"exec_{fact.request.id}",
        "workflow_id": fact.request.links.workflow_id or f"wf_{fact.request.loop_id}",
        "status": fact.request.status,
        "response_data": fact.response("value"),
        "response_by_user": fact.person("id"),
        "response_time_seconds": fact.request.response_time_seconds(),
        "timestamp": iso(fact.at),
    }


def handoff(fact: Fact) -> dict[str, Any]:
    request = fact.request
    inner = {
        "id": request.id,
        "status": request.status,
        "response_data": fact.response("value"),
        "response_by": fact.person("user_id"),
        "response_at": iso_or_none(request.response_at),
        "response_time_seconds": request.response_time_seconds(),
    }
    return {
        "event": f"request.{request.status}",
        "request_id": request.id,
        "timestamp": iso(fact.at),
        "data": {"request": inner},
    }


def legacy_r0(fact: Fact) -> dict[str, Any]:
    review = {"id": fact.request.id, "status": fact.request.status, "decision": _decision(fact)}
    event = fact.event.replace("request.", "review.", 1)
    return {"event": event, "review": review, "timestamp": iso(fact.at)}


def n8n_resume(fact: Fact) -> dict[str, Any]:
    return {
        "request_id": fact.request.id,
        "response": fact.response("value"),
        "status": fact.request.status,
    }


FORMS: dict[str, Callable[[Fact], dict[str, Any]]] = {
    "callback-v2": callback_v2,
    "nested": nested,
    "intro-flat": intro_flat,
    "data-flat": data_flat,
    "global": global_form,
    "n8n-doc": n8n_doc,
    "make-flat": make_flat,
    "make-workflow": make_workflow,
    "handoff": handoff,
    "legacy-r0": legacy_r0,
    "n8n-resume": n8n_resume,
}
