"""The URL of a hook: a secret, of which only the host may be shown."""

import hashlib
import html
import ipaddress
from typing import Any
from urllib.parse import unquote

import httpx

from hitlsh.api.http.credentials import is_loopback
from workers.errors import RouteInvalid
from workers.sinks.addresses import refusal_reason

#: Domains that public DNS does not resolve.
_PRIVATE_ENDINGS = (".local", ".internal", ".lan", ".home.arpa", ".test")
#: Shorter parts of a path are no secret, and too common in text to redact.
_SHORTEST_SECRET = 6


class HookUrl:
    """A URL to post to; its `repr` shows only the host."""

    __slots__ = ("_secrets", "host", "url")

    def __init__(self, url: Any, *, sink: str) -> None:
        """`sink`: class name for messages. Raises `RouteInvalid`, which shows only the host of the URL."""
        self.url = _parsed(url, sink)
        #: With the port, if one is given.
        self.host = self.url.netloc.decode("ascii")
        if reason := refusal_reason(self.url.host):
            raise RouteInvalid(f"{sink}(...): {self.host} is {reason}; give another address to post to")
        if self.url.scheme == "http" and not _is_private(self.url.host):
            raise RouteInvalid(
                f"{sink}(...): http:// to {self.host} sends decisions unencrypted; "
                f"use https:// (plain http is for private hosts)"
            )
        self._secrets = _secrets(self.url)

    def __repr__(self) -> str:
        return f"<HookUrl {self.host}>"

    @property
    def address(self) -> tuple[str, int]:
        """Host and port."""
        return self.url.host, self.url.port or (443 if self.url.scheme == "https" else 80)

    @property
    def digest(self) -> str:
        """A hash that identifies this hook without disclosing its URL."""
        return hashlib.sha256(str(self.url).encode()).hexdigest()

    def redact(self, text: str) -> str:
        """The text without path, query and credentials of the URL, which targets may repeat in their answers."""
        for secret in self._secrets:
            text = text.replace(secret, "…")
        return text


def _parsed(url: Any, sink: str) -> httpx.URL:
    if not isinstance(url, str) or not url:
        described = "an empty text" if url == "" else f"a {type(url).__name__}"
        raise RouteInvalid(f"{sink}({described}): give the address to post to (is its setting empty?)")
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL as error:
        # The message of the error quotes parts of the URL, so it is not repeated.
        raise RouteInvalid(f"{sink}(...): its URL cannot be read ({type(error).__name__}); copy it again") from None
    if parsed.scheme not in {"http", "https"} or not parsed.host or url != url.strip():
        raise RouteInvalid(f"{sink}(...): its URL must begin with https://, then a host, without blanks around it")
    return parsed


def _is_private(host: str) -> bool:
    """Whether the host name or address is on this machine or in a private network, judged by the name."""
    try:
        return not ipaddress.ip_address(host).is_global
    except ValueError:
        return is_loopback(host) or "." not in host or host.endswith(_PRIVATE_ENDINGS)


def _secrets(url: httpx.URL) -> tuple[str, ...]:
    """The secret parts of the URL, in every encoding, longest first."""
    target = url.raw_path.decode("ascii")
    path, _, query = target.partition("?")
    values = [part for pair in query.split("&") for part in pair.split("=")]
    parts = [target, path, query, url.username, url.password, *path.split("/"), *values]
    long = [part for part in parts if len(part) >= _SHORTEST_SECRET]
    plain = {spelling for part in long for spelling in (part, unquote(part))}
    encoded = plain | {html.escape(part) for part in plain}
    return tuple(sorted(encoded, key=lambda part: (-len(part), part)))
