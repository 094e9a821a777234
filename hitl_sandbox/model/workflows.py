"""Workflow triggers: an execution is a request in the loop that stands for the workflow."""

from typing import Any

import msgspec

from hitl_sandbox.model.loops import Loops
from hitl_sandbox.model.records import Ask, Key, Links, Loop, Request
from hitl_sandbox.model.request_lifecycle import RequestLifecycle
from hitl_sandbox.model.rules import check_url
from hitl_sandbox.model.state import SandboxState


class Workflows:
    def __init__(self, sandbox_state: SandboxState, loops: Loops, lifecycle: RequestLifecycle) -> None:
        self._world = sandbox_state
        self._loops = loops
        self._desk = lifecycle

    def trigger(self, key: Key, workflow_id: str, sent: Any) -> Request:
        """Ask a person to approve or reject what was sent; the end is posted to its ``callback_url``."""
        url = sent.get("callback_url") if isinstance(sent, dict) else None
        if isinstance(url, str):
            check_url(url, "callback_url")
        execution_id = self._world.ids.short("exec")
        ask = _ask(sent, url if isinstance(url, str) else None)
        loop = self._loop(key, workflow_id)
        return self._desk.create(key, loop, ask, Links(execution_id=execution_id, workflow_id=workflow_id))

    def _loop(self, key: Key, workflow_id: str) -> Loop:
        for loop in self._world.store.find(Loop, owner=key.user_id):
            if loop.name == workflow_id[:100]:
                return loop
        return self._loops.create(key, name=workflow_id[:100], icon="cog", description="A workflow's loop")


def _ask(sent: Any, callback_url: str | None) -> Ask:
    shown = msgspec.json.format(msgspec.json.encode(sent), indent=2).decode()
    return Ask(
        processing_type="deferred",
        type="markdown",
        priority="medium",
        request_text=f"```json\n{shown[:1980]}\n```",
        response_type="single_select",
        response_config={"options": ["approve", "reject"]},
        default_response="reject",
        platform="webhook",
        callback_url=callback_url,
    )
