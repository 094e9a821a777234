"""Connects sinks to their targets: resolves the name, checks its addresses, and connects to an allowed one."""

import asyncio
import socket
import ssl
from asyncio import FIRST_COMPLETED
from collections.abc import Callable, Coroutine, Iterable, Sequence
from functools import cache
from urllib.request import getproxies, proxy_bypass

import httpcore
import httpx

from workers.errors import GiveUp
from workers.sinks.addresses import refusal_reason

#: Seconds after which a connection to the next address is tried in parallel.
_HEAD_START = 0.25


def transport_to(url: httpx.URL, limits: httpx.Limits) -> httpx.AsyncBaseTransport:
    """A transport through the proxy that the environment names for the URL, else one to checked addresses only.

    A proxy resolves the name itself, so its own rules decide what it reaches.
    """
    if not proxy_bypass(url.netloc.decode("ascii")):
        proxies = getproxies()
        if proxy := proxies.get(url.scheme) or proxies.get("all"):
            return httpx.AsyncHTTPTransport(proxy=proxy if "://" in proxy else f"http://{proxy}", limits=limits)
    return _CheckedTransport(limits)


@cache
def _trusted_certificates() -> ssl.SSLContext:
    """One context for all sinks: to load the certificates of all authorities takes 25 ms."""
    return httpx.create_ssl_context()


class _CheckedTransport(httpx.AsyncHTTPTransport):
    def __init__(self, limits: httpx.Limits) -> None:
        context = _trusted_certificates()
        super().__init__(verify=context, limits=limits)
        # httpx has no argument for the network backend, so its pool is replaced, and a version without one is refused.
        if not hasattr(self, "_pool"):
            raise RuntimeError("This version of httpx has no `_pool`, so no address could be checked: use httpx 0.28")
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=context,
            max_connections=limits.max_connections,
            max_keepalive_connections=limits.max_keepalive_connections,
            keepalive_expiry=limits.keepalive_expiry,
            network_backend=_CheckedBackend(),
        )


class _CheckedBackend(httpcore.AsyncNetworkBackend):
    """Connects only to checked addresses. TLS still verifies the host name of the URL."""

    def __init__(self) -> None:
        self._sockets = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - the name and meaning are httpcore's
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Connect to an allowed address of the host; raises `GiveUp` if none is allowed."""
        loop = asyncio.get_running_loop()
        deadline = None if timeout is None else loop.time() + timeout
        options = [] if socket_options is None else list(socket_options)

        def connect(address: str) -> Coroutine[None, None, httpcore.AsyncNetworkStream]:
            remaining = None if deadline is None else max(0.0, deadline - loop.time())
            return self._sockets.connect_tcp(address, port, remaining, local_address, options)

        return await first_connection(connect, await _allowed(host, port, deadline))

    async def connect_unix_socket(
        self,
        path: str,
        timeout: float | None = None,  # noqa: ASYNC109
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        raise httpcore.ConnectError(f"sinks do not connect to unix sockets such as {path}")

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


async def first_connection(
    connect: Callable[[str], Coroutine[None, None, httpcore.AsyncNetworkStream]], addresses: Sequence[str]
) -> httpcore.AsyncNetworkStream:
    """Return the first connection that succeeds; try the next address in parallel if one takes long.

    As in RFC 8305, which httpx follows too. If none succeeds, raises the error of the last one.
    """
    connecting: set[asyncio.Task[httpcore.AsyncNetworkStream]] = set()
    waiting, error = list(addresses), None
    try:
        while waiting or connecting:
            if waiting:
                connecting.add(asyncio.create_task(connect(waiting.pop(0))))
            await asyncio.wait(connecting, timeout=_HEAD_START if waiting else None, return_when=FIRST_COMPLETED)
            for task in [task for task in connecting if task.done()]:
                connecting.discard(task)
                if (error := task.exception()) is None:
                    return task.result()
    finally:
        for task in connecting:
            task.cancel()
        for connection in await asyncio.gather(*connecting, return_exceptions=True):
            if isinstance(connection, httpcore.AsyncNetworkStream):
                await connection.aclose()
    assert error is not None
    raise error


async def _allowed(host: str, port: int, deadline: float | None) -> list[str]:
    """Return the allowed addresses of a host, in the resolver's order; at least one."""
    try:
        async with asyncio.timeout_at(deadline):
            resolved = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except TimeoutError:
        raise httpcore.ConnectTimeout(f"the name {host} was not resolved in time") from None
    except (OSError, UnicodeError) as error:
        raise httpcore.ConnectError(str(error)) from None
    addresses = list(dict.fromkeys(str(row[4][0]) for row in resolved))
    refusals = {address: reason for address in addresses if (reason := refusal_reason(address))}
    if allowed := [address for address in addresses if address not in refusals]:
        return allowed
    address, reason = next(iter(refusals.items()))
    raise GiveUp(f"{host} is {address}, {reason}: sinks do not connect there; give another address to post to")
