"""Routes under /sandbox: what no vendor offers, so that a test can play everybody's part."""

from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from hitl_sandbox.api.call import json_response, refused
from hitl_sandbox.api.resources import execution_object, loop_object, member_object, request_object
from hitl_sandbox.api.webhooks import read_webhook, webhook_object
from hitl_sandbox.application import SandboxParts
from hitl_sandbox.clock import iso
from hitl_sandbox.errors import Refusal
from hitl_sandbox.faults import read_fault
from hitl_sandbox.model.records import Loop
from hitl_sandbox.model.records import Request as Asked
from hitl_sandbox.origin import check_same_site
from hitl_sandbox.webhooks.records import EVERYONE, Delivery, Webhook

Control = Callable[[SandboxParts, Request, dict[str, Any]], Awaitable[Any]]


def control(handler: Control) -> Callable[[Request], Awaitable[Response]]:
    """A control route: JSON in, JSON out, refusals in the same envelope as the API's."""

    async def serve(request: Request) -> Response:
        try:
            check_same_site(request)
            return json_response(await handler(request.app.state.parts, request, await _body(request)))
        except Refusal as refusal:
            return refused(refusal)

    return serve


async def _body(request: Request) -> dict[str, Any]:
    content = await request.body()
    if not content:
        return {}
    try:
        return msgspec.json.decode(content, type=dict[str, Any])
    except msgspec.MsgspecError as error:
        raise Refusal(400, "Invalid request body", f"{error}; send a JSON object") from None


def _need(body: dict[str, Any], name: str) -> Any:
    if name not in body:
        raise Refusal(400, f"Missing field: {name}", "add it to the JSON body")
    return body[name]


async def answer(parts: SandboxParts, request: Request, body: dict[str, Any]) -> Any:
    asked = parts.lifecycle.answer(request.path_params["id"], _need(body, "response_data"), body.get("reviewer"))
    return _request(parts, asked)


async def claim(parts: SandboxParts, request: Request, body: dict[str, Any]) -> Any:
    return _request(parts, parts.lifecycle.claim(request.path_params["id"], body.get("reviewer")))


async def release(parts: SandboxParts, request: Request, body: dict[str, Any]) -> Any:
    return _request(parts, parts.lifecycle.release(parts.lifecycle.find(request.path_params["id"])))


async def execution(parts: SandboxParts, request: Request, body: dict[str, Any]) -> Any:
    """An execution as it stands; the vendor documents its object and no call that reads it."""
    asked = parts.workflows.find(request.path_params["id"])
    return execution_object(asked, parts.sandbox_state.settings, parts.lifecycle.answered_by(asked))


def _request(parts: SandboxParts, asked: Asked) -> dict[str, Any]:
    return request_object(asked, parts.sandbox_state.settings, parts.lifecycle.answered_by(asked))


async def set_member(parts: SandboxParts, request: Request, body: dict[str, Any]) -> Any:
    email = _need(body, "email")
    if not isinstance(email, str) or not email:
        raise Refusal(400, f"email must be a non-empty string, not {email!r}")
    for name, choices in (("status", ("active", "pending")), ("role", ("admin", "member"))):
        if body.get(name, choices[0]) not in choices:
            raise Refusal(400, f"{name} must be one of: {', '.join(choices)}")
    options = {name: value for name, value in body.items() if name in ("status", "role", "device", "name")}
    member = parts.loops.set_member(request.path_params["id"], email, **options)
    return member_object(member, r1=True)


async def set_key(parts: SandboxParts, request: Request, body: dict[str, Any]) -> Any:
    token, email = _need(body, "key"), _need(body, "email")
    key = parts.sandbox_state.add_key(token, email, active=body.get("active", True))
    return {"api_key_id": key.id, "user_id": key.user_id, "email": key.email, "active": key.active}


async def advance(parts: SandboxParts, request: Request, body: dict[str, Any]) -> Any:
    seconds = _need(body, "seconds")
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or seconds < 0:
        raise Refusal(400, "seconds must be a number, 0 or greater", "the clock only goes forward")
    await parts.timeline.advance(seconds)
    return await clock(parts, request, body)


