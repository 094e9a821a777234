"""The only module of the client that knows httpx: what goes out, and what a failure there means."""

from collections.abc import Mapping
from typing import Any

import httpx

from hitlsh.api.errors import Unreachable
from hitlsh.api.http.credentials import user_agent
from hitlsh.api.http.replies import HttpReply
from hitlsh.api.operations import HttpRequest

#: Failures before the first byte of the request left.
_NOT_SENT = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
    httpx.ProxyError,
    httpx.UnsupportedProtocol,
)

#: What `httpx` raises when there is no reply.
NO_REPLY = (httpx.TransportError, httpx.DecodingError)


def options(base_url: str, timeout: float) -> dict[str, Any]:
    """How both httpx clients are built; nothing of the environment touches calls to this machine."""
    return {
        "timeout": httpx.Timeout(timeout, connect=min(timeout, 10.0)),
        "follow_redirects": False,
        "trust_env": base_url.startswith("https:"),
        "headers": {"User-Agent": user_agent(), "Accept": "application/json"},
    }


def request(wire: HttpRequest, key: str, timeout: float) -> dict[str, Any]:
    """The arguments of ``httpx.Client.request``; the key is in here and nowhere else."""
    headers = {"Authorization": f"Bearer {key}"}
    if wire.body is not None:
        headers["Content-Type"] = "application/json"
    arguments: dict[str, Any] = {
        "method": wire.method,
        "url": wire.url,
        "headers": headers,
        "content": wire.body,
    }
    if wire.attachment is not None:
        file = wire.attachment
        arguments["files"] = {"file": (file.name, file.content, file.content_type)}
    if wire.patience:
        arguments["timeout"] = httpx.Timeout(timeout + wire.patience, connect=min(timeout, 10.0))
    return arguments


def answered(response: httpx.Response) -> HttpReply:
    """The reply as a value."""
    headers: Mapping[str, str] = response.headers
    return HttpReply(status=response.status_code, headers=headers, content=response.content)


def unreachable(wire: HttpRequest, error: Exception) -> Unreachable:
    """What it means that there was no reply. Not chained: httpx's error holds the key."""
    return Unreachable(
        wire.method,
        wire.path,
        f"{type(error).__name__}: {error}" if str(error) else type(error).__name__,
        sent=not isinstance(error, _NOT_SENT),
    )
