"""The endpoints: verify the raw bytes, parse them into one event, store it, and only then acknowledge it.

Every status decides what HITL.sh does next: it retries after 408, 429 and 5xx, and never after another 4xx. So every
failure of ours is a 503. Answers have no body: an unverified sender learns nothing, and the reason of a refusal is only
for logs and counters.
"""

import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, ClassVar

from starlette.types import Receive, Scope, Send

from hitlsh.callbacks import CALLBACK_PATH, CallbackInvalid, CallbackSigner
from hitlsh.events import Event, Unreadable
from hitlsh.signatures import SignatureInvalid, header_values
from hitlsh.webhooks.receiving import BodyInvalid, VerifiedDelivery, read_verified
from hitlsh.webhooks.receiving import receive as receive_signed
from service.web import refused_deliveries
from service.web.body_reader import BodyReader, ClientDisconnected, RequestRefused
from service.web.ingest import OVER_QUOTA, Intake, IntakeUnavailable
from workers.inbox.values import Delivery
from workers.telemetry import traces
from workers.telemetry.traces import NO_SPAN, Span

if TYPE_CHECKING:
    from service.proofs.proof_answers import ProofAnswers

logger = logging.getLogger("hitl.receiver")

#: Seconds that a sender has for its whole body.
BODY_SECONDS = 10.0
#: Seconds after which HITL.sh may retry a delivery that we could not store.
RETRY_AFTER = b"5"
#: The header of test deliveries, and the beginning of their bodies; a body that begins so is never stored.
PROOF_HEADER = b"x-hitl-proof"
PROOF_BODY = b'{"event":"hitl-receiver.proof",'


class Endpoint(ABC):
    """One POST route, as an ASGI application."""

    def __init__(self, intake: Intake, *, max_body: int, body_seconds: float = BODY_SECONDS) -> None:
        self._intake = intake
        self._max_body = max_body
        self._body_seconds = body_seconds
        self._body_reader = BodyReader(max_body=max_body)

    #: The path of the route, without parameters: the path of a callback URL is a secret.
    route: ClassVar[str]

    @abstractmethod
    async def verify(self, scope: Scope, receive: Receive) -> VerifiedDelivery:
        """Read and verify a request; raises RequestRefused and BodyInvalid. The order of both differs by endpoint."""

    async def read_body(self, scope: Scope, receive: Receive) -> bytes:
        """Return the whole body; raises RequestRefused and ClientDisconnected."""
        return await self._body_reader.read(scope, receive, limit=self._max_body, seconds=self._body_seconds)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        received_at = datetime.now(UTC)
        unverified: bytes | None = None
        event: Event | None = None
        try:
            status, reason, event = await self._accept(scope, receive, received_at)
        except RequestRefused as refused:
            status, reason = refused.status, refused.reason
            logger.info("delivery.refused status=%d reason=%s", status, reason)
            if status == 401:
                unverified = await self._unverified_body(scope, receive, refused.body)
        except ClientDisconnected:
            self._intake.count("client_disconnected")
            return
        self._intake.count(reason)
        await answer(send, status)
        self._intake.send_activity(status, reason, event)
        if unverified is not None:
            self._intake.inspector.inspect(unverified)

    async def _accept(self, scope: Scope, receive: Receive, received_at: datetime) -> tuple[int, str, Event | None]:
        """Store a delivery; returns the status to answer with, its reason, and the event.

        A verified body that cannot be parsed is stored raw, because HITL.sh will not send it again.
        """
        status, reason = 0, ""
        try:
            verified = await self.verify(scope, receive)
        except BodyInvalid as error:
            verified, status, reason = error.delivery, error.status, error.reason
        else:
            if isinstance(verified.event, Unreadable):
                status, reason = 202, verified.event.reason
        if verified.body.startswith(PROOF_BODY):
            raise RequestRefused(401, "proof_unverified", body=verified.body)
        self._intake.count_verified(verified.trust)
        with self._begin_span(scope, verified, received_at) as span:
            try:
                acknowledgement = await self._intake.accept(_delivery(verified, received_at, span.traceparent))
            except IntakeUnavailable as error:
                span.add({"http.response.status_code": 503, "hitl.reason": error.reason}, error=error.reason)
                raise RequestRefused(503, error.reason) from error
            status = status or acknowledgement.status
            if acknowledgement is OVER_QUOTA:
                reason = acknowledgement.reason
            reason = reason or acknowledgement.reason
            span.add({"http.response.status_code": status, "hitl.reason": reason})
        return status, reason, verified.event if isinstance(verified.event, Event) else None

    def _begin_span(self, scope: Scope, verified: VerifiedDelivery, received_at: datetime) -> Span:
        """Begin the trace of a verified delivery; others cause no span.

        The trace of the sender is linked, never continued.
        """
        if not traces.is_on():
            return NO_SPAN
        content = verified.event
        attributes = {
            "http.request.method": "POST",
            "http.route": self.route,
            "hitl.event_key": content.key,
            "hitl.trust": verified.trust,
        }
        if isinstance(content, Event):
            attributes["hitl.event"] = content.name
            if content.request_id is not None:
                attributes["hitl.request"] = content.request_id
        sent = (value.decode("latin-1") for name, value in scope["headers"] if name == b"traceparent")
        return traces.span(
            "server",
            f"POST {self.route}",
            parent="",
            links=[next(sent, "")],
            started=received_at,
            attributes=lambda: attributes,
        )

    async def _unverified_body(self, scope: Scope, receive: Receive, body: bytes | None) -> bytes | None:
        """The body of a refused delivery, if it may be inspected."""
        if not refused_deliveries.is_worth_inspecting(scope, body) or not self._intake.inspector.may_inspect():
            return None
        if body is not None:
            return body
        try:
            seconds = min(refused_deliveries.SECONDS, self._body_seconds)
            return await self._body_reader.read(scope, receive, limit=refused_deliveries.LARGEST, seconds=seconds)
        except (RequestRefused, ClientDisconnected):
            return None


