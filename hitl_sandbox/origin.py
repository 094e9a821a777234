"""Refuses requests that pages of other web sites send to the sandbox through a browser on this machine.

A page on the internet can send requests to loopback addresses. Two checks refuse them: the Host header reveals a page
whose own name resolves to this machine (DNS rebinding), Origin and Sec-Fetch-Site reveal every other page. The API
under /v1 needs only the first check: no browser sends an Authorization header to another site without a CORS
preflight, which the sandbox never grants.
"""

import ipaddress
from collections.abc import Iterable
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from hitl_sandbox.api.call import error_response
from hitl_sandbox.errors import Refusal


class HostCheck:
    """ASGI middleware: answers 421 unless the Host header is a loopback name or one of `allowed`, with any port."""

    def __init__(self, app: ASGIApp, *, allowed: Iterable[str]) -> None:
        self._app = app
        self._allowed = frozenset(name.lower() for name in allowed)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and not self._is_allowed(Headers(scope=scope).getlist("host")):
            refusal = Refusal(
                421,
                "The Host header names no address of this sandbox",
                "call it by 127.0.0.1, localhost or [::1], or start it with --allow-host NAME",
            )
            await error_response(refusal)(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _is_allowed(self, hosts: list[str]) -> bool:
        if len(hosts) != 1:
            return False
        name = host_name(hosts[0])
        return name is not None and (name in self._allowed or is_loopback(name))


def check_same_site(request: Request) -> None:
    """Raise ``Refusal`` for a request of another site's page; programs send neither header and pass."""
    site, origin = request.headers.get("sec-fetch-site", "none"), request.headers.get("origin")
    # The scheme is not compared: a proxy in front of the sandbox may change it.
    is_foreign = origin is not None and origin.partition("://")[2].lower() != request.headers.get("host", "").lower()
    if is_foreign or site not in ("same-origin", "none"):
        raise Refusal(403, "Cross-site request refused", "use the sandbox's own page")


def host_name(host: str) -> str | None:
    """The lower-case name or address in a Host header, without its port; None when the header names no host."""
    try:
        parts = urlsplit(f"//{host}")
        _ = parts.port
    except ValueError:
        return None
    if parts.netloc != host or "@" in host:
        return None
    return parts.hostname


def is_loopback(name: str) -> bool:
    if name == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False
