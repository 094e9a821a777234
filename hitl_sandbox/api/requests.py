"""Requests: create, list, get, change, cancel."""

from typing import Any

from starlette.routing import Route

from hitl_sandbox.api.access import own_loop, path_request, visible_loop
from hitl_sandbox.api.call import ApiCall, ApiReply, endpoint
from hitl_sandbox.api.listing import read_list_query
from hitl_sandbox.api.resources import request_object, request_summary
from hitl_sandbox.clock import iso
from hitl_sandbox.errors import Refusal
from hitl_sandbox.model.ids import is_object_id
from hitl_sandbox.model.records import RequestSpec, StoredLoop, StoredRequest
from hitl_sandbox.model.request_spec import as_body, read_spec
from hitl_sandbox.webhooks.request_events import refund_info

#: The timeout that the quickstart's first request names; its last example names none.
QUICKSTART_TIMEOUT = 3600
ONLY_CREATORS = "Only loop creators can create requests"


async def create_request(call: ApiCall) -> ApiReply:
    loop = own_loop(call, call.object_id("loop_id", "loop"), ONLY_CREATORS)
    body = await call.body()
    if "loop_id" in body and not call.settings.strict:
        # The quickstart's later revisions repeat the loop in the body and still leave required fields out.
        return _create_from_quickstart(call, loop, body)
    return _create(call, loop, read_spec(body, strict=call.settings.strict))


def _create(call: ApiCall, loop: StoredLoop, spec: RequestSpec) -> ApiReply:
    request = call.parts.lifecycle.create(call.key, loop, spec)
    data = {
        "request_id": request.id,
        "status": request.status,
        "processing_type": request.spec.processing_type,
        "type": request.spec.type,
        "priority": request.spec.priority,
        "timeout_at": iso(request.timeout_at),
        "broadcasted_to": len(request.broadcast),
        "notifications_sent": sum(notified.notification_sent for notified in request.broadcast),
        "polling_url": f"/v1/api/requests/{request.id}",
    }
    return ApiReply(status=201, msg="Request created and broadcasted successfully", data=data)


async def create_request_by_body(call: ApiCall) -> ApiReply:
    """The quickstart's call: the loop is named in the body, and required fields may be missing."""
    body = await call.body()
    loop_id = body.get("loop_id")
    if loop_id is None:
        raise Refusal(400, "Missing required field: loop_id")
    if not isinstance(loop_id, str) or not is_object_id(loop_id):
        raise Refusal(400, "Invalid loop ID format")
    loop = own_loop(call, loop_id.lower(), ONLY_CREATORS)
    return _create_from_quickstart(call, loop, body)


def _create_from_quickstart(call: ApiCall, loop: StoredLoop, body: dict[str, Any]) -> ApiReply:
    """Create a request from a quickstart body; the reply holds ``request`` too, as the quickstart reads it.

    Outside strict mode the default response may be none of the options, as in the quickstart itself.
    """
    strict = call.settings.strict
    spec = read_spec(_complete_quickstart(body, strict=strict), strict=strict, any_default=not strict)
    reply = _create(call, loop, spec)
    summary = {"id": reply.data["request_id"], "status": reply.data["status"]}
    return ApiReply(status=reply.status, msg=reply.msg, data={**reply.data, "request": summary})


def _complete_quickstart(body: dict[str, Any], *, strict: bool) -> dict[str, Any]:
    minutes = body.get("timeout_minutes")
    if isinstance(minutes, int) and not isinstance(minutes, bool) and "timeout_seconds" not in body:
        body = {**body, "timeout_seconds": minutes * 60}
    processing_type = "time-sensitive" if body.get("timeout_seconds") is not None else "deferred"
    completed = {"processing_type": processing_type, "type": "markdown", "platform": "api", **body}
    if not strict and completed["processing_type"] == "time-sensitive":
        completed.setdefault("timeout_seconds", QUICKSTART_TIMEOUT)
    return completed


async def list_loop_requests(call: ApiCall) -> ApiReply:
    loop = visible_loop(call, call.object_id("loop_id", "loop"))
    requests = call.parts.state.store.find(StoredRequest, owner=call.key.id, parent=loop.id)
    objects = [_request_object(call, request) for request in reversed(requests)]
    data = {"loop_id": loop.id, "requests": objects, "count": len(objects)}
    return ApiReply(msg="Loop requests retrieved successfully", data=data)


async def list_requests(call: ApiCall) -> ApiReply:
    query = read_list_query(call.request.query_params, claims=call.settings.claims)
    store = call.parts.state.store
    matches = query.select(store.find(StoredRequest, owner=call.key.id, parent=query.loop_id))
    subject = {"method": "GET", "path": call.request.url.path, "key_id": call.key.id}
    drift = call.parts.state.faults.take("drift", subject) if query.offset > 0 else None
    page, total = query.page(matches, drift=0 if drift is None else drift.rows)
    next_offset = query.offset + len(page)
    has_more = next_offset < total
    pagination = {"limit": query.limit, "offset": query.offset}
    if has_more:
        pagination["next_offset"] = next_offset
    data = {
        "requests": [request_summary(request, call.settings) for request in page],
        "count": len(page),
        "total": total,
        "has_more": has_more,
        "pagination": pagination,
    }
    return ApiReply(msg="Requests retrieved successfully", data=data)


async def get_request(call: ApiCall) -> ApiReply:
    request = path_request(call)
    return ApiReply(msg="Request retrieved successfully", data={"request": _request_object(call, request)})


async def update_request(call: ApiCall) -> ApiReply:
    """Change a pending request: not in the reference, but the vendor's own MCP server calls it."""
    if call.settings.strict:
        raise Refusal(405, "Method not allowed")
    request = path_request(call)
    changes = await call.body()
    keeps_default = not changes.keys() & {"default_response", "response_type", "response_config"}
    spec = read_spec({**as_body(request.spec), **changes}, any_default=keeps_default)
    updated = call.parts.lifecycle.update(request, spec)
    return ApiReply(msg="Request updated successfully", data={"request": _request_object(call, updated)})


async def cancel_request(call: ApiCall) -> ApiReply:
    """Cancel a request; a body, such as a reason, is ignored."""
    request = call.parts.lifecycle.cancel(path_request(call))
    refund = refund_info(request)
    if refund["refunded"]:
        call.parts.rate_limiter.refund(call.key)
    data: dict[str, Any] = {"request_id": request.id, "status": request.status}
    if call.settings.r1_replies:
        data["cancelled_at"] = iso(request.updated_at)
        data["previous_status"] = request.previous_status
        data["refund_info"] = refund
    return ApiReply(msg="Request cancelled successfully", data=data)


def _request_object(call: ApiCall, request: StoredRequest) -> dict[str, Any]:
    return request_object(request, call.settings, call.parts.lifecycle.answered_by(request))


routes = [
    Route("/loops/{loop_id}/requests", endpoint(create_request), methods=["POST"]),
    Route("/loops/{loop_id}/requests", endpoint(list_loop_requests)),
    Route("/requests", endpoint(create_request_by_body), methods=["POST"]),
    Route("/requests", endpoint(list_requests)),
    Route("/requests/{request_id}", endpoint(get_request)),
    Route("/requests/{request_id}", endpoint(update_request), methods=["PATCH"]),
    Route("/requests/{request_id}", endpoint(cancel_request), methods=["DELETE"]),
    # The cancel call of an older revision of the vendor's MCP server.
    Route("/requests/{request_id}/cancel", endpoint(cancel_request), methods=["POST"]),
]