class AccountWebhookEndpoint(Endpoint):
    """Account webhooks: the body is read first, and its HMAC verified with any of our secrets."""

    route = "/webhooks/hitl"

    def __init__(
        self, intake: Intake, secrets: Sequence[str], *, max_body: int, body_seconds: float = BODY_SECONDS
    ) -> None:
        super().__init__(intake, max_body=max_body, body_seconds=body_seconds)
        self._secrets = tuple(secret.encode() for secret in secrets)

    async def verify(self, scope: Scope, receive: Receive) -> VerifiedDelivery:
        _check_is_signed(scope)
        body = await self.read_body(scope, receive)
        try:
            return receive_signed(scope["headers"], body, secrets=self._secrets)
        except SignatureInvalid as error:
            raise RequestRefused(error.status, error.reason, body=body) from error


class CallbackEndpoint(Endpoint):
    """Callback URLs, which HITL.sh does not sign: the token in the path is verified before the body is read."""

    route = f"{CALLBACK_PATH}{{token}}"

    def __init__(
        self, intake: Intake, signer: CallbackSigner, *, max_body: int, body_seconds: float = BODY_SECONDS
    ) -> None:
        super().__init__(intake, max_body=max_body, body_seconds=body_seconds)
        self._signer = signer

    def verifying_with(self, signer: CallbackSigner) -> "CallbackEndpoint":
        """The same endpoint for tokens of another signer."""
        return CallbackEndpoint(self._intake, signer, max_body=self._max_body, body_seconds=self._body_seconds)

    async def verify(self, scope: Scope, receive: Receive) -> VerifiedDelivery:
        try:
            callback = self._signer.read(scope["path_params"]["token"])
        except CallbackInvalid as error:
            raise RequestRefused(error.status, error.reason) from error
        body = await self.read_body(scope, receive)
        return read_verified(scope["headers"], body, trust="callback", callback=callback)


class ProvableEndpoint:
    """An endpoint that also answers test deliveries of `doctor --prove`; loads their code with the first one."""

    def __init__(self, endpoint: Endpoint, make_proofs: "Callable[[], ProofAnswers]") -> None:
        self._endpoint = endpoint
        self._make_proofs = make_proofs
        self._proofs: ProofAnswers | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if _may_be_proof(scope):
            if self._proofs is None:
                self._proofs = self._make_proofs()
            if await self._proofs.respond(scope, receive, send):
                return
        await self._endpoint(scope, receive, send)


def _may_be_proof(scope: Scope) -> bool:
    if scope["query_string"]:
        return True
    for name, _ in scope["headers"]:  # noqa: SIM110 - a generator costs more, and it runs for every delivery
        if name == PROOF_HEADER:
            return True
    return False


def _check_is_signed(scope: Scope) -> None:
    """Raise RequestRefused for a request without a signature, before its body is read."""
    try:
        signatures = header_values(scope["headers"])
    except SignatureInvalid as error:
        raise RequestRefused(error.status, error.reason) from error
    if not signatures:
        raise RequestRefused(SignatureInvalid.status, "signature_missing")


def _delivery(verified: VerifiedDelivery, received_at: datetime, traceparent: str) -> Delivery:
    callback = verified.callback
    return Delivery(
        content=verified.event,
        body=verified.body,
        trust=verified.trust,
        received_at=received_at,
        callback_id=callback.id if callback else None,
        state=callback.state if callback else None,
        traceparent=traceparent,
    )


async def answer(send: Send, status: int, body: bytes = b"") -> None:
    """Send an answer; only the answer to a test delivery has a body."""
    headers = [(b"content-length", str(len(body)).encode())]
    if status == 503:
        headers.append((b"retry-after", RETRY_AFTER))
    if status in {401, 408, 413}:
        # The rest of the body is not read.
        headers.append((b"connection", b"close"))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
