"""Making things happen when their time comes: timeouts, claims, deliveries, idle sessions."""

import asyncio
from collections.abc import Callable

from hitl_sandbox.model.agents import Session
from hitl_sandbox.model.records import Record, Request
from hitl_sandbox.model.request_lifecycle import RequestLifecycle
from hitl_sandbox.model.state import SandboxState
from hitl_sandbox.webhooks.records import Delivery
from hitl_sandbox.webhooks.sender import WebhookSender


class Timeline:
    """Runs whatever the store says is due, in order; ``advance`` goes through the future step by step."""

    def __init__(
        self,
        sandbox_state: SandboxState,
        webhook_sender: WebhookSender,
        lifecycle: RequestLifecycle,
        session_due: Callable[[Session], None],
    ) -> None:
        self._world = sandbox_state
        self._courier = webhook_sender
        self._desk = lifecycle
        self._session_due = session_due
        self._moving = asyncio.Lock()

    async def run(self) -> None:
        """Until the sandbox stops."""
        while not self._world.changes.closed:
            seen = self._world.changes.number
            async with self._moving:
                self._run_due()
            due = self._world.store.next_due()
            wait = None if due is None else self._world.clock.real_seconds_until(due)
            await self._world.changes.after(seen, wait)

    async def advance(self, seconds: float) -> None:
        """Move the clock forward, stopping at each moment something is due to let it happen in full."""
        target = self._world.now() + seconds
        async with self._moving:
            await self._courier.idle()
            while (due := self._world.store.next_due()) is not None and due <= target:
                self._world.clock.move_to(due)
                self._run_due()
                await self._courier.idle()
            self._world.clock.move_to(target)
        self._world.changes.announce()

    async def settle(self) -> None:
        """Wait until nothing is due now and nothing is on its way."""
        while True:
            async with self._moving:
                self._run_due()
                await self._courier.idle()
                due = self._world.store.next_due()
            if due is None or due > self._world.now():
                return

    def _run_due(self) -> None:
        for record in self._world.store.due(self._world.now()):
            self._happen(record)

    def _happen(self, record: Record) -> None:
        match record:
            case Request():
                self._desk.come_due(record)
            case Delivery():
                self._courier.start(record)
            case Session():
                self._session_due(record)
