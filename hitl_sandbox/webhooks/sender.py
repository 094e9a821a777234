"""Taking deliveries to their receivers: one POST per attempt, retried on the documented schedule."""

import asyncio
import hashlib
import hmac
import time

import httpx
import msgspec

from hitl_sandbox.faults import Fault
from hitl_sandbox.model.state import SandboxState
from hitl_sandbox.webhooks.records import Attempt, Delivery, Webhook

#: Retried although they are 4xx, by account webhooks only.
RETRIED_4XX = (408, 429)


def sign(secret: str, body: bytes) -> str:
    return hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


def is_worth_retrying(channel: str, status: int) -> bool:
    """Server errors are; a redirect, which is not followed, and most of 4xx are final."""
    return status >= 500 or (channel == "account" and status in RETRIED_4XX)


class WebhookSender:
    """Runs attempts as tasks, so that a slow receiver holds up nobody else."""

    def __init__(self, sandbox_state: SandboxState) -> None:
        self._world = sandbox_state
        self._client = httpx.AsyncClient(
            follow_redirects=False,
            trust_env=False,  # a proxy would not find receivers on this machine
            timeout=None,  # noqa: S113 - each attempt runs under the deadline below
            headers={"User-Agent": "HITL-Sandbox/1"},
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=20),
        )
        self._slots = asyncio.Semaphore(64)
        self._running: dict[str, asyncio.Task[None]] = {}
        self._held: list[str] = []

    def put(self, delivery: Delivery) -> Delivery:
        """Keep a delivery; the timeline starts it when it is due. Here the delivery faults strike."""
        facts = _facts(delivery)
        faults = self._world.faults
        if faults.take("drop", facts) is not None:
            dropped = msgspec.structs.replace(delivery, state="dropped", next_at=None)
            return self._keep(dropped)
        if (delay := faults.take("delay", facts)) is not None:
            delivery = msgspec.structs.replace(delivery, next_at=delivery.created_at + delay.seconds)
        if (reorder := faults.take("reorder", facts)) is not None:
            # Goes after the next delivery, or by itself when no other comes.
            delivery = msgspec.structs.replace(delivery, next_at=delivery.created_at + reorder.seconds)
            self._held.append(delivery.id)
        if (duplicate := faults.take("duplicate", facts)) is not None:
            for _ in range(duplicate.copies):
                self._keep(msgspec.structs.replace(delivery, id=self._world.new_id()))
        return self._keep(delivery)

    def _keep(self, delivery: Delivery) -> Delivery:
        self._world.store.put(delivery)
        self._world.changes.announce()
        return delivery

    def start(self, delivery: Delivery) -> None:
        """Begin the next attempt; it is recorded when it ends."""
        sending = self._keep(msgspec.structs.replace(delivery, state="sending", next_at=None))
        task = asyncio.create_task(self._attempt(sending))
        self._running[delivery.id] = task
        task.add_done_callback(lambda _: self._running.pop(delivery.id, None))

    def resume(self) -> None:
        """Take up what a sandbox that was stopped had in flight."""
        for delivery in self._world.store.find(Delivery):
            if delivery.state == "sending":
                self._keep(msgspec.structs.replace(delivery, state="waiting", next_at=self._world.now()))

    async def idle(self) -> None:
        """Wait until no attempt is running."""
        while self._running:
            await asyncio.gather(*self._running.values(), return_exceptions=True)

    async def abandon(self) -> None:
        """Break off every attempt: a reset or the end."""
        for task in list(self._running.values()):
            task.cancel()
        await self.idle()
        self._held.clear()

    async def close(self) -> None:
        await self.abandon()
        await self._client.aclose()

    async def _attempt(self, delivery: Delivery) -> None:
        began, at = time.monotonic(), self._world.now()
        corrupted = self._corruption(delivery)
        status, error = await self._post(delivery, corrupted=corrupted is not None)
        attempt = Attempt(
            at=at,
            status=status,
            error=error,
            seconds=round(time.monotonic() - began, 4),
            fault=None if corrupted is None else corrupted.kind,
        )
        self._keep(self._after(delivery, attempt))
        self._release_held(delivery)

    def _corruption(self, delivery: Delivery) -> Fault | None:
        """What is not signed cannot be signed wrongly, and uses no fault up."""
        if delivery.signature == "none":
            return None
        return self._world.faults.take("corrupt_signature", _facts(delivery))

    async def _post(self, delivery: Delivery, *, corrupted: bool) -> tuple[int | None, str | None]:
        body = delivery.body.encode()
        deadline = self._world.settings.deadline
        try:
            async with self._slots, asyncio.timeout(deadline):
                headers = self._headers(delivery, body, corrupted=corrupted)
                reply = await self._client.post(delivery.url, content=body, headers=headers)
        except TimeoutError:
            return None, f"no answer within {deadline:g} s"
        except (httpx.HTTPError, httpx.InvalidURL, UnicodeError, OSError) as error:
            return None, f"{type(error).__name__}: {error}".rstrip(": ")
        return reply.status_code, None

    def _headers(self, delivery: Delivery, body: bytes, *, corrupted: bool) -> dict[str, str]:
        headers = {"Content-Type": delivery.content_type, "X-Sandbox-Delivery": delivery.id}
        if delivery.signature == "none":
            return headers
        digest = sign(self._secret(delivery), body)
        if corrupted:
            digest = digest[::-1]
        if delivery.signature == "sha256":
            return headers | {"X-HITL-Signature-256": f"sha256={digest}"}
        return headers | {"X-HITL-Signature": digest}

    def _secret(self, delivery: Delivery) -> str:
        """A webhook's secret of this moment: it may have been rotated since the first attempt."""
        webhook = self._world.store.get(Webhook, delivery.webhook_id) if delivery.webhook_id else None
        return delivery.secret if webhook is None else webhook.secret

    def _after(self, delivery: Delivery, attempt: Attempt) -> Delivery:
        attempts = (*delivery.attempts, attempt)
        if attempt.status is not None and 200 <= attempt.status < 300:
            return msgspec.structs.replace(delivery, attempts=attempts, state="delivered")
        again = attempt.status is None or is_worth_retrying(delivery.channel, attempt.status)
        if not again or len(attempts) >= len(delivery.delays):
            return msgspec.structs.replace(delivery, attempts=attempts, state="failed")
        next_at = self._world.now() + delivery.delays[len(attempts)]
        return msgspec.structs.replace(delivery, attempts=attempts, state="waiting", next_at=next_at)

    def _release_held(self, overtaken_by: Delivery) -> None:
        for held_id in [held_id for held_id in self._held if held_id != overtaken_by.id]:
            self._held.remove(held_id)
            held = self._world.store.get(Delivery, held_id)
            if held is not None and held.state == "waiting":
                self._keep(msgspec.structs.replace(held, next_at=self._world.now()))


def _facts(delivery: Delivery) -> dict[str, str]:
    return {
        "channel": delivery.channel,
        "event": delivery.event,
        "request_id": delivery.request_id or "",
        "url": delivery.url,
    }
