"""Bodies as they come: bounded in size, in time, and in what is held of unfinished ones."""

import asyncio

from starlette.types import Message, Receive, Scope

from hitlsh.webhooks.delivery_headers import header
from service.errors import ServiceError

#: Bytes of unfinished bodies that a door holds, or twice the largest body: nobody is verified before the end.
MOST_UNFINISHED = 64 << 20


class RequestRefused(ServiceError):
    """This request ends here, with a status for the sender and a reason for the operator."""

    def __init__(self, status: int, reason: str, *, body: bytes | None = None) -> None:
        super().__init__(status, reason)
        self.status = status
        self.reason = reason
        #: What was read before it came to this, of a delivery that is not proven; never to be shown.
        self.body = body


class ClientDisconnected(ServiceError):
    """The sender hung up before its body was complete: there is nobody to answer."""


class Bodies:
    """Reads the bodies of one door, and keeps the sum of what is unfinished."""

    def __init__(self, *, max_body: int) -> None:
        self._most_unfinished = max(MOST_UNFINISHED, 2 * max_body)
        self._unfinished = 0

    async def read(self, scope: Scope, receive: Receive, *, most: int, seconds: float) -> bytes:
        """The whole body. Raises `RequestRefused` for more than `most` bytes or `seconds`, and `ClientDisconnected`."""
        declared = header(scope["headers"], b"content-length")
        if declared and (not declared.isdigit() or len(declared) > 18 or int(declared) > most):
            raise RequestRefused(413, "body_too_large")
        try:
            async with asyncio.timeout(seconds):
                return await self._read_chunks(receive, most)
        except TimeoutError:
            raise RequestRefused(408, "body_too_slow") from None

    async def _read_chunks(self, receive: Receive, most: int) -> bytes:
        message = await _next_chunk(receive)
        body: bytes = message.get("body", b"")
        if message.get("more_body"):
            body = await self._read_rest(receive, body, most)
        if len(body) > most:
            raise RequestRefused(413, "body_too_large")
        return body

    async def _read_rest(self, receive: Receive, first: bytes, most: int) -> bytes:
        chunks = [first]
        size = len(first)
        self._unfinished += size
        try:
            more = True
            while more and size <= most:
                if self._unfinished > self._most_unfinished:
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