async def clock(parts: SandboxParts, request: Request, body: dict[str, Any]) -> Any:
    now = parts.sandbox_state.now()
    return {"now": now, "iso": iso(now), "speed": parts.sandbox_state.clock.speed}


async def settle(parts: SandboxParts, request: Request, body: dict[str, Any]) -> Any:
    await parts.timeline.settle()
    return await clock(parts, request, body)


async def arm_fault(parts: SandboxParts, request: Request, body: dict[str, Any]) -> Any:
    parts.sandbox_state.faults.arm(read_fault(body))
    return {"faults": parts.sandbox_state.faults.armed()}


async def list_faults(parts: SandboxParts, request: Request, body: dict[str, Any]) -> Any:
    return {"faults": parts.sandbox_state.faults.armed()}


async def clear_faults(parts: SandboxParts, request: Request, body: dict[str, Any]) -> Any:
    parts.sandbox_state.faults.clear()
    return {"faults": []}


async def add_webhook(parts: SandboxParts, request: Request, body: dict[str, Any]) -> Any:
    """An account webhook that hears of every account, as the one named at start does."""
    sandbox_state, described = parts.sandbox_state, {"events": ["*"], **body}
    webhook = read_webhook(described, webhook_id=sandbox_state.new_id(), user_id=EVERYONE, now=sandbox_state.now())
    sandbox_state.store.put(webhook)
    return webhook_object(webhook)


async def send(parts: SandboxParts, request: Request, body: dict[str, Any]) -> Any:
    """Deliver any body at all: a documented payload no route causes, or one that is broken."""
    signature = body.get("signature", "none")
    if signature not in ("none", "sha256", "bare"):
        raise Refusal(400, f"Unknown signature {signature!r}", "use one of none, sha256, bare")
    delivery = parts.announcer.send(
        channel="direct",
        url=_need(body, "url"),
        event=str(body.get("event", "direct")),
        variant="direct",
        body=_need(body, "body"),
        delays=tuple(body.get("delays", (0,))),
        signature=signature,
        secret=body.get("secret", ""),
        content_type=body.get("content_type", "application/json"),
    )
    return delivery_object(delivery)


async def configure(parts: SandboxParts, request: Request, body: dict[str, Any]) -> Any:
    """Change settings while running; those read at start (allow_hosts, db, seed, start, webhook) need a restart."""
    parts.sandbox_state.settings = parts.sandbox_state.settings.changed(body)
    parts.sandbox_state.clock.set_speed(parts.sandbox_state.settings.speed)
    parts.sandbox_state.changes.announce()
    return {"changed": sorted(body)}


async def reset(parts: SandboxParts, request: Request, body: dict[str, Any]) -> Any:
    await parts.reset(body.get("seed"))
    return await clock(parts, request, body)


async def calls(parts: SandboxParts, request: Request, body: dict[str, Any]) -> Any:
    made = parts.sandbox_state.store.calls()
    per_key = Counter(str(call["key_id"]) for call in made if call["key_id"] is not None)
    return {"total": len(made), "per_key": dict(per_key), "calls": made}


async def deliveries(parts: SandboxParts, request: Request, body: dict[str, Any]) -> Any:
    wanted = request.query_params.get("request_id")
    found = parts.sandbox_state.store.find(Delivery, parent=wanted)
    return {"deliveries": [delivery_object(delivery) for delivery in found]}


def delivery_object(delivery: Delivery) -> dict[str, Any]:
    shown: dict[str, Any] = msgspec.to_builtins(delivery)
    del shown["secret"]
    return shown


async def state(parts: SandboxParts, request: Request, body: dict[str, Any]) -> Any:
    """Everything, in one reply."""
    store, settings = parts.sandbox_state.store, parts.sandbox_state.settings
    return {
        "clock": await clock(parts, request, body),
        "loops": [loop_object(loop, settings, str(request.base_url)) for loop in store.find(Loop)],
        "requests": [_request(parts, asked) for asked in store.find(Asked)],
        "webhooks": [webhook_object(webhook) for webhook in store.find(Webhook)],
        "faults": parts.sandbox_state.faults.armed(),
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
