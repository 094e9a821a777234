"""Account webhooks. The documents promise these calls and show no reply to them: the replies are ours."""

from typing import Any

import msgspec
from starlette.routing import Route

from hitl_sandbox.api.call import Call, Reply, endpoint
from hitl_sandbox.clock import iso
from hitl_sandbox.errors import Refusal
from hitl_sandbox.model.rules import check_url, invalid
from hitl_sandbox.webhooks.records import Webhook


async def register_webhook(call: Call) -> Reply:
    sandbox_state, body = call.parts.sandbox_state, await call.body()
    webhook = read_webhook(body, webhook_id=sandbox_state.new_id(), user_id=call.key.user_id, now=sandbox_state.now())
    sandbox_state.store.put(webhook)
    return Reply(status=201, msg="Webhook created successfully", data={"webhook": webhook_object(webhook)})


def read_webhook(body: dict[str, Any], *, webhook_id: str, user_id: str, now: float) -> Webhook:
    url = body.get("url")
    if not isinstance(url, str):
        raise invalid("url is required")
    check_url(url, "url")
    events = body.get("events")
    if not isinstance(events, list) or not all(isinstance(pattern, str) for pattern in events) or not events:
        raise invalid("events must be a non-empty array of event patterns")
    secret = body.get("secret")
    if not isinstance(secret, str) or not secret:
        raise invalid("secret is required")
    type_ = body.get("type", "account")
    if type_ not in ("account", "global"):
        raise invalid("type must be one of: account, global")
    loop_id = body.get("loop_id")
    if not isinstance(loop_id, str | None):
        raise invalid("loop_id must be a string")
    return Webhook(
        id=webhook_id,
        user_id=user_id,
        url=url,
        events=tuple(events),
        secret=secret,
        type=type_,
        enabled=body.get("enabled", True) is not False,
        loop_id=loop_id,
        created_at=now,
    )


async def change_webhook(call: Call) -> Reply:
    """Rotation: a new secret signs from the next attempt on."""
    webhook, body = _own_webhook(call), await call.body()
    merged: dict[str, Any] = {
        "url": webhook.url,
        "events": list(webhook.events),
        "secret": webhook.secret,
        "type": webhook.type,
        "enabled": webhook.enabled,
        "loop_id": webhook.loop_id,
    }
    changed = read_webhook(merged | body, webhook_id=webhook.id, user_id=webhook.user_id, now=webhook.created_at)
    call.parts.sandbox_state.store.put(changed)
    return Reply(msg="Webhook updated successfully", data={"webhook": webhook_object(changed)})


async def test_webhook(call: Call) -> Reply:
    """Sends one ``webhook.test``; the format of the vendor's test event is not documented."""
    webhook = _own_webhook(call)
    body = {
        "event": "webhook.test",
        "timestamp": iso(call.parts.sandbox_state.now()),
        "data": {"webhook_id": webhook.id},
    }
    delivery = call.parts.announcer.to_webhook(webhook, "webhook.test", body, variant="test")
    return Reply(msg="Test event sent", data={"webhook_id": webhook.id, "delivery_id": delivery.id})


def _own_webhook(call: Call) -> Webhook:
    webhook = call.parts.sandbox_state.store.get(Webhook, call.object_id("webhook_id", "webhook"))
    if webhook is None or webhook.user_id != call.key.user_id:
        raise Refusal(404, "Webhook not found")
    return webhook


def webhook_object(webhook: Webhook) -> dict[str, Any]:
    """As shown: the secret never is."""
    shown = msgspec.to_builtins(webhook)
    del shown["secret"], shown["user_id"]
    return {**shown, "created_at": iso(webhook.created_at)}


routes = [
    Route("/webhooks", endpoint(register_webhook), methods=["POST"]),
    Route("/webhooks/{webhook_id}", endpoint(change_webhook), methods=["PATCH"]),
    Route("/webhooks/{webhook_id}/test", endpoint(test_webhook), methods=["POST"]),
]
