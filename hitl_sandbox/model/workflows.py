"""Workflow triggers: an execution is a request in the loop that stands for the workflow."""

from typing import Any

import msgspec

from hitl_sandbox.errors import Refusal
from hitl_sandbox.model.loops import Loops
from hitl_sandbox.model.records import Ask, Key, Links, Loop, Request
from hitl_sandbox.model.request_lifecycle import RequestLifecycle
from hitl_sandbox.model.rules import PLATFORMS, check_url, read_timing
from hitl_sandbox.model.state import SandboxState


class Workflows:
    def __init__(self, sandbox_state: SandboxState, loops: Loops, lifecycle: RequestLifecycle) -> None:
        self._world = sandbox_state
        self._loops = loops
        self._desk = lifecycle

    def trigger(self, key: Key, workflow_id: str, payload: Any) -> Request:
        """Ask a person to approve or reject the payload; the outcome is posted to its ``callback_url``."""
        ask = _ask(payload)
        execution_id = self._world.ids.short("exec")
        loop = self._loop(key, workflow_id)
        return self._desk.create(key, loop, ask, Links(execution_id=execution_id, workflow_id=workflow_id))

    def find(self, execution_id: str) -> Request:
        """The request of an execution."""
        for request in self._world.store.find(Request):
            if request.links.execution_id == execution_id:
                return request
        raise Refusal(404, "Execution not found")

    def _loop(self, key: Key, workflow_id: str) -> Loop:
        for loop in self._world.store.find(Loop, owner=key.user_id):
            if loop.name == workflow_id[:100]:
                return loop
        return self._loops.create(key, name=workflow_id[:100], icon="cog", description="A workflow's loop")


def _ask(payload: Any) -> Ask:
    """The question about a payload; the fields that the vendor's n8n node adds to it are those of a request."""
    fields = payload if isinstance(payload, dict) else {}
    processing_type, timeout_seconds = read_timing(fields)
    callback_url, platform_version = fields.get("callback_url"), fields.get("platform_version")
    if isinstance(callback_url, str):
        check_url(callback_url, "callback_url")
    shown = msgspec.json.format(msgspec.json.encode(payload), indent=2).decode()
    return Ask(
        processing_type=processing_type,
        timeout_seconds=timeout_seconds,
        type="markdown",
        priority="medium",
        request_text=f"```json\n{shown[:1980]}\n```",
        response_type="single_select",
        response_config={"options": ["approve", "reject"]},
        default_response="reject",
        platform=fields["platform"] if fields.get("platform") in PLATFORMS else "webhook",
        platform_version=platform_version if isinstance(platform_version, str) else None,
        callback_url=callback_url if isinstance(callback_url, str) else None,
    )
