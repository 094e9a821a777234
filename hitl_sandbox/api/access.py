"""Access of a caller to loops and requests."""

from hitl_sandbox.api.call import ApiCall
from hitl_sandbox.errors import Refusal
from hitl_sandbox.model.records import StoredLoop, StoredRequest


def visible_loop(call: ApiCall, loop_id: str) -> StoredLoop:
    """Get a loop that the caller created or is a member of."""
    loop = call.parts.state.store.get(StoredLoop, loop_id)
    if loop is None:
        raise Refusal(404, "Loop not found")
    if all(member.user_id != call.key.user_id for member in loop.members):
        raise Refusal(403, "Access denied to this loop")
    return loop


def own_loop(call: ApiCall, loop_id: str, refusal: str) -> StoredLoop:
    """Get a loop that the caller created; `refusal` is the message for every other member."""
    loop = visible_loop(call, loop_id)
    if loop.creator_id != call.key.user_id:
        raise Refusal(403, refusal)
    return loop


def path_request(call: ApiCall) -> StoredRequest:
    """Get the request of the path."""
    return own_request(call, call.object_id("request_id", "request"))


def own_request(call: ApiCall, request_id: str) -> StoredRequest:
    """Get a request that the caller's key created."""
    request = call.parts.lifecycle.find(request_id)
    if request.api_key_id != call.key.id:
        raise Refusal(403, "Access denied to this request")
    return request
