"""How sinks reach their targets: a name is resolved, its addresses are checked, and one of those is connected to."""

import asyncio
import socket
from collections.abc import Iterable
from urllib.request import getproxies, proxy_bypass

import httpcore
import httpx

from workers.errors import GiveUp
from workers.sinks.addresses import why_refused


def transport_to(url: httpx.URL, limits: httpx.Limits) -> httpx.AsyncBaseTransport:
    """The proxy that the environment names for the URL, else a connection of our own to a checked address.

    A proxy resolves the name itself: what may be reached through it is for its own rules to say.
    """
    if not proxy_bypass(url.netloc.decode("ascii")):
        proxies = getproxies()
        if proxy := proxies.get(url.scheme) or proxies.get("all"):
            return httpx.AsyncHTTPTransport(proxy=proxy if "://" in proxy else f"http://{proxy}", limits=limits)
    return _CheckedTransport(limits)


class _CheckedTransport(httpx.AsyncHTTPTransport):
    def __init__(self, limits: httpx.Limits) -> None:
        super().__init__(limits=limits)
        # httpx has no argument for the network backend, so its pool is replaced: never in vain.
        if not hasattr(self, "_pool"):
            raise RuntimeError("This httpx keeps its connections elsewhere, so no address could be checked: use 0.28")
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=httpx.create_ssl_context(),
            max_connections=limits.max_connections,
            max_keepalive_connections=limits.max_keepalive_connections,
            keepalive_expiry=limits.keepalive_expiry,
            network_backend=_CheckedBackend(),
        )


class _CheckedBackend(httpcore.AsyncNetworkBackend):
    """Connects to nothing but an address that it has checked. TLS goes on with the name of the URL."""

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
        """Raises `GiveUp` when no address of the host is allowed."""
        loop = asyncio.get_running_loop()
        deadline = None if timeout is None else loop.time() + timeout
        addresses = await _allowed(host, port, deadline)
        problem: Exception | None = None
        for position, address in enumerate(addresses):
            # Each has its share of the time that is left: the first may be one that never answers.
            share = None if deadline is None else max(0.0, deadline - loop.time()) / (len(addresses) - position)
            try:
                return await self._sockets.connect_tcp(address, port, share, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                problem = error
        assert problem is not None
        raise problem

    async def connect_unix_socket(
        self,
        path: str,
        timeout: float | None = None,  # noqa: ASYNC109
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        raise httpcore.ConnectError(f"sinks do not connect to unix sockets such as {path}")

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


async def _allowed(host: str, port: int, deadline: float | None) -> list[str]:
    """The addresses of a host that may be connected to, in the resolver's order; at least one."""
    try:
        async with asyncio.timeout_at(deadline):
            found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except TimeoutError:
        raise httpcore.ConnectTimeout(f"the name {host} was not resolved in time") from None
    except (OSError, UnicodeError) as error:
        raise httpcore.ConnectError(str(error)) from None
    addresses = list(dict.fromkeys(str(row[4][0]) for row in found))
    refusals = {address: reason for address in addresses if (reason := why_refused(address))}
    if allowed := [address for address in addresses if address not in refusals]:
        return allowed
    address, reason = next(iter(refusals.items()))
    raise GiveUp(f"{host} is {address}, {reason}: sinks do not connect there; give another address to post to")
