"""Runs timeouts, expiries of claims, deliveries and idle sessions when they are due."""

import asyncio
from collections.abc import Callable

from hitl_sandbox.model.records import StoredRecord, StoredRequest
from hitl_sandbox.model.request_lifecycle import RequestLifecycle
from hitl_sandbox.model.session_records import StoredSession
from hitl_sandbox.model.state import SandboxState
from hitl_sandbox.webhooks.sender import WebhookSender
from hitl_sandbox.webhooks.webhook_records import WebhookDelivery


class Scheduler:
    """Runs the due records of the store in order; ``advance`` moves the clock from one due time to the next."""

    def __init__(
        self,
        state: SandboxState,
        sender: WebhookSender,
        lifecycle: RequestLifecycle,
        session_due: Callable[[StoredSession], None],
    ) -> None:
        self._state = state
        self._sender = sender
        self._lifecycle = lifecycle
        self._session_due = session_due
        self._lock = asyncio.Lock()

    async def run(self) -> None:
        """Run due records until the sandbox stops."""
        while not self._state.changes.closed:
            last_change = self._state.changes.number
            async with self._lock:
                self._run_due()
            due = self._state.store.next_due()
            wait = None if due is None else self._state.clock.real_seconds_until(due)
            await self._state.changes.wait_after(last_change, wait)

    async def advance(self, seconds: float) -> None:
        """Move the clock forward, and at each due time on the way run what is due and wait for its deliveries."""
        target = self._state.now() + seconds
        async with self._lock:
            await self._sender.idle()
            while (due := self._state.store.next_due()) is not None and due <= target:
                self._state.clock.move_to(due)
                self._run_due()
                await self._sender.idle()
            self._state.clock.move_to(target)
        self._state.changes.notify()

    async def settle(self) -> None:
        """Wait until nothing is due and no delivery is being sent."""
        while True:
            async with self._lock:
                self._run_due()
                await self._sender.idle()
                due = self._state.store.next_due()
            if due is None or due > self._state.now():
                return

    def _run_due(self) -> None:
        for record in self._state.store.due(self._state.now()):
            self._run(record)

    def _run(self, record: StoredRecord) -> None:
        match record:
            case StoredRequest():
                self._lifecycle.run_due(record)
            case WebhookDelivery():
                self._sender.start(record)
            case StoredSession():
                self._session_due(record)
