"""The door: verify the bytes as they came, read them as one event, keep it, and only then say so.

Every status is a decision about what HITL.sh does next: it repeats after 408, 429 and 5xx and never
after another 4xx, so whatever is trouble of our own is a 503. A stranger learns nothing: refusals have
no body, and the reason is a slug for logs and counters only.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from starlette.types import Receive, Scope, Send

from hitlsh.callbacks import CallbackInvalid, CallbackSigner
from hitlsh.events import Event, Trust, Unreadable
from hitlsh.signatures import SignatureInvalid, header_values, verify
from hitlsh.webhooks.parsing import parse
from service.web import refused_deliveries
from service.web.body_reader import Bodies, ClientDisconnected, Refused, bare, unsupported
from service.web.ingest import OVER_QUOTA, Intake, IntakeUnavailable
from workers.inbox.values import Delivery

logger = logging.getLogger("hitl.door")

#: Seconds that a sender has for its whole body.
BODY_SECONDS = 10.0
#: Seconds after which HITL.sh may try again when we could not keep a delivery.
RETRY_AFTER = b"5"


@dataclass(frozen=True, slots=True)
class Proof:
    """How a delivery was verified, and what the proof itself carried."""

    trust: Trust
    callback_id: str | None = None
    state: object = None


#: Verifies before the body is read (the token in a path) or after (a signature over the bytes).
Verifier = Callable[[Scope, bytes], Proof]


class Door:
    """One POST route, as an ASGI application: nothing between the socket and the inbox but this."""

    def __init__(
        self,
        intake: Intake,
        *,
        max_body: int,
        body_seconds: float = BODY_SECONDS,
        admit: Callable[[Scope], Proof | None],
        verify: Verifier,
    ) -> None:
        self._intake = intake
        self._max_body = max_body
        self._body_seconds = body_seconds
        self._admit = admit
        self._verify = verify
        self._bodies = Bodies(max_body=max_body)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        received_at = datetime.now(UTC)
        unproven: bytes | None = None
        try:
            status, reason = await self._take(scope, receive, received_at)
        except Refused as refused:
            status, reason = refused.status, refused.reason
            logger.info("delivery.refused status=%d reason=%s", status, reason)
            if status == 401:
                unproven = await self._unproven(scope, receive, refused.body)
        except ClientDisconnected:
            self._intake.count("sender_gone")
            return
        self._intake.count(reason)
        await _answer(send, status)
        if unproven is not None:
            self._intake.inspector.inspect(unproven)

    async def _take(self, scope: Scope, receive: Receive, received_at: datetime) -> tuple[int, str]:
        proof = self._admit(scope)
        body = await self._bodies.read(scope, receive, most=self._max_body, seconds=self._body_seconds)
        if proof is None:
            proof = self._verify(scope, body)
        content, status, reason = _read_content(scope, body)
        delivery = Delivery(
            content=content,
            body=body,
            trust=proof.trust,
            received_at=received_at,
            callback_id=proof.callback_id,
            state=proof.state,
        )
        try:
            kept = await self._intake.accept(delivery)
        except IntakeUnavailable as error:
            raise Refused(503, error.reason) from error
        if kept is OVER_QUOTA:
            return status or kept.status, kept.reason
        return status or kept.status, reason or kept.reason

    async def _unproven(self, scope: Scope, receive: Receive, body: bytes | None) -> bytes | None:
        """The body of a delivery that is refused, if it may be looked at."""
        if not refused_deliveries.is_worth_inspecting(scope, body) or not self._intake.inspector.may_inspect():
            return None
        if body is not None:
            return body
        try:
            seconds = min(refused_deliveries.SECONDS, self._body_seconds)
            return await self._bodies.read(scope, receive, most=refused_deliveries.LARGEST, seconds=seconds)
        except (Refused, ClientDisconnected):
            return None


def _read_content(scope: Scope, body: bytes) -> tuple[Event | Unreadable, int, str]:
    """What the body is, and the status that answers it if that is not for the inbox to say.

    Whatever cannot be read is kept raw all the same: its sender was verified and will not send it again.
    """
    form = unsupported(scope)
    if form is not None:
        return Unreadable.of(body, form), 415, form
    content = parse(body)
    if isinstance(content, Unreadable):
        status = 400 if content.reason == "not_json" else 202
        return content, status, content.reason
    return content, 0, ""


async def _answer(send: Send, status: int) -> None:
    headers = [(b"content-length", b"0")]
    if status == 503:
        headers.append((b"retry-after", RETRY_AFTER))
    if status in {401, 408, 413}:
        # What is left of the body, if anything, is not worth reading.
        headers.append((b"connection", b"close"))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": b""})


def _signatures(scope: Scope) -> tuple[bytes, ...]:
    try:
        return tuple(bare(value) for value in header_values(scope["headers"]))
    except SignatureInvalid as error:
        raise Refused(401, error.reason) from error


def signed_door(intake: Intake, secrets: tuple[str, ...], *, max_body: int, body_seconds: float = BODY_SECONDS) -> Door:
    """Account webhooks: an HMAC over the body, by any of our secrets."""
    keys = tuple(secret.encode() for secret in secrets)

    def admit(scope: Scope) -> None:
        # Whoever brings no signature need not have its body read.
        if not _signatures(scope):
            raise Refused(401, "signature_missing")

    def check(scope: Scope, body: bytes) -> Proof:
        try:
            verify(keys, _signatures(scope), body)
        except SignatureInvalid as error:
            raise Refused(401, error.reason, body=body) from error
        return Proof("signed")

    return Door(intake, max_body=max_body, body_seconds=body_seconds, admit=admit, verify=check)


def callback_door(intake: Intake, signer: CallbackSigner, *, max_body: int, body_seconds: float = BODY_SECONDS) -> Door:
    """Callback URLs, which HITL.sh does not sign: the token in the path is ours."""

    def admit(scope: Scope) -> Proof:
        try:
            callback = signer.read(scope["path_params"]["token"])
        except CallbackInvalid as error:
            raise Refused(401, error.reason) from error
        return Proof("callback", callback.id, callback.state)

    def check(_scope: Scope, _body: bytes) -> Proof:
        raise AssertionError("a callback is verified before its body is read")

    return Door(intake, max_body=max_body, body_seconds=body_seconds, admit=admit, verify=check)
