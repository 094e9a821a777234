"""Webhook bodies: one function for each documented form of a request event."""

from collections.abc import Callable
from typing import Any

from hitl_sandbox.clock import iso, iso_or_none
from hitl_sandbox.webhooks.nested_payloads import nested
from hitl_sandbox.webhooks.request_events import RequestEvent


def callback_v2(event: RequestEvent) -> dict[str, Any]:
    request = event.request
    return {
        "event": event.name,
        "request_id": request.id,
        "loop_id": request.loop_id,
        "status": request.status,
        "response_data": event.response(),
        "response_by": event.person("user_id"),
        "response_at": iso_or_none(request.response_at),
        "response_time_seconds": request.response_time_seconds(),
        "created_at": iso(request.created_at),
    }


def intro_flat(event: RequestEvent) -> dict[str, Any]:
    person = event.person("user_id")
    return {
        "event": event.name,
        "request_id": event.request.id,
        "status": event.request.status,
        "response_data": event.response("label"),
        "response_by": None if person is None else person["email"],
        "completed_at": iso_or_none(event.request.response_at),
    }


def data_flat(event: RequestEvent) -> dict[str, Any]:
    data = {"request_id": event.request.id, "response_data": event.response("label")}
    return {"event": event.name, "data": data}


def global_form(event: RequestEvent) -> dict[str, Any]:
    request = event.request
    data: dict[str, Any] = {"request_id": request.id}
    if event.name == "request.created":
        data |= {
            "loop_id": request.loop_id,
            "content_type": request.spec.type,
            "priority": request.spec.priority,
            "created_at": iso(request.created_at),
        }
    else:
        data |= {
            "decision": _decision(event),
            "reviewer_id": request.response_by,
            "completed_at": iso_or_none(request.response_at),
        }
    return {"event": event.name, "timestamp": iso(event.at), "data": data}


def _decision(event: RequestEvent) -> Any:
    """The answer, or the status of a request that ended without one."""
    return event.response("value") if event.request.status == "completed" else event.request.status


def n8n_doc(event: RequestEvent) -> dict[str, Any]:
    data = {
        "request_id": event.request.id,
        "loop_id": event.request.loop_id,
        "decision": _decision(event),
        "reviewer_id": event.request.response_by,
        "reasoning": "",
        "confidence": 1.0,
    }
    return {"event": event.name, "timestamp": iso(event.at), "data": data}


def make_flat(event: RequestEvent) -> dict[str, Any]:
    return {
        "event": event.name,
        "request_id": event.request.id,
        "loop_id": event.request.loop_id,
        "status": event.request.status,
        "response_data": event.response("slug"),
        "response_by_user": event.person("id"),
        "response_time_seconds": event.request.response_time_seconds(),
        "timestamp": iso(event.at),
    }


def make_workflow(event: RequestEvent) -> dict[str, Any]:
    """The body that a workflow's action node sends; a request outside a workflow gets ids made from its own."""
    return {
        "event": f"execution.{event.request.status}",
        "execution_id": event.request.links.execution_id or f"exec_{event.request.id}",
        "workflow_id": event.request.links.workflow_id or f"wf_{event.request.loop_id}",
        "status": event.request.status,
        "response_data": event.response("value"),
        "response_by_user": event.person("id"),
        "response_time_seconds": event.request.response_time_seconds(),
        "timestamp": iso(event.at),
    }


def handoff(event: RequestEvent) -> dict[str, Any]:
    request = event.request
    request_data = {
        "id": request.id,
        "status": request.status,
        "response_data": event.response("value"),
        "response_by": event.person("user_id"),
        "response_at": iso_or_none(request.response_at),
        "response_time_seconds": request.response_time_seconds(),
    }
    return {
        "event": f"request.{request.status}",
        "request_id": request.id,
        "timestamp": iso(event.at),
        "data": {"request": request_data},
    }


def legacy_r0(event: RequestEvent) -> dict[str, Any]:
    """The review of the withdrawn first API; the loop stands for its template."""
    person = event.person("user_id")
    review = {
        "id": event.request.id,
        "template_id": event.request.loop_id,
        "status": event.request.status,
        "result": _review_result(event),
        "completed_at": iso_or_none(event.request.response_at),
        "reviewer": None if person is None else person["email"],
    }
    name = event.name.replace("request.", "review.", 1)
    return {"event": name, "review": review, "timestamp": iso(event.at)}


def _review_result(event: RequestEvent) -> dict[str, Any] | None:
    """The fields of a review template: ``approved`` for a yes or no, ``content`` for every other answer."""
    if event.request.status != "completed":
        return None
    answer = event.response("value")
    match event.request.spec.response_type:
        case "boolean":
            return {"approved": answer, "feedback": ""}
        case "editable_text":
            return {"content": answer["revised_text"], "feedback": ""}
        case _:
            return {"content": answer, "feedback": ""}


def n8n_resume(event: RequestEvent) -> dict[str, Any]:
    return {
        "request_id": event.request.id,
        "response": event.response("value"),
        "status": event.request.status,
    }


FORMS: dict[str, Callable[[RequestEvent], dict[str, Any]]] = {
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
