"""The parts of a running sandbox and their connections."""

from hitl_sandbox.model.ids import digest_id
from hitl_sandbox.model.loop_registry import LoopRegistry
from hitl_sandbox.model.rate_limiter import RateLimiter
from hitl_sandbox.model.request_lifecycle import RequestLifecycle
from hitl_sandbox.model.session_lifecycle import SessionLifecycle
from hitl_sandbox.model.state import SandboxState
from hitl_sandbox.model.workflow_runner import WorkflowRunner
from hitl_sandbox.scheduler import Scheduler
from hitl_sandbox.settings import SandboxSettings
from hitl_sandbox.webhooks.event_publisher import EventPublisher
from hitl_sandbox.webhooks.sender import WebhookSender
from hitl_sandbox.webhooks.webhook_records import EVERYONE, WebhookSubscription


class SandboxParts:
    """The state of a sandbox and the services that its routes call."""

    def __init__(self, settings: SandboxSettings) -> None:
        self.state = SandboxState(settings)
        self.sender = WebhookSender(self.state)
        self.publisher = EventPublisher(self.state, self.sender)
        self.rate_limiter = RateLimiter(self.state)
        self.loops = LoopRegistry(self.state, self.publisher)
        self.lifecycle = RequestLifecycle(self.state, self.publisher)
        self.sessions = SessionLifecycle(self.state, self.loops, self.lifecycle, self.publisher)
        self.workflows = WorkflowRunner(self.state, self.loops, self.lifecycle)
        self.scheduler = Scheduler(self.state, self.sender, self.lifecycle, self.sessions.run_due)
        self.register_webhook()

    def register_webhook(self) -> None:
        """Register the webhook named at start. It receives the events of every account, since any key may call."""
        settings = self.state.settings
        if settings.webhook is None:
            return
        webhook = WebhookSubscription(
            id=digest_id("webhook"),
            user_id=EVERYONE,
            url=settings.webhook,
            events=("*",),
            secret=settings.webhook_secret,
            created_at=self.state.now(),
        )
        self.state.store.put(webhook)

    async def reset(self, seed: int | None) -> None:
        """Delete everything and start again."""
        await self.sender.abandon()
        self.state.reset(seed)
        self.register_webhook()

    async def close(self) -> None:
        self.state.changes.close()
        await self.sender.close()
        self.state.store.close()
