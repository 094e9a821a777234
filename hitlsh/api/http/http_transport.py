"""Maps requests, replies and errors of the client to those of httpx."""

import ssl
from collections.abc import Mapping
from typing import Any

import httpx

from hitlsh.api.errors import Unreachable
from hitlsh.api.http.credentials import user_agent
from hitlsh.api.http.replies import HttpReply
from hitlsh.api.operations import HttpRequest

#: Errors before the first byte of a request is sent.
_NOT_SENT = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
    httpx.ProxyError,
    httpx.UnsupportedProtocol,
)

#: Errors of httpx that mean that there is no reply.
NO_REPLY = (httpx.TransportError, httpx.DecodingError)


def options(base_url: str, timeout: float) -> dict[str, Any]:
    """Return the options of both httpx clients; the proxy settings of the environment do not apply to loopback."""
    encrypted = base_url.startswith("https:")
    return {
        "timeout": httpx.Timeout(timeout, connect=min(timeout, 10.0)),
        "follow_redirects": False,
        "trust_env": encrypted,
        # Loading the certificates of all authorities takes 25 ms. Plain HTTP needs none; without any, TLS would fail.
        "verify": encrypted or ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT),
        "headers": {"User-Agent": user_agent(), "Accept": "application/json"},
    }


def request(http_request: HttpRequest, key: str, timeout: float) -> dict[str, Any]:
    """Return the arguments of ``httpx.Client.request``, the API key included."""
    headers = {"Authorization": f"Bearer {key}"}
    if http_request.body is not None:
        headers["Content-Type"] = "application/json"
    if http_request.traceparent:
        headers["traceparent"] = http_request.traceparent
    arguments: dict[str, Any] = {
        "method": http_request.method,
        "url": http_request.url,
        "headers": headers,
        "content": http_request.body,
    }
    if http_request.attachment is not None:
        file = http_request.attachment
        arguments["files"] = {"file": (file.name, file.content, file.content_type)}
    if http_request.hold_seconds:
        arguments["timeout"] = httpx.Timeout(timeout + http_request.hold_seconds, connect=min(timeout, 10.0))
    return arguments


def reply(response: httpx.Response) -> HttpReply:
    """Return a response as a value."""
    headers: Mapping[str, str] = response.headers
    return HttpReply(status=response.status_code, headers=headers, content=response.content)


def unreachable(http_request: HttpRequest, error: Exception) -> Unreachable:
    """Return the error for a missing reply. Not chained: the error of httpx holds the API key."""
    return Unreachable(
        http_request.method,
        http_request.path,
        f"{type(error).__name__}: {error}" if str(error) else type(error).__name__,
        sent=not isinstance(error, _NOT_SENT),
    )
