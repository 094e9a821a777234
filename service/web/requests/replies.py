"""The replies of the HTTP API."""

from collections.abc import Sequence

import msgspec
from starlette.types import Send

from hitlsh.asking.asked_request import AskedRequest, encode_asked
from service.web.requests.problems import MEDIA_TYPE, RequestProblem


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    """A complete reply: status, body and headers."""

    status: int = 200
    body: bytes
    media_type: bytes = b"application/json"
    headers: Sequence[tuple[bytes, bytes]] = ()

    async def send(self, send: Send) -> None:
        """Send the reply, with ``Cache-Control: no-store`` because its content may change at any time."""
        headers = [
            (b"content-type", self.media_type),
            (b"content-length", str(len(self.body)).encode()),
            (b"cache-control", b"no-store"),
            *self.headers,
        ]
        await send({"type": "http.response.start", "status": self.status, "headers": headers})
        await send({"type": "http.response.body", "body": self.body})


def reply_with_request(
    request: AskedRequest, *, status: int = 200, headers: Sequence[tuple[bytes, bytes]] = ()
) -> Reply:
    """A reply that shows a request."""
    return Reply(status=status, body=encode_asked(request), headers=headers)


def reply_with_problem(error: RequestProblem) -> Reply:
    """A reply that shows a problem."""
    return Reply(
        status=error.problem.status,
        body=msgspec.json.encode(error.problem),
        media_type=MEDIA_TYPE,
        headers=error.headers,
    )
