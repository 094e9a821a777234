"""The door: verify the bytes as they came, read them as one event, keep it, and only then say so.

Every status is a decision about what HITL.sh does next: it repeats after 408, 429 and 5xx and never
after another 4xx, so whatever is trouble of our own is a 503. A stranger learns nothing: refusals have
no body, and the reason is a slug for logs and counters only.
"""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from starlette.types import Message, Receive, Scope, Send

from hitlsh.callbacks import CallbackInvalid, CallbackSigner
from hitlsh.events import Event, Trust, Unreadable
from hitlsh.payloads import parse
from hitlsh.signatures import SignatureInvalid, header_values, verify
from service.intake import Intake, IntakeUnavailable
from workers.inbox.records import Delivery

logger = logging.getLogger("hitl.door")

#: Seconds that a sender has for its whole body.
BODY_SECONDS = 10.0
#: Bytes of unfinished bodies that a door holds, or twice the largest body: nobody is verified before the end.
MOST_UNFINISHED = 64 << 20
#: Seconds after which HITL.sh may try again when we could not keep a delivery.
RETRY_AFTER = b"5"


@dataclass(frozen=True, slots=True)
class Refused(Exception):
    """This request ends here, with a status for the sender and a reason for the operator."""

    status: int
    reason: str


class SenderGone(Exception):
    """The sender hung up before its body was complete: there is nobody to answer."""


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
        self._most_unfinished = max(MOST_UNFINISHED, 2 * max_body)
        self._unfinished = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        received_at = datetime.now(UTC)
        try:
            status, reason = await self._take(scope, receive, received_at)
        except Refused as refused:
            status, reason = refused.status, refused.reason
            logger.info("delivery.refused status=%d reason=%s", status, reason)
        except SenderGone:
            self._intake.count("sender_gone")
            return
        self._intake.count(reason)
        await _answer(send, status)

    async def _take(self, scope: Scope, receive: Receive, received_at: datetime) -> tuple[int, str]:
        proof = self._admit(scope)
        body = await self._read(scope, receive)
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
        return status or kept.status, reason or kept.reason

    async def _read(self, scope: Scope, receive: Receive) -> bytes:
        declared = _header(scope, b"content-length")
        if declared and (not declared.isdigit() or len(declared) > 18 or int(declared) > self._max_body):
            raise Refused(413, "body_too_large")
        try:
            async with asyncio.timeout(self._body_seconds):
                return await self._read_chunks(receive)
        except TimeoutError:
            raise Refused(408, "body_too_slow") from None

    async def _read_chunks(self, receive: Receive) -> bytes:
        message = await _next_chunk(receive)
        body: bytes = message.get("body", b"")
        if message.get("more_body"):
            body = await self._read_rest(receive, body)
        if len(body) > self._max_body:
            raise Refused(413, "body_too_large")
        return body

    async def _read_rest(self, receive: Receive, first: bytes) -> bytes:
        chunks = [first]
        size = len(first)
        self._unfinished += size
        try:
            more = True
            while more and size <= self._max_body:
                if self._unfinished > self._most_unfinished:
                    raise Refused(503, "overloaded")
                message = await _next_chunk(receive)
                more = message.get("more_body", False)
                chunks.append(message.get("body", b""))
                size += len(chunks[-1])
                self._unfinished += len(chunks[-1])
        finally:
            self._unfinished -= size
        return b"".join(chunks)


async def _next_chunk(receive: Receive) -> Message:
    message = await receive()
    if message["type"] == "http.disconnect":
        raise SenderGone
    return message


def _header(scope: Scope, name: bytes) -> bytes | None:
    for key, value in scope["headers"]:
        if key == name:
            return _bare(value)
    return None


def _bare(value: bytes) -> bytes:
    """Without the blanks around it, which are no part of a value (RFC 9110, 5.5) but pass httptools at its end."""
    return value.strip(b" \t")


def _read_content(scope: Scope, body: bytes) -> tuple[Event | Unreadable, int, str]:
    """What the body is, and the status that answers it if that is not for the inbox to say.

    Whatever cannot be read is kept raw all the same: its sender was verified and will not send it again.
    """
    encoding = _header(scope, b"content-encoding")
    if encoding and encoding.lower() != b"identity":
        return Unreadable.of(body, "unsupported_encoding"), 415, "unsupported_encoding"
    declared = _header(scope, b"content-type")
    if declared and not _is_json(declared):
        return Unreadable.of(body, "unsupported_type"), 415, "unsupported_type"
    content = parse(body)
    if isinstance(content, Unreadable):
        status = 400 if content.reason == "not_json" else 202
        return content, status, content.reason
    return content, 0, ""


def _is_json(declared: bytes) -> bool:
    kind = declared.split(b";", 1)[0].strip().lower()
    return kind in {b"application/json", b"text/json"} or kind.endswith(b"+json")


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
        return tuple(_bare(value) for value in header_values(scope["headers"]))
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
            raise Refused(401, error.reason) from error
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
