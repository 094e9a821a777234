"""Webhook bodies, one function per documented form.

A form is given the facts once (``Fact``) and writes them its own way; the names are those of the
contract's list of variants.
"""

from collections.abc import Callable
from typing import Any

from hitl_sandbox.clock import iso, iso_or_none
from hitl_sandbox.webhooks.nested_payloads import nested
from hitl_sandbox.webhooks.request_events import Fact


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
        "response_data": fact.response("slug"),
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
    """The review of the withdrawn first API; the loop stands for its template."""
    person = fact.person("user_id")
    review = {
        "id": fact.request.id,
        "template_id": fact.request.loop_id,
        "status": fact.request.status,
        "result": _review_result(fact),
        "completed_at": iso_or_none(fact.request.response_at),
        "reviewer": None if person is None else person["email"],
    }
    event = fact.event.replace("request.", "review.", 1)
    return {"event": event, "review": review, "timestamp": iso(fact.at)}


def _review_result(fact: Fact) -> dict[str, Any] | None:
    """The fields of a review template: ``approved`` for a yes or no, ``content`` for every other answer."""
    if fact.request.status != "completed":
        return None
    answer = fact.response("value")
    match fact.request.ask.response_type:
        case "boolean":
            return {"approved": answer, "feedback": ""}
        case "editable_text":
            return {"content": answer["revised_text"], "feedback": ""}
        case _:
            return {"content": answer, "feedback": ""}


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
