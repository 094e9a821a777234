"""Workflows (https://docs.hitl.sh, "Make"). No documented call reads an execution; its end is sent by webhook."""

from typing import Any, Literal

from hitlsh.api.models.optional import Execution
from hitlsh.api.operations import Operation, encode_value, path_segment


def trigger(
    workflow_id: str, payload: Any = None, *, form: Literal["trigger", "webhook"] = "trigger"
) -> Operation[Execution]:
    """Start a workflow with any JSON value. ``form="webhook"`` uses the path of HITL.sh's n8n node 2.0."""
    part = path_segment("workflow_id", workflow_id)
    path = f"/workflows/{part}/trigger" if form == "trigger" else f"/workflows/webhook/{part}"
    return Operation(
        method="POST",
        path=path,
        body=encode_value("payload", {} if payload is None else payload),
        read=lambda reply: Execution.from_payload(reply.data),
    )
