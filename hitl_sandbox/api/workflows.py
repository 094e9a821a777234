"""Workflow triggers, under both of their documented paths."""

from starlette.routing import Route

from hitl_sandbox.api.call import ApiCall, ApiReply, endpoint
from hitl_sandbox.api.resources import execution_object


async def trigger(call: ApiCall) -> ApiReply:
    request = call.parts.workflows.trigger(call.key, call.path("workflow_id"), await call.json())
    return ApiReply(msg="Workflow triggered successfully", data=execution_object(request, call.settings, None))


routes = [
    Route("/workflows/{workflow_id}/trigger", endpoint(trigger), methods=["POST"]),
    Route("/workflows/webhook/{workflow_id}", endpoint(trigger), methods=["POST"]),
]
