"""Webhook management, which the documents call a future endpoint: no reply is shown anywhere.

Until HITL.sh has it, register account webhooks in the dashboard, or give each request a ``callback_url``.
"""

from collections.abc import Sequence

from hitlsh.api.errors import ArgumentInvalid
from hitlsh.api.models.optional import Webhook
from hitlsh.api.operations import Operation, Reply, encode, given, segment
from hitlsh.api.questions.limits import length, url


def create(
    address: str,
    *,
    events: Sequence[str],
    secret: str,
    kind: str | None = None,
    enabled: bool | None = None,
    loop_id: str | None = None,
) -> Operation[Webhook]:
    """Register an address for events such as ``request.*``, ``loop.<id>.*`` or ``*`` (future endpoint)."""
    if not url("url", address):
        raise ArgumentInvalid("url", f"{address!r} is not https: the deliveries would travel in clear")
    if isinstance(events, str) or not events:
        raise ArgumentInvalid("events", f"is {events!r}: give a list of patterns, such as ['request.*']")
    length("secret", secret, 1, 1000)
    options = given(type=kind, enabled=enabled, loop_id=loop_id)
    body = encode({"url": address, "events": list(events), "secret": secret} | options)
    return Operation(method="POST", path="/api/webhooks", body=body, read=_webhook)


def rotate_secret(webhook_id: str, secret: str) -> Operation[Webhook]:
    """Sign with another secret from now on (future endpoint); let the receiver accept both for a while."""
    length("secret", secret, 1, 1000)
    body = encode({"secret": secret})
    return Operation(method="PATCH", path=_path(webhook_id), body=body, read=_webhook)


def test(webhook_id: str) -> Operation[Webhook]:
    """Have HITL.sh send a test event (future endpoint)."""
    return Operation(method="POST", path=f"{_path(webhook_id)}/test", read=_webhook)


def _path(webhook_id: str) -> str:
    return f"/api/webhooks/{segment('webhook_id', webhook_id)}"


def _webhook(reply: Reply) -> Webhook:
    return Webhook.from_payload(reply.inner("webhook"))
