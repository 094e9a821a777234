"""Workflows: start one. No documented call reads an execution again; its end comes by webhook."""

from typing import Any, Literal

from hitlsh.api.models.optional import Execution
from hitlsh.api.operations import Operation, encode_value, path_segment


def trigger(
    workflow_id: str, payload: Any = None, *, form: Literal["trigger", "webhook"] = "trigger"
) -> Operation[Execution]:
    """Start a workflow with any JSON. ``form="webhook"`` takes the path of the vendor's second n8n node."""
    part = path_segment("workflow_id", workflow_id)
    path = f"/workflows/{part}/trigger" if form == "trigger" else f"/workflows/webhook/{part}"
    return Operation(
        method="POST",
        path=path,
        body=encode_value("payload", {} if payload is None else payload),
        read=lambda reply: Execution.from_payload(reply.data),
    )
