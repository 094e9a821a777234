"""Turning what happened into deliveries: to the request's own callback, and to the account's webhooks."""

from fnmatch import fnmatchcase
from typing import Any, Literal

from hitl_sandbox.clock import iso
from hitl_sandbox.json_text import encode_delivery
from hitl_sandbox.model.records import Loop, Member, Request
from hitl_sandbox.model.state import SandboxState
from hitl_sandbox.webhooks.payloads import FORMS
from hitl_sandbox.webhooks.records import EVERYONE, Delivery, Webhook
from hitl_sandbox.webhooks.request_events import Fact
from hitl_sandbox.webhooks.sender import WebhookSender

TERMINAL = ("request.completed", "request.timeout", "request.cancelled")
#: The account events with a documented payload; the others are names only, and nothing is made up for them.
ACCOUNT_EVENTS = (*TERMINAL, "request.claimed")
GLOBAL_EVENTS = ("request.created", "request.completed")


def subscribes(patterns: tuple[str, ...], event: str, loop_id: str | None) -> bool:
    """``*``, ``request.*``, ``loop.<id>.*`` (everything of that loop) and ``!system.*`` (never)."""
    scope = f"loop.{loop_id}."

    def hits(pattern: str) -> bool:
        scoped = pattern.startswith(scope) and fnmatchcase(event, pattern.removeprefix(scope))
        return scoped or fnmatchcase(event, pattern)

    if any(hits(pattern[1:]) for pattern in patterns if pattern.startswith("!")):
        return False
    wanted = [pattern for pattern in patterns if not pattern.startswith("!")]
    return not wanted or any(hits(pattern) for pattern in wanted)


class Announcer:
    """Writes each fact in the form its receiver is owed."""

    def __init__(self, sandbox_state: SandboxState, webhook_sender: WebhookSender) -> None:
        self._world = sandbox_state
        self._courier = webhook_sender

    def request_event(self, event: str, request: Request, loop: Loop, reviewer: Member | None = None) -> None:
        settings = self._world.settings
        fact = Fact(
            event=event,
            at=self._world.now(),
            request=request,
            loop=loop,
            reviewer=reviewer,
            form=settings.callback_form,
            fill_timeout=settings.fill_timeout,
        )
        if request.ask.callback_url is not None and event in TERMINAL:
            self._call_back(fact, request.ask.callback_url)
        for webhook in self._webhooks(loop.creator_id, event, loop.id):
            offered = GLOBAL_EVENTS if webhook.type == "global" else ACCOUNT_EVENTS
            if event in offered:
                form = "global" if webhook.type == "global" else "nested"
                self.to_webhook(webhook, event, FORMS[form](fact), variant=form, request_id=request.id)

    def _call_back(self, fact: Fact, url: str) -> None:
        settings = self._world.settings
        variant = "make-workflow" if fact.request.links.execution_id else settings.callback_variant
        self.send(
            channel="callback",
            url=url,
            event=fact.event,
            variant=variant,
            body=FORMS[variant](fact),
            delays=settings.callback_delays,
            request_id=fact.request.id,
        )

    def member_joined(self, loop: Loop, member: Member) -> None:
        nested = {
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
                "joined_at": iso(member.joined_at or self._world.now()),
                "role": member.role,
            },
        }
        self._loop_event("loop.member_joined", loop, "account", nested)
        joined = {"user_id": member.user_id, "joined_at": iso(member.joined_at or self._world.now())}
        self._loop_event("user.joined", loop, "global", joined)

    def member_invited(self, loop: Loop, member: Member) -> None:
        invited = {
            "user_id": member.user_id,
            "email": member.email,
            "invited_by": loop.creator_id,
            "invited_at": iso(self._world.now()),
        }
        self._loop_event("user.invited", loop, "global", invited)

    def loop_created(self, loop: Loop) -> None:
        created = {
            "loop_id": loop.id,
            "name": loop.name,
            "created_by": loop.creator_id,
            "created_at": iso(loop.created_at),
        }
        self._loop_event("loop.created", loop, "global", created)

    def loop_archived(self, loop: Loop) -> None:
        archived = {
            "loop_id": loop.id,
            "archived_by": loop.creator_id,
            "archived_at": iso(self._world.now()),
        }
        self._loop_event("loop.archived", loop, "global", archived)

    def _loop_event(self, event: str, loop: Loop, kind: str, inner: dict[str, Any]) -> None:
        body = {"event": event, "timestamp": iso(self._world.now()), "data": inner}
        for webhook in self._webhooks(loop.creator_id, event, loop.id):
            if webhook.type == kind:
                variant = "global" if kind == "global" else "nested"
                self.to_webhook(webhook, event, body, variant=variant)

    def account_event(
        self, user_id: str, event: str, body: dict[str, Any], *, loop_id: str, variant: str, request_id: str
    ) -> None:
        """An event whose body is already written: turns."""
        for webhook in self._webhooks(user_id, event, loop_id):
            if webhook.type == "account":
                self.to_webhook(webhook, event, body, variant=variant, request_id=request_id, channel="turn")

    def _webhooks(self, user_id: str, event: str, loop_id: str | None) -> list[Webhook]:
        return [
            webhook
            for webhook in self._world.store.find(Webhook)
            if webhook.user_id in (user_id, EVERYONE)
            and webhook.enabled
            and (webhook.loop_id is None or webhook.loop_id == loop_id)
            and subscribes(webhook.events, event, loop_id)
        ]

    def to_webhook(
        self,
        webhook: Webhook,
        event: str,
        body: dict[str, Any],
        *,
        variant: str,
        request_id: str | None = None,
        channel: Literal["account", "turn"] = "account",
    ) -> Delivery:
        settings = self._world.settings
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
    ) -> Delivery:
        """One delivery of a body: a string goes out as it is, anything else as JSON."""
        now = self._world.now()
        delivery = Delivery(
            id=self._world.new_id(),
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
        return self._courier.put(delivery)
