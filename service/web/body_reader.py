"""Reads request bodies, with limits on size, on time and on the memory of unfinished bodies."""

import asyncio

from starlette.types import Message, Receive, Scope

from hitlsh.webhooks.delivery_headers import header
from service.errors import ServiceError

#: Bytes of unfinished bodies that an endpoint holds (or twice the largest body): a body is verified only at its end.
MAX_UNFINISHED = 64 << 20


class RequestRefused(ServiceError):
    """A request is refused: with a status for the sender and a reason for logs and counters."""

    def __init__(self, status: int, reason: str, *, body: bytes | None = None) -> None:
        super().__init__(status, reason)
        self.status = status
        self.reason = reason
        #: The body of an unverified delivery, if it was read before the refusal. Must not be logged or shown.
        self.body = body


class ClientDisconnected(ServiceError):
    """The sender closed the connection before its body was complete, so no answer is possible."""


class BodyReader:
    """Reads the bodies of one endpoint, and limits the total bytes of unfinished ones."""

    def __init__(self, *, max_body: int) -> None:
        self._max_unfinished = max(MAX_UNFINISHED, 2 * max_body)
        self._unfinished = 0

    async def read(self, scope: Scope, receive: Receive, *, limit: int, seconds: float) -> bytes:
        """Return the body. Raises `RequestRefused` beyond `limit` bytes or `seconds`, and `ClientDisconnected`."""
        declared = header(scope["headers"], b"content-length")
        if declared and (not declared.isdigit() or len(declared) > 18 or int(declared) > limit):
            raise RequestRefused(413, "body_too_large")
        try:
            async with asyncio.timeout(seconds):
                return await self._read_chunks(receive, limit)
        except TimeoutError:
            raise RequestRefused(408, "body_too_slow") from None

    async def _read_chunks(self, receive: Receive, limit: int) -> bytes:
        message = await _next_chunk(receive)
        body: bytes = message.get("body", b"")
        if message.get("more_body"):
            body = await self._read_rest(receive, body, limit)
        if len(body) > limit:
            raise RequestRefused(413, "body_too_large")
        return body

    async def _read_rest(self, receive: Receive, first: bytes, limit: int) -> bytes:
        chunks = [first]
        size = len(first)
        self._unfinished += size
        try:
            more = True
            while more and size <= limit:
                if self._unfinished > self._max_unfinished:
                    raise RequestRefused(503, "overloaded")
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
        raise ClientDisconnected
    return message
