"""Sends deliveries to their receivers: one POST an attempt, retried on the documented schedule."""

import asyncio
import hashlib
import hmac
import time

import httpx
import msgspec

from hitl_sandbox.faults import Fault
from hitl_sandbox.model.state import SandboxState
from hitl_sandbox.webhooks.webhook_records import DeliveryAttempt, WebhookDelivery, WebhookSubscription

#: Retried although they are 4xx, by account webhooks only.
RETRIED_4XX = (408, 429)


def sign(secret: str, body: bytes) -> str:
    return hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


def is_worth_retrying(channel: str, status: int) -> bool:
    """Whether a failed attempt is repeated: after a server error it is; most 4xx and every redirect are final."""
    return status >= 500 or (channel == "account" and status in RETRIED_4XX)


class WebhookSender:
    """Runs attempts as tasks, so that a slow receiver delays no other delivery."""

    def __init__(self, state: SandboxState) -> None:
        self._state = state
        self._client = httpx.AsyncClient(
            follow_redirects=False,
            trust_env=False,  # a proxy cannot reach receivers on this machine
            timeout=None,  # noqa: S113 - `_post` limits each attempt by the deadline
            headers={"User-Agent": "HITL-Sandbox/1"},
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=20),
        )
        self._slots = asyncio.Semaphore(64)
        self._running: dict[str, asyncio.Task[None]] = {}
        self._held: list[str] = []

    def put(self, delivery: WebhookDelivery) -> WebhookDelivery:
        """Store a delivery, changed by the delivery faults; the scheduler starts it when it is due."""
        subject = _fault_subject(delivery)
        faults = self._state.faults
        if faults.take("drop", subject) is not None:
            dropped = msgspec.structs.replace(delivery, state="dropped", next_at=None)
            return self._store(dropped)
        if (delay := faults.take("delay", subject)) is not None:
            delivery = msgspec.structs.replace(delivery, next_at=delivery.created_at + delay.seconds)
        if (reorder := faults.take("reorder", subject)) is not None:
            # Sent after the next delivery, or after these seconds when there is none.
            delivery = msgspec.structs.replace(delivery, next_at=delivery.created_at + reorder.seconds)
            self._held.append(delivery.id)
        if (duplicate := faults.take("duplicate", subject)) is not None:
            for _ in range(duplicate.copies):
                self._store(msgspec.structs.replace(delivery, id=self._state.new_id()))
        return self._store(delivery)

    def _store(self, delivery: WebhookDelivery) -> WebhookDelivery:
        self._state.store.put(delivery)
        self._state.changes.notify()
        return delivery

    def start(self, delivery: WebhookDelivery) -> None:
        """Start the next attempt; it is recorded when it ends."""
        sending = self._store(msgspec.structs.replace(delivery, state="sending", next_at=None))
        task = asyncio.create_task(self._attempt(sending))
        self._running[delivery.id] = task
        task.add_done_callback(lambda _: self._running.pop(delivery.id, None))

    def resume(self) -> None:
        """Repeat the attempts that were running when the sandbox was stopped."""
        for delivery in self._state.store.find(WebhookDelivery):
            if delivery.state == "sending":
                self._store(msgspec.structs.replace(delivery, state="waiting", next_at=self._state.now()))

    async def idle(self) -> None:
        """Wait until no attempt is running."""
        while self._running:
            await asyncio.wait(list(self._running.values()))
            # Where all have ended, nothing above has yielded (Python 3.12): their callbacks must run.
            await asyncio.sleep(0)

    async def abandon(self) -> None:
        """Cancel every attempt, for a reset or a stop."""
        for task in list(self._running.values()):
            task.cancel()
        await self.idle()
        self._held.clear()

    async def close(self) -> None:
        await self.abandon()
        await self._client.aclose()

    async def _attempt(self, delivery: WebhookDelivery) -> None:
        started, at = time.monotonic(), self._state.now()
        fault = self._signature_fault(delivery)
        status, error = await self._post(delivery, is_corrupted=fault is not None)
        attempt = DeliveryAttempt(
            at=at,
            status=status,
            error=error,
            seconds=round(time.monotonic() - started, 4),
            fault=None if fault is None else fault.kind,
        )
        self._store(self._with_attempt(delivery, attempt))
        self._release_held(delivery)

    def _signature_fault(self, delivery: WebhookDelivery) -> Fault | None:
        """The fault that corrupts this signature; an unsigned delivery uses none up."""
        if delivery.signature == "none":
            return None
        return self._state.faults.take("corrupt_signature", _fault_subject(delivery))

    async def _post(self, delivery: WebhookDelivery, *, is_corrupted: bool) -> tuple[int | None, str | None]:
        body = delivery.body.encode()
        deadline = self._state.settings.deadline
        try:
            async with self._slots, asyncio.timeout(deadline):
                headers = self._headers(delivery, body, is_corrupted=is_corrupted)
                reply = await self._client.post(delivery.url, content=body, headers=headers)
        except TimeoutError:
            return None, f"no answer within {deadline:g} s"
        except (httpx.HTTPError, httpx.InvalidURL, UnicodeError, OSError) as error:
            return None, f"{type(error).__name__}: {error}".rstrip(": ")
        return reply.status_code, None

    def _headers(self, delivery: WebhookDelivery, body: bytes, *, is_corrupted: bool) -> dict[str, str]:
        headers = {"Content-Type": delivery.content_type, "X-Sandbox-Delivery": delivery.id}
        if delivery.signature == "none":
            return headers
        digest = sign(self._secret(delivery), body)
        if is_corrupted:
            digest = digest[::-1]
        if delivery.signature == "sha256":
            return headers | {"X-HITL-Signature-256": f"sha256={digest}"}
        return headers | {"X-HITL-Signature": digest}

    def _secret(self, delivery: WebhookDelivery) -> str:
        """The present secret of the webhook: it may have been rotated since the first attempt."""
        webhook = self._state.store.get(WebhookSubscription, delivery.webhook_id) if delivery.webhook_id else None
        return delivery.secret if webhook is None else webhook.secret

    def _with_attempt(self, delivery: WebhookDelivery, attempt: DeliveryAttempt) -> WebhookDelivery:
        attempts = (*delivery.attempts, attempt)
        if attempt.status is not None and 200 <= attempt.status < 300:
            return msgspec.structs.replace(delivery, attempts=attempts, state="delivered")
        is_retried = attempt.status is None or is_worth_retrying(delivery.channel, attempt.status)
        if not is_retried or len(attempts) >= len(delivery.delays):
            return msgspec.structs.replace(delivery, attempts=attempts, state="failed")
        next_at = self._state.now() + delivery.delays[len(attempts)]
        return msgspec.structs.replace(delivery, attempts=attempts, state="waiting", next_at=next_at)

    def _release_held(self, sent: WebhookDelivery) -> None:
        for held_id in [held_id for held_id in self._held if held_id != sent.id]:
            self._held.remove(held_id)
            held = self._state.store.get(WebhookDelivery, held_id)
            if held is not None and held.state == "waiting":
                self._store(msgspec.structs.replace(held, next_at=self._state.now()))


def _fault_subject(delivery: WebhookDelivery) -> dict[str, str]:
    return {
        "channel": delivery.channel,
        "event": delivery.event,
        "request_id": delivery.request_id or "",
        "url": delivery.url,
    }
