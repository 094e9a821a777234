"""Posting to a hook: deadlines, no redirects, and no trace of the URL in anybody's log."""

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
from workers.sinks.verdict import judge

#: Seconds for everything: to connect, to send, and for the answer.
TIMEOUT = 30.0
#: Seconds to connect, TLS included.
CONNECT_TIMEOUT = 5.0
#: Of an answer, so many bytes and seconds: enough to say what is wrong, and to use the connection again.
_LONGEST_ANSWER = 16_384
_ANSWER_PATIENCE = 2.0

_posting = ContextVar("hitl_sink_posting", default=False)


class Hook:
    """One address to post JSON to; one pool of connections per event loop."""

    def __init__(self, url: HookUrl, *, sink: str, timeout: Any = TIMEOUT) -> None:
        if isinstance(timeout, bool) or not isinstance(timeout, int | float) or not 0 < timeout < float("inf"):
            raise RouteInvalid(f"{sink}(timeout={timeout!r}): give seconds, more than 0")
        self.url = url
        self._timeout = float(timeout)
        self._clients = PerLoop(self._opened, httpx.AsyncClient.aclose)

    async def post(self, body: bytes, headers: Mapping[str, str]) -> None:
        """Return when the target has it; raises `NotDelivered`, `RetryLater` or `GiveUp` (see `judge`)."""
        client = await self._clients.get()
        host = self.url.host
        try:
            async with asyncio.timeout(self._timeout):
                status, answered, said = await self._answer(client, body, headers)
        except TimeoutError:
            raise NotDelivered(f"{host} did not answer within {self._timeout:g} s") from None
        except httpx.HTTPError as error:
            # Without its cause: the request it carries knows the URL.
            raise NotDelivered(f"{host}: {self._told(error)}") from None
        judge(host, status, answered, self.url.hidden_in(said), datetime.now(UTC))

    async def _answer(
        self, client: httpx.AsyncClient, body: bytes, headers: Mapping[str, str]
    ) -> tuple[int, httpx.Headers, str]:
        with _unlogged():
            async with client.stream("POST", self.url.url, content=body, headers=dict(headers)) as response:
                said = await _beginning(response)
        return response.status_code, response.headers, said.decode("utf-8", "replace")

    def _told(self, error: httpx.HTTPError) -> str:
        detail = self.url.hidden_in(str(error))
        return f"{type(error).__name__}: {detail}" if detail else type(error).__name__

    def _opened(self) -> httpx.AsyncClient:
        logging.getLogger("httpx").addFilter(_is_loggable)
        # How many at once is the route's to say.
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=20)
        return httpx.AsyncClient(
            follow_redirects=False,
            timeout=httpx.Timeout(self._timeout, connect=CONNECT_TIMEOUT),
            transport=transport_to(self.url.url, limits),
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=())),
            # `identity`: the beginning of a compressed answer could not be read.
            headers={"User-Agent": user_agent(), "Accept-Encoding": "identity"},
        )


async def _beginning(response: httpx.Response) -> bytes:
    """The first bytes of the answer, or what came of them: the status has said what matters."""
    received = bytearray()
    with contextlib.suppress(httpx.HTTPError, TimeoutError):
        async with asyncio.timeout(_ANSWER_PATIENCE):
            async for chunk in response.aiter_raw():
                received += chunk
                if len(received) >= _LONGEST_ANSWER:
                    break
    return bytes(received)


@contextlib.contextmanager
def _unlogged() -> Iterator[None]:
    """httpx logs the whole URL of each request: not of ours, whoever configured the logs."""
    token = _posting.set(True)
    try:
        yield
    finally:
        _posting.reset(token)


def _is_loggable(_record: logging.LogRecord) -> bool:
    return not _posting.get()
