"""Workflow triggers. An execution is a request in a loop that stands for the workflow."""

from typing import Any

import msgspec

from hitl_sandbox.errors import Refusal
from hitl_sandbox.model.loop_registry import LoopRegistry
from hitl_sandbox.model.records import ApiKey, RequestLinks, RequestSpec, StoredLoop, StoredRequest
from hitl_sandbox.model.request_lifecycle import RequestLifecycle
from hitl_sandbox.model.request_spec import PLATFORMS, check_url, read_timing
from hitl_sandbox.model.state import SandboxState


class WorkflowRunner:
    """Starts executions and finds their requests."""

    def __init__(self, state: SandboxState, loops: LoopRegistry, lifecycle: RequestLifecycle) -> None:
        self._state = state
        self._loops = loops
        self._lifecycle = lifecycle

    def trigger(self, key: ApiKey, workflow_id: str, payload: Any) -> StoredRequest:
        """Ask a person to approve or reject the payload; the outcome is posted to its ``callback_url``."""
        spec = _spec(payload)
        execution_id = self._state.ids.short("exec")
        loop = self._loop(key, workflow_id)
        return self._lifecycle.create(key, loop, spec, RequestLinks(execution_id=execution_id, workflow_id=workflow_id))

    def find(self, execution_id: str) -> StoredRequest:
        """The request of an execution."""
        for request in self._state.store.find(StoredRequest):
            if request.links.execution_id == execution_id:
                return request
        raise Refusal(404, "Execution not found")

    def _loop(self, key: ApiKey, workflow_id: str) -> StoredLoop:
        for loop in self._state.store.find(StoredLoop, owner=key.user_id):
            if loop.name == workflow_id[:100]:
                return loop
        return self._loops.create(key, name=workflow_id[:100], icon="cog", description="A workflow's loop")


def _spec(payload: Any) -> RequestSpec:
    """The approval of a payload. The fields that the vendor's n8n node adds to the payload are those of a request."""
    fields = payload if isinstance(payload, dict) else {}
    processing_type, timeout_seconds = read_timing(fields)
    callback_url, platform_version = fields.get("callback_url"), fields.get("platform_version")
    if isinstance(callback_url, str):
        check_url(callback_url, "callback_url")
    text = msgspec.json.format(msgspec.json.encode(payload), indent=2).decode()
    return RequestSpec(
        processing_type=processing_type,
        timeout_seconds=timeout_seconds,
        type="markdown",
        priority="medium",
        request_text=f"```json\n{text[:1980]}\n```",
        response_type="single_select",
        response_config={"options": ["approve", "reject"]},
        default_response="reject",
        platform=fields["platform"] if fields.get("platform") in PLATFORMS else "webhook",
        platform_version=platform_version if isinstance(platform_version, str) else None,
        callback_url=callback_url if isinstance(callback_url, str) else None,
    )
