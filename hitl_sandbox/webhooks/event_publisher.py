"""Turns events into deliveries: to the callback URL of a request, and to the webhooks of its account."""

from fnmatch import fnmatchcase
from typing import Any, Literal

from hitl_sandbox.clock import iso
from hitl_sandbox.json_text import encode_delivery
from hitl_sandbox.model.records import StoredLoop, StoredMember, StoredRequest
from hitl_sandbox.model.state import SandboxState
from hitl_sandbox.webhooks.payloads import FORMS
from hitl_sandbox.webhooks.request_events import RequestEvent
from hitl_sandbox.webhooks.sender import WebhookSender
from hitl_sandbox.webhooks.webhook_records import EVERYONE, WebhookDelivery, WebhookSubscription

TERMINAL = ("request.completed", "request.timeout", "request.cancelled")
#: The account events with a documented payload. The documents name more events, without a payload; none is sent.
ACCOUNT_EVENTS = (*TERMINAL, "request.claimed")
GLOBAL_EVENTS = ("request.created", "request.completed")


def subscribes(patterns: tuple[str, ...], event: str, loop_id: str | None) -> bool:
    """Match an event: ``*``, ``request.*``, ``loop.<id>.*`` (the events of that loop) and ``!system.*`` (never)."""
    loop_prefix = f"loop.{loop_id}."

    def matches(pattern: str) -> bool:
        is_of_loop = pattern.startswith(loop_prefix) and fnmatchcase(event, pattern.removeprefix(loop_prefix))
        return is_of_loop or fnmatchcase(event, pattern)

    if any(matches(pattern[1:]) for pattern in patterns if pattern.startswith("!")):
        return False
    included = [pattern for pattern in patterns if not pattern.startswith("!")]
    return not included or any(matches(pattern) for pattern in included)


class EventPublisher:
    """Writes each event in the form of its receiver, and hands the delivery to the sender."""

    def __init__(self, state: SandboxState, sender: WebhookSender) -> None:
        self._state = state
        self._sender = sender

    def request_event(
        self, name: str, request: StoredRequest, loop: StoredLoop, reviewer: StoredMember | None = None
    ) -> None:
        settings = self._state.settings
        event = RequestEvent(
            name=name,
            at=self._state.now(),
            request=request,
            loop=loop,
            reviewer=reviewer,
            form=settings.callback_form,
            fill_timeout=settings.fill_timeout,
        )
        if request.spec.callback_url is not None and name in TERMINAL:
            self._send_callback(event, request.spec.callback_url)
        for webhook in self._webhooks(loop.creator_id, name, loop.id):
            offered = GLOBAL_EVENTS if webhook.type == "global" else ACCOUNT_EVENTS
            if name in offered:
                form = "global" if webhook.type == "global" else "nested"
                self.to_webhook(webhook, name, FORMS[form](event), variant=form, request_id=request.id)

    def _send_callback(self, event: RequestEvent, url: str) -> None:
        settings = self._state.settings
        variant = "make-workflow" if event.request.links.execution_id else settings.callback_variant
        self.send(
            channel="callback",
            url=url,
            event=event.name,
            variant=variant,
            body=FORMS[variant](event),
            delays=settings.callback_delays,
            request_id=event.request.id,
        )

    def member_joined(self, loop: StoredLoop, member: StoredMember) -> None:
        data = {
            "loop": {
                "id": loop.id,
                "name": loop.name,
                "member_count": len(loop.members),
                "active_count": len(loop.active()),
                "pending_count": len(loop.members) - len(loop.active()),
            },
            "member": {
                "user_id": member.user_id,
                "email": member.email,
                "status": member.status,
                "joined_at": iso(member.joined_at or self._state.now()),
                "role": member.role,
            },
        }
        self._loop_event("loop.member_joined", loop, "account", data)
        joined = {"user_id": member.user_id, "joined_at": iso(member.joined_at or self._state.now())}
        self._loop_event("user.joined", loop, "global", joined)

    def member_invited(self, loop: StoredLoop, member: StoredMember) -> None:
        invited = {
            "user_id": member.user_id,
            "email": member.email,
            "invited_by": loop.creator_id,
            "invited_at": iso(self._state.now()),
        }
        self._loop_event("user.invited", loop, "global", invited)

    def loop_created(self, loop: StoredLoop) -> None:
        created = {
            "loop_id": loop.id,
            "name": loop.name,
            "created_by": loop.creator_id,
            "created_at": iso(loop.created_at),
        }
        self._loop_event("loop.created", loop, "global", created)

    def loop_archived(self, loop: StoredLoop) -> None:
        archived = {
            "loop_id": loop.id,
            "archived_by": loop.creator_id,
            "archived_at": iso(self._state.now()),
        }
        self._loop_event("loop.archived", loop, "global", archived)

    def _loop_event(self, event: str, loop: StoredLoop, webhook_type: str, data: dict[str, Any]) -> None:
        body = {"event": event, "timestamp": iso(self._state.now()), "data": data}
        for webhook in self._webhooks(loop.creator_id, event, loop.id):
            if webhook.type == webhook_type:
                variant = "global" if webhook_type == "global" else "nested"
                self.to_webhook(webhook, event, body, variant=variant)

    def account_event(
        self, user_id: str, event: str, body: dict[str, Any], *, loop_id: str, variant: str, request_id: str
    ) -> None:
        """An event with a body of its own: a resolved turn."""
        for webhook in self._webhooks(user_id, event, loop_id):
            if webhook.type == "account":
                self.to_webhook(webhook, event, body, variant=variant, request_id=request_id, channel="turn")

    def _webhooks(self, user_id: str, event: str, loop_id: str | None) -> list[WebhookSubscription]:
        return [
            webhook
            for webhook in self._state.store.find(WebhookSubscription)
            if webhook.user_id in (user_id, EVERYONE)
            and webhook.enabled
            and (webhook.loop_id is None or webhook.loop_id == loop_id)
            and subscribes(webhook.events, event, loop_id)
        ]

    def to_webhook(
        self,
        webhook: WebhookSubscription,
        event: str,
        body: dict[str, Any],
        *,
        variant: str,
        request_id: str | None = None,
        channel: Literal["account", "turn"] = "account",
    ) -> WebhookDelivery:
        settings = self._state.settings
        return self.send(
            channel=channel,
            url=webhook.url,
            event=event,
            variant=variant,
            body=body,
            delays=settings.turn_delays if channel == "turn" else settings.account_delays,
            request_id=request_id,
            webhook_id=webhook.id,
            signature="bare" if webhook.type == "global" else "sha256",
        )

    def send(
        self,
        *,
        channel: Literal["callback", "account", "turn", "direct"],
        url: str,
        event: str,
        variant: str,
        body: Any,
        delays: tuple[float, ...],
        request_id: str | None = None,
        webhook_id: str | None = None,
        signature: Literal["none", "sha256", "bare"] = "none",
        secret: str = "",
        content_type: str = "application/json",
    ) -> WebhookDelivery:
        """Deliver a body: a string unchanged, anything else as JSON."""
        now = self._state.now()
        delivery = WebhookDelivery(
            id=self._state.new_id(),
            channel=channel,
            url=url,
            event=event,
            variant=variant,
            body=body if isinstance(body, str) else encode_delivery(body),
            created_at=now,
            delays=delays,
            next_at=now + delays[0],
            request_id=request_id,
            webhook_id=webhook_id,
            signature=signature,
            secret=secret,
            content_type=content_type,
        )
        return self._sender.put(delivery)
