"""Webhook management, which https://docs.hitl.sh calls a future endpoint. No page shows a reply.

Until HITL.sh offers it, register account webhooks in the dashboard, or give each request a ``callback_url``.
"""

from collections.abc import Sequence

from hitlsh.api.errors import ArgumentInvalid
from hitlsh.api.models.optional import WebhookRegistration
from hitlsh.api.operations import Envelope, Operation, encode_body, path_segment, without_none
from hitlsh.api.questions.limits import check_length, check_url


def create(
    address: str,
    *,
    events: Sequence[str],
    secret: str,
    kind: str | None = None,
    enabled: bool | None = None,
    loop_id: str | None = None,
) -> Operation[WebhookRegistration]:
    """Register an address for events such as ``request.*``, ``loop.<id>.*`` or ``*`` (future endpoint)."""
    if not check_url("url", address):
        raise ArgumentInvalid("url", f"{address!r} is not https: the deliveries would not be encrypted")
    if isinstance(events, str) or not events:
        raise ArgumentInvalid("events", f"is {events!r}: give a list of patterns, such as ['request.*']")
    check_length("secret", secret, 1, 1000)
    options = without_none(type=kind, enabled=enabled, loop_id=loop_id)
    body = encode_body({"url": address, "events": list(events), "secret": secret} | options)
    return Operation(method="POST", path="/api/webhooks", body=body, read=_webhook)


def rotate_secret(webhook_id: str, secret: str) -> Operation[WebhookRegistration]:
    """Replace the secret of a webhook (future endpoint); let the receiver accept both secrets first."""
    check_length("secret", secret, 1, 1000)
    body = encode_body({"secret": secret})
    return Operation(method="PATCH", path=_path(webhook_id), body=body, read=_webhook)


def test(webhook_id: str) -> Operation[WebhookRegistration]:
    """Have HITL.sh send a test event (future endpoint)."""
    return Operation(method="POST", path=f"{_path(webhook_id)}/test", read=_webhook)


def _path(webhook_id: str) -> str:
    return f"/api/webhooks/{path_segment('webhook_id', webhook_id)}"


def _webhook(reply: Envelope) -> WebhookRegistration:
    return WebhookRegistration.from_payload(reply.inner("webhook"))
