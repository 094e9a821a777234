"""Control routes under /sandbox, with which a test acts as reviewer, account owner, clock and network."""

from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from hitl_sandbox.api.call import error_response, json_response
from hitl_sandbox.api.resources import execution_object, loop_object, member_object, request_object
from hitl_sandbox.api.webhooks import read_webhook, webhook_object
from hitl_sandbox.application import SandboxParts
from hitl_sandbox.clock import iso
from hitl_sandbox.errors import Refusal
from hitl_sandbox.faults import read_fault
from hitl_sandbox.model.records import StoredLoop, StoredRequest
from hitl_sandbox.origin import check_same_site
from hitl_sandbox.webhooks.webhook_records import EVERYONE, WebhookDelivery, WebhookSubscription

ControlHandler = Callable[[SandboxParts, Request, dict[str, Any]], Awaitable[Any]]


def control(handler: ControlHandler) -> Callable[[Request], Awaitable[Response]]:
    """Make a control route of a handler: JSON in, JSON out, errors in the envelope of the API."""

    async def serve(request: Request) -> Response:
        try:
            check_same_site(request)
            return json_response(await handler(request.app.state.parts, request, await _body(request)))
        except Refusal as refusal:
            return error_response(refusal)

    return serve


async def _body(request: Request) -> dict[str, Any]:
    content = await request.body()
    if not content:
        return {}
    try:
        return msgspec.json.decode(content, type=dict[str, Any])
    except msgspec.MsgspecError as error:
        raise Refusal(400, "Invalid request body", f"{error}; send a JSON object") from None


def _required(body: dict[str, Any], name: str) -> Any:
    if name not in body:
        raise Refusal(400, f"Missing field: {name}", "add it to the JSON body")
    return body[name]


async def answer(parts: SandboxParts, request: Request, body: dict[str, Any]) -> Any:
    stored = parts.lifecycle.answer(request.path_params["id"], _required(body, "response_data"), body.get("reviewer"))
    return _request_object(parts, stored)


async def claim(parts: SandboxParts, request: Request, body: dict[str, Any]) -> Any:
    return _request_object(parts, parts.lifecycle.claim(request.path_params["id"], body.get("reviewer")))


async def release(parts: SandboxParts, request: Request, body: dict[str, Any]) -> Any:
    return _request_object(parts, parts.lifecycle.release(parts.lifecycle.find(request.path_params["id"])))


async def execution(parts: SandboxParts, request: Request, body: dict[str, Any]) -> Any:
    """Get an execution. The vendor documents the object, and no call that returns it."""
    stored = parts.workflows.find(request.path_params["id"])
    return execution_object(stored, parts.state.settings, parts.lifecycle.answered_by(stored))


def _request_object(parts: SandboxParts, stored: StoredRequest) -> dict[str, Any]:
    return request_object(stored, parts.state.settings, parts.lifecycle.answered_by(stored))


async def set_member(parts: SandboxParts, request: Request, body: dict[str, Any]) -> Any:
    email = _required(body, "email")
    if not isinstance(email, str) or not email:
        raise Refusal(400, f"email must be a non-empty string, not {email!r}")
    for name, choices in (("status", ("active", "pending")), ("role", ("admin", "member"))):
        if body.get(name, choices[0]) not in choices:
            raise Refusal(400, f"{name} must be one of: {', '.join(choices)}")
    options = {name: value for name, value in body.items() if name in ("status", "role", "device", "name")}
    member = parts.loops.set_member(request.path_params["id"], email, **options)
    return member_object(member, r1=True)


async def set_key(parts: SandboxParts, request: Request, body: dict[str, Any]) -> Any:
    token, email = _required(body, "key"), _required(body, "email")
    key = parts.state.add_key(token, email, active=body.get("active", True))
    return {"api_key_id": key.id, "user_id": key.user_id, "email": key.email, "active": key.active}


async def advance(parts: SandboxParts, request: Request, body: dict[str, Any]) -> Any:
    seconds = _required(body, "seconds")
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or seconds < 0:
        raise Refusal(400, "seconds must be a number, 0 or greater", "the clock only goes forward")
    await parts.scheduler.advance(seconds)
    return await clock(parts, request, body)


async def clock(parts: SandboxParts, request: Request, body: dict[str, Any]) -> Any:
    now = parts.state.now()
    return {"now": now, "iso": iso(now), "speed": parts.state.clock.speed}


async def settle(parts: SandboxParts, request: Request, body: dict[str, Any]) -> Any:
    await parts.scheduler.settle()
    return await clock(parts, request, body)


