"""The parts of a running sandbox, put together."""

from hitl_sandbox.model.ids import digest_id
from hitl_sandbox.model.loops import Loops
from hitl_sandbox.model.quota import Quota
from hitl_sandbox.model.request_lifecycle import Desk
from hitl_sandbox.model.sessions import Sessions
from hitl_sandbox.model.state import World
from hitl_sandbox.model.workflows import Workflows
from hitl_sandbox.settings import Settings
from hitl_sandbox.timeline import Timeline
from hitl_sandbox.webhooks.announcer import Announcer
from hitl_sandbox.webhooks.records import EVERYONE, Webhook
from hitl_sandbox.webhooks.sender import Courier


class House:
    """One sandbox: what its routes are given to work with."""

    def __init__(self, settings: Settings) -> None:
        self.world = World(settings)
        self.courier = Courier(self.world)
        self.announcer = Announcer(self.world, self.courier)
        self.quota = Quota(self.world)
        self.loops = Loops(self.world, self.announcer)
        self.desk = Desk(self.world, self.announcer)
        self.sessions = Sessions(self.world, self.loops, self.desk, self.announcer)
        self.workflows = Workflows(self.world, self.loops, self.desk)
        self.timeline = Timeline(self.world, self.courier, self.desk, self.sessions.come_due)
        self.register_webhook()

    def register_webhook(self) -> None:
        """The webhook named at start hears of every account: there is no telling which key will call."""
        settings = self.world.settings
        if settings.webhook is None:
            return
        webhook = Webhook(
            id=digest_id("webhook"),
            user_id=EVERYONE,
            url=settings.webhook,
            events=("*",),
            secret=settings.webhook_secret,
            created_at=self.world.now(),
        )
        self.world.store.put(webhook)

    async def reset(self, seed: int | None) -> None:
        """Forget everything and begin again."""
        await self.courier.abandon()
        self.world.reset(seed)
        self.register_webhook()

    async def close(self) -> None:
        self.world.changes.close()
        await self.courier.close()
        self.world.store.close()
