"""Account webhooks. The documents announce these calls and show no replies; the replies are the sandbox's own."""

from typing import Any

import msgspec
from starlette.routing import Route

from hitl_sandbox.api.call import ApiCall, ApiReply, endpoint
from hitl_sandbox.clock import iso
from hitl_sandbox.errors import Refusal
from hitl_sandbox.model.request_spec import check_url, invalid
from hitl_sandbox.webhooks.webhook_records import WebhookSubscription


async def register_webhook(call: ApiCall) -> ApiReply:
    state, body = call.parts.state, await call.body()
    webhook = read_webhook(body, webhook_id=state.new_id(), user_id=call.key.user_id, now=state.now())
    state.store.put(webhook)
    return ApiReply(status=201, msg="Webhook created successfully", data={"webhook": webhook_object(webhook)})


def read_webhook(body: dict[str, Any], *, webhook_id: str, user_id: str, now: float) -> WebhookSubscription:
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
    return WebhookSubscription(
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


async def change_webhook(call: ApiCall) -> ApiReply:
    """Change a webhook; a new secret signs from the next attempt on."""
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
    call.parts.state.store.put(changed)
    return ApiReply(msg="Webhook updated successfully", data={"webhook": webhook_object(changed)})


async def test_webhook(call: ApiCall) -> ApiReply:
    """Send one ``webhook.test`` event, whose format is not documented."""
    webhook = _own_webhook(call)
    body = {
        "event": "webhook.test",
        "timestamp": iso(call.parts.state.now()),
        "data": {"webhook_id": webhook.id},
    }
    delivery = call.parts.publisher.to_webhook(webhook, "webhook.test", body, variant="test")
    return ApiReply(msg="Test event sent", data={"webhook_id": webhook.id, "delivery_id": delivery.id})


def _own_webhook(call: ApiCall) -> WebhookSubscription:
    webhook = call.parts.state.store.get(WebhookSubscription, call.object_id("webhook_id", "webhook"))
    if webhook is None or webhook.user_id != call.key.user_id:
        raise Refusal(404, "Webhook not found")
    return webhook


def webhook_object(webhook: WebhookSubscription) -> dict[str, Any]:
    """The webhook without its secret."""
    fields = msgspec.to_builtins(webhook)
    del fields["secret"], fields["user_id"]
    return {**fields, "created_at": iso(webhook.created_at)}


routes = [
    Route("/webhooks", endpoint(register_webhook), methods=["POST"]),
    Route("/webhooks/{webhook_id}", endpoint(change_webhook), methods=["PATCH"]),
    Route("/webhooks/{webhook_id}/test", endpoint(test_webhook), methods=["POST"]),
]
