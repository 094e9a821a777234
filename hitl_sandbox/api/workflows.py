"""Workflow triggers, under both of their published addresses."""

from starlette.routing import Route

from hitl_sandbox.api.call import Call, Reply, endpoint


async def trigger(call: Call) -> Reply:
    request = call.parts.workflows.trigger(call.key, call.path("workflow_id"), await call.json())
    links = request.links
    started = {"execution_id": links.execution_id, "workflow_id": links.workflow_id, "status": "running"}
    return Reply(msg="Workflow triggered successfully", data=started)


routes = [
    Route("/workflows/{workflow_id}/trigger", endpoint(trigger), methods=["POST"]),
    Route("/workflows/webhook/{workflow_id}", endpoint(trigger), methods=["POST"]),
]
