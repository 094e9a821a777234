"""Workflow triggers, under both of their published addresses."""

from starlette.routing import Route

from hitl_sandbox.api.call import Call, Reply, endpoint
from hitl_sandbox.api.resources import execution_object


async def trigger(call: Call) -> Reply:
    request = call.parts.workflows.trigger(call.key, call.path("workflow_id"), await call.json())
    return Reply(msg="Workflow triggered successfully", data=execution_object(request, call.settings, None))


routes = [
    Route("/workflows/{workflow_id}/trigger", endpoint(trigger), methods=["POST"]),
    Route("/workflows/webhook/{workflow_id}", endpoint(trigger), methods=["POST"]),
]