async def arm_fault(parts: SandboxParts, request: Request, body: dict[str, Any]) -> Any:
    parts.state.faults.arm(read_fault(body))
    return {"faults": parts.state.faults.armed()}


async def list_faults(parts: SandboxParts, request: Request, body: dict[str, Any]) -> Any:
    return {"faults": parts.state.faults.armed()}


async def clear_faults(parts: SandboxParts, request: Request, body: dict[str, Any]) -> Any:
    parts.state.faults.clear()
    return {"faults": []}


async def add_webhook(parts: SandboxParts, request: Request, body: dict[str, Any]) -> Any:
    """Register a webhook that receives the events of every account, as the one named at start does."""
    state, described = parts.state, {"events": ["*"], **body}
    webhook = read_webhook(described, webhook_id=state.new_id(), user_id=EVERYONE, now=state.now())
    state.store.put(webhook)
    return webhook_object(webhook)


async def send(parts: SandboxParts, request: Request, body: dict[str, Any]) -> Any:
    """Deliver any body: a documented payload that no other route causes, or an invalid one."""
    signature = body.get("signature", "none")
    if signature not in ("none", "sha256", "bare"):
        raise Refusal(400, f"Unknown signature {signature!r}", "use one of none, sha256, bare")
    delivery = parts.publisher.send(
        channel="direct",
        url=_required(body, "url"),
        event=str(body.get("event", "direct")),
        variant="direct",
        body=_required(body, "body"),
        delays=tuple(body.get("delays", (0,))),
        signature=signature,
        secret=body.get("secret", ""),
        content_type=body.get("content_type", "application/json"),
    )
    return delivery_object(delivery)


async def configure(parts: SandboxParts, request: Request, body: dict[str, Any]) -> Any:
    """Change settings; those that are read at start (allow_hosts, db, seed, start, webhook) need a restart."""
    parts.state.settings = parts.state.settings.changed(body)
    parts.state.clock.set_speed(parts.state.settings.speed)
    parts.state.changes.notify()
    return {"changed": sorted(body)}


async def reset(parts: SandboxParts, request: Request, body: dict[str, Any]) -> Any:
    await parts.reset(body.get("seed"))
    return await clock(parts, request, body)


async def calls(parts: SandboxParts, request: Request, body: dict[str, Any]) -> Any:
    log = parts.state.store.calls()
    per_key = Counter(str(call["key_id"]) for call in log if call["key_id"] is not None)
    return {"total": len(log), "per_key": dict(per_key), "calls": log}


async def deliveries(parts: SandboxParts, request: Request, body: dict[str, Any]) -> Any:
    request_id = request.query_params.get("request_id")
    records = parts.state.store.find(WebhookDelivery, parent=request_id)
    return {"deliveries": [delivery_object(delivery) for delivery in records]}


def delivery_object(delivery: WebhookDelivery) -> dict[str, Any]:
    fields: dict[str, Any] = msgspec.to_builtins(delivery)
    del fields["secret"]
    return fields


async def state(parts: SandboxParts, request: Request, body: dict[str, Any]) -> Any:
    """Get all records in one reply."""
    store, settings = parts.state.store, parts.state.settings
    return {
        "clock": await clock(parts, request, body),
        "loops": [loop_object(loop, settings, str(request.base_url)) for loop in store.find(StoredLoop)],
        "requests": [_request_object(parts, stored) for stored in store.find(StoredRequest)],
        "webhooks": [webhook_object(webhook) for webhook in store.find(WebhookSubscription)],
        "faults": parts.state.faults.armed(),
        **await deliveries(parts, request, body),
        "calls": await calls(parts, request, body),
    }


routes = [
    Route("/requests/{id}/answer", control(answer), methods=["POST"]),
    Route("/requests/{id}/claim", control(claim), methods=["POST"]),
    Route("/requests/{id}/release", control(release), methods=["POST"]),
    Route("/executions/{id}", control(execution)),
    Route("/loops/{id}/members", control(set_member), methods=["POST"]),
    Route("/keys", control(set_key), methods=["POST"]),
    Route("/clock", control(clock)),
    Route("/clock/advance", control(advance), methods=["POST"]),
    Route("/settle", control(settle), methods=["POST"]),
    Route("/faults", control(arm_fault), methods=["POST"]),
    Route("/faults", control(list_faults)),
    Route("/faults", control(clear_faults), methods=["DELETE"]),
    Route("/webhooks", control(add_webhook), methods=["POST"]),
    Route("/send", control(send), methods=["POST"]),
    Route("/settings", control(configure), methods=["POST"]),
    Route("/reset", control(reset), methods=["POST"]),
    Route("/calls", control(calls)),
    Route("/deliveries", control(deliveries)),
    Route("/state", control(state)),
]
