"""Which loops and requests a caller may touch."""

from hitl_sandbox.api.call import Call
from hitl_sandbox.errors import Refusal
from hitl_sandbox.model.records import Loop, Request


def visible_loop(call: Call, loop_id: str) -> Loop:
    """A loop the caller created or belongs to."""
    loop = call.parts.sandbox_state.store.get(Loop, loop_id)
    if loop is None:
        raise Refusal(404, "Loop not found")
    if all(member.user_id != call.key.user_id for member in loop.members):
        raise Refusal(403, "Access denied to this loop")
    return loop


def own_loop(call: Call, loop_id: str, otherwise: str) -> Loop:
    """A loop the caller created; ``otherwise`` is what a mere member is told."""
    loop = visible_loop(call, loop_id)
    if loop.creator_id != call.key.user_id:
        raise Refusal(403, otherwise)
    return loop


def path_request(call: Call) -> Request:
    """The request of the path; only the key that created it may see it."""
    return own_request(call, call.object_id("request_id", "request"))


def own_request(call: Call, request_id: str) -> Request:
    request = call.parts.lifecycle.find(request_id)
    if request.api_key_id != call.key.id:
        raise Refusal(403, "Access denied to this request")
    return request
