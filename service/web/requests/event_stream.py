"""Server-sent events of one request (https://html.spec.whatwg.org/multipage/server-sent-events.html)."""

from hitlsh.asking.ask_errors import AskUnknown
from hitlsh.asking.asked_request import AskedRequest, encode_asked
from hitlsh.events import Trust
from hitlsh.webhooks.delivery_headers import header
from service.web.requests.api_endpoint import Call
from service.web.requests.problems import RequestProblem
from service.web.requests.replies import Reply
from service.web.requests.request_waits import RequestWaits
from service.web.requests.waiting_hub import Watch

#: Seconds between two comments, which reveal a closed connection.
_COMMENT_SECONDS = 15.0
#: Milliseconds after which a client reconnects if the stream ends without an outcome.
_RETRY = b"retry: 1000\n\n"
_COMMENT = b": waiting\n\n"
_HEADERS = [
    (b"content-type", b"text/event-stream"),
    (b"cache-control", b"no-store"),
    # For nginx, which would buffer the events.
    (b"x-accel-buffering", b"no"),
]


class EventStream:
    """One stream: every version of a request that the client has not seen, until the outcome."""

    def __init__(self, waits: RequestWaits, call: Call, trust: Trust) -> None:
        self._waits = waits
        self._call = call
        self._trust = trust
        self._seen = _last_event_id(call)

    async def send_versions(self, request_id: str) -> None:
        """Send the versions; ends with the outcome, when the client disconnects, and when this process stops."""
        async with self._waits.watching(self._call, request_id) as watch:
            request = await self._read_newest(watch)
            if request is None:
                raise AskUnknown(request_id)
            if request.outcome is not None and request.version == self._seen:
                # 204 tells a browser's EventSource not to reconnect.
                await Reply(status=204, body=b"").send(self._call.send)
                return
            await self._call.send({"type": "http.response.start", "status": 200, "headers": _HEADERS})
            await self._send(_RETRY)
            await self._send_until_outcome(watch, request)
        await self._call.send({"type": "http.response.body", "body": b""})

    async def _send_until_outcome(self, watch: Watch, request: AskedRequest | None) -> None:
        while request is not None:
            if request.version != self._seen:
                await self._send(_event(request))
                self._seen = request.version
            if request.outcome is not None or not watch.may_change():
                return
            del request
            newer = await watch.next_version(_COMMENT_SECONDS)
            while newer is None and watch.may_change():
                await self._send(_COMMENT)
                newer = await watch.next_version(_COMMENT_SECONDS)
            try:
                request = await self._read_newest(watch, newer)
            except RequestProblem:
                return  # the client reconnects, and gets the problem as the answer

    async def _read_newest(self, watch: Watch, newer: AskedRequest | None = None) -> AskedRequest | None:
        """The current request. `newer`: its next version, if it was read already.

        An outcome is read twice: the version is read before the rest, so an outcome that arrived in between has the
        previous version, which the client may have seen without the outcome.
        """
        request = await self._waits.trusted(newer or await watch.read(), self._trust)
        if request is None or request.outcome is None:
            return request
        return await self._waits.trusted(await watch.read(), self._trust)

    async def _send(self, chunk: bytes) -> None:
        await self._call.send({"type": "http.response.body", "body": chunk, "more_body": True})


def _event(request: AskedRequest) -> bytes:
    return b"id: %d\ndata: %b\n\n" % (request.version, encode_asked(request))


def _last_event_id(call: Call) -> int:
    """The version that the client has seen last; -1 for none."""
    value = header(call.scope["headers"], b"last-event-id") or b""
    return int(value) if value.isdigit() and len(value) < 16 else -1
