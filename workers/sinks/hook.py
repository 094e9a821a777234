"""Posts to a hook with deadlines, without following redirects, and without its URL in any log."""

import asyncio
import contextlib
import logging
from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from datetime import UTC, datetime
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any

import httpx

from hitlsh.api.http.credentials import user_agent
from workers.errors import NotDelivered, RouteInvalid
from workers.sinks.hook_url import HookUrl
from workers.sinks.per_loop import PerLoop
from workers.sinks.transport import transport_to
from workers.sinks.verdict import raise_for_response
from workers.telemetry import traces

#: Seconds for the whole exchange: connect, send, and receive the answer.
TIMEOUT = 30.0
#: Seconds to connect, TLS included.
CONNECT_TIMEOUT = 5.0
#: Bytes of an answer that are read, and seconds for that: enough for an error text and to reuse the connection.
_MAX_ANSWER_BYTES = 16_384
_ANSWER_TIMEOUT = 2.0

_posting = ContextVar("hitl_sink_posting", default=False)


class Hook:
    """One address to post JSON to; one pool of connections per event loop."""

    def __init__(self, url: HookUrl, *, sink: str, timeout: Any = TIMEOUT) -> None:
        if isinstance(timeout, bool) or not isinstance(timeout, int | float) or not 0 < timeout < float("inf"):
            raise RouteInvalid(f"{sink}(timeout={timeout!r}): give seconds, more than 0")
        self.url = url
        self._timeout = float(timeout)
        self._clients = PerLoop(self._open_client, httpx.AsyncClient.aclose)

    async def post(self, body: bytes, headers: Mapping[str, str]) -> None:
        """Return when the target has accepted it; raises `NotDelivered`, `RetryLater` or `GiveUp` (see `judge`)."""
        client = await self._clients.get()
        host = self.url.host
        # A span shows only the host of the URL, like a log.
        with traces.span(
            "client", "POST", attributes=lambda: {"http.request.method": "POST", "server.address": host}
        ) as span:
            try:
                async with asyncio.timeout(self._timeout):
                    status, response_headers, text = await self._answer(client, body, {**headers, **span.headers()})
            except TimeoutError:
                raise NotDelivered(f"{host} did not answer within {self._timeout:g} s") from None
            except httpx.HTTPError as error:
                # `from None`: the cause holds the request, and thereby the URL.
                raise NotDelivered(f"{host}: {self._describe(error)}") from None
            span.add({"http.response.status_code": status}, error=None if status < 400 else f"status {status}")
        raise_for_response(host, status, response_headers, self.url.redact(text), datetime.now(UTC))

    async def _answer(
        self, client: httpx.AsyncClient, body: bytes, headers: Mapping[str, str]
    ) -> tuple[int, httpx.Headers, str]:
        with _without_httpx_logs(), traces.without_http_spans():
            async with client.stream("POST", self.url.url, content=body, headers=dict(headers)) as response:
                first_bytes = await _first_bytes(response)
        return response.status_code, response.headers, first_bytes.decode("utf-8", "replace")

    def _describe(self, error: httpx.HTTPError) -> str:
        detail = self.url.redact(str(error))
        return f"{type(error).__name__}: {detail}" if detail else type(error).__name__

    def _open_client(self) -> httpx.AsyncClient:
        logging.getLogger("httpx").addFilter(_is_outside_post)
        # The policy of the route limits the concurrency.
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=20)
        return httpx.AsyncClient(
            follow_redirects=False,
            timeout=httpx.Timeout(self._timeout, connect=CONNECT_TIMEOUT),
            transport=transport_to(self.url.url, limits),
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=())),
            # `identity`: the beginning of a compressed answer could not be read.
            headers={"User-Agent": user_agent(), "Accept-Encoding": "identity"},
        )


async def _first_bytes(response: httpx.Response) -> bytes:
    """The first bytes of the answer that arrive in time; for messages, because the status alone decides."""
    received = bytearray()
    with contextlib.suppress(httpx.HTTPError, TimeoutError):
        async with asyncio.timeout(_ANSWER_TIMEOUT):
            await _read_into(received, response)
    return bytes(received)


async def _read_into(received: bytearray, response: httpx.Response) -> None:
    async for chunk in response.aiter_raw():
        received += chunk
        if len(received) >= _MAX_ANSWER_BYTES:
            return


@contextlib.contextmanager
def _without_httpx_logs() -> Iterator[None]:
    """Prevent httpx from logging the URL of this request, whatever the logging configuration."""
    token = _posting.set(True)
    try:
        yield
    finally:
        _posting.reset(token)


def _is_outside_post(_record: logging.LogRecord) -> bool:
    return not _posting.get()
