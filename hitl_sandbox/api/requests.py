"""Requests: ask, look, amend, cancel."""

from typing import Any

from starlette.routing import Route

from hitl_sandbox.api.access import own_loop, path_request, visible_loop
from hitl_sandbox.api.call import Call, Reply, endpoint
from hitl_sandbox.api.listing import read_listing
from hitl_sandbox.api.resources import request_object, request_summary
from hitl_sandbox.clock import iso
from hitl_sandbox.errors import Refusal
from hitl_sandbox.model.ids import is_object_id
from hitl_sandbox.model.records import Ask, Loop, Request
from hitl_sandbox.model.rules import as_body, read_ask
from hitl_sandbox.webhooks.request_events import refund_info

#: The timeout that the quickstart's first request names; its last example names none.
QUICKSTART_TIMEOUT = 3600
ONLY_CREATORS = "Only loop creators can create requests"


async def create_request(call: Call) -> Reply:
    loop = own_loop(call, call.object_id("loop_id", "loop"), ONLY_CREATORS)
    body = await call.body()
    if "loop_id" in body and not call.settings.strict:
        # The quickstart's later revisions repeat the loop in the body and still leave required fields out.
        return _create_from_quickstart(call, loop, body)
    return _create(call, loop, read_ask(body, strict=call.settings.strict))


def _create(call: Call, loop: Loop, ask: Ask) -> Reply:
    request = call.parts.lifecycle.create(call.key, loop, ask)
    created = {
        "request_id": request.id,
        "status": request.status,
        "processing_type": request.ask.processing_type,
        "type": request.ask.type,
        "priority": request.ask.priority,
        "timeout_at": iso(request.timeout_at),
        "broadcasted_to": len(request.broadcast),
        "notifications_sent": sum(notified.notification_sent for notified in request.broadcast),
        "polling_url": f"/v1/api/requests/{request.id}",
    }
    return Reply(status=201, msg="Request created and broadcasted successfully", data=created)


async def create_request_by_body(call: Call) -> Reply:
    """The quickstart's call: the loop is named in the body, and required fields may be missing."""
    body = await call.body()
    loop_id = body.get("loop_id")
    if loop_id is None:
        raise Refusal(400, "Missing required field: loop_id")
    if not isinstance(loop_id, str) or not is_object_id(loop_id):
        raise Refusal(400, "Invalid loop ID format")
    loop = own_loop(call, loop_id.lower(), ONLY_CREATORS)
    return _create_from_quickstart(call, loop, body)


def _create_from_quickstart(call: Call, loop: Loop, body: dict[str, Any]) -> Reply:
    """Create a request from a quickstart body; the reply holds ``request`` too, as the quickstart reads it.

    Outside strict mode the default response may be none of the options, as in the quickstart itself.
    """
    strict = call.settings.strict
    ask = read_ask(_complete_quickstart(body, strict=strict), strict=strict, any_default=not strict)
    reply = _create(call, loop, ask)
    summary = {"id": reply.data["request_id"], "status": reply.data["status"]}
    return Reply(status=reply.status, msg=reply.msg, data={**reply.data, "request": summary})


def _complete_quickstart(body: dict[str, Any], *, strict: bool) -> dict[str, Any]:
    minutes = body.get("timeout_minutes")
    if isinstance(minutes, int) and not isinstance(minutes, bool) and "timeout_seconds" not in body:
        body = {**body, "timeout_seconds": minutes * 60}
    processing_type = "time-sensitive" if body.get("timeout_seconds") is not None else "deferred"
    completed = {"processing_type": processing_type, "type": "markdown", "platform": "api", **body}
    if not strict and completed["processing_type"] == "time-sensitive":
        completed.setdefault("timeout_seconds", QUICKSTART_TIMEOUT)
    return completed


async def list_loop_requests(call: Call) -> Reply:
    loop = visible_loop(call, call.object_id("loop_id", "loop"))
    found = call.parts.sandbox_state.store.find(Request, owner=call.key.id, parent=loop.id)
    shown = [_shown(call, request) for request in reversed(found)]
    listed = {"loop_id": loop.id, "requests": shown, "count": len(shown)}
    return Reply(msg="Loop requests retrieved successfully", data=listed)


async def list_requests(call: Call) -> Reply:
    listing = read_listing(call.request.query_params, claims=call.settings.claims)
    store = call.parts.sandbox_state.store
    matches = listing.choose(store.find(Request, owner=call.key.id, parent=listing.loop_id))
    facts = {"method": "GET", "path": call.request.url.path, "key_id": call.key.id}
    drift = call.parts.sandbox_state.faults.take("drift", facts) if listing.offset > 0 else None
    page, total = listing.page(matches, drifted=0 if drift is None else drift.rows)
    next_offset = listing.offset + len(page)
    has_more = next_offset < total
    pagination = {"limit": listing.limit, "offset": listing.offset}
    if has_more:
        pagination["next_offset"] = next_offset
    listed = {
        "requests": [request_summary(request, call.settings) for request in page],
        "count": len(page),
        "total": total,
        "has_more": has_more,
        "pagination": pagination,
    }
    return Reply(msg="Requests retrieved successfully", data=listed)


async def get_request(call: Call) -> Reply:
    request = path_request(call)
    return Reply(msg="Request retrieved successfully", data={"request": _shown(call, request)})


async def amend_request(call: Call) -> Reply:
    """Not in the reference; the vendor's own MCP server calls it."""
    if call.settings.strict:
        raise Refusal(405, "Method not allowed")
    request = path_request(call)
    changes = await call.body()
    keeps_default = not changes.keys() & {"default_response", "response_type", "response_config"}
    ask = read_ask({**as_body(request.ask), **changes}, any_default=keeps_default)
    amended = call.parts.lifecycle.amend(request, ask)
    return Reply(msg="Request updated successfully", data={"request": _shown(call, amended)})


async def cancel_request(call: Call) -> Reply:
    """Any body, such as a reason, is taken and ignored."""
    request = call.parts.lifecycle.cancel(path_request(call))
    refund = refund_info(request)
    if refund["refunded"]:
        call.parts.quota.give_back(call.key)
    cancelled: dict[str, Any] = {"request_id": request.id, "status": request.status}
    if call.settings.r1_replies:
        cancelled["cancelled_at"] = iso(request.updated_at)
        cancelled["previous_status"] = request.previous_status
        cancelled["refund_info"] = refund
    return Reply(msg="Request cancelled successfully", data=cancelled)


def _shown(call: Call, request: Request) -> dict[str, Any]:
    return request_object(request, call.settings, call.parts.lifecycle.answered_by(request))


routes = [
    Route("/loops/{loop_id}/requests", endpoint(create_request), methods=["POST"]),
    Route("/loops/{loop_id}/requests", endpoint(list_loop_requests)),
    Route("/requests", endpoint(create_request_by_body), methods=["POST"]),
    Route("/requests", endpoint(list_requests)),
    Route("/requests/{request_id}", endpoint(get_request)),
    Route("/requests/{request_id}", endpoint(amend_request), methods=["PATCH"]),
    Route("/requests/{request_id}", endpoint(cancel_request), methods=["DELETE"]),
    # The older MCP revision's way to cancel.
    Route("/requests/{request_id}/cancel", endpoint(cancel_request), methods=["POST"]),
]
