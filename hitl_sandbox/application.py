"""The parts of a running sandbox, put together."""

from hitl_sandbox.model.ids import digest_id
from hitl_sandbox.model.loops import Loops
from hitl_sandbox.model.quota import Quota
from hitl_sandbox.model.request_lifecycle import RequestLifecycle
from hitl_sandbox.model.sessions import Sessions
from hitl_sandbox.model.state import SandboxState
from hitl_sandbox.model.workflows import Workflows
from hitl_sandbox.settings import Settings
from hitl_sandbox.timeline import Timeline
from hitl_sandbox.webhooks.announcer import Announcer
from hitl_sandbox.webhooks.records import EVERYONE, Webhook
from hitl_sandbox.webhooks.sender import WebhookSender


class SandboxParts:
    """One sandbox: what its routes are given to work with."""

    def __init__(self, settings: Settings) -> None:
        self.sandbox_state = SandboxState(settings)
        self.webhook_sender = WebhookSender(self.sandbox_state)
        self.announcer = Announcer(self.sandbox_state, self.webhook_sender)
        self.quota = Quota(self.sandbox_state)
        self.loops = Loops(self.sandbox_state, self.announcer)
        self.lifecycle = RequestLifecycle(self.sandbox_state, self.announcer)
        self.sessions = Sessions(self.sandbox_state, self.loops, self.lifecycle, self.announcer)
        self.workflows = Workflows(self.sandbox_state, self.loops, self.lifecycle)
        self.timeline = Timeline(self.sandbox_state, self.webhook_sender, self.lifecycle, self.sessions.come_due)
        self.register_webhook()

    def register_webhook(self) -> None:
        """The webhook named at start hears of every account: there is no telling which key will call."""
        settings = self.sandbox_state.settings
        if settings.webhook is None:
            return
        webhook = Webhook(
            id=digest_id("webhook"),
            user_id=EVERYONE,
            url=settings.webhook,
            events=("*",),
            secret=settings.webhook_secret,
            created_at=self.sandbox_state.now(),
        )
        self.sandbox_state.store.put(webhook)

    async def reset(self, seed: int | None) -> None:
        """Forget everything and begin again."""
        await self.webhook_sender.abandon()
        self.sandbox_state.reset(seed)
        self.register_webhook()

    async def close(self) -> None:
        self.sandbox_state.changes.close()
        await self.webhook_sender.close()
        self.sandbox_state.store.close()
