"""The receiver's URL and the token, from arguments or the environment, checked before the first call."""

import ipaddress
from collections.abc import Mapping

from hitlsh.api.http.credentials import is_loopback, split
from hitlsh.asking_client.client_errors import HitlMisconfigured

URL_VARIABLE, TOKEN_VARIABLE = "HITL_RECEIVER_URL", "HITL_RECEIVER_TOKEN"  # a name


def receiver_url(argument: str | None, environ: Mapping[str, str]) -> str:
    """The URL without a final slash; raises `HitlMisconfigured` if it is missing, invalid or unsafe."""
    url = argument if argument is not None else environ.get(URL_VARIABLE, "")
    if not url:
        raise HitlMisconfigured(f"{URL_VARIABLE} is not set: set it to the receiver's address, or give url=")
    parts = split(url)
    if parts is None or parts.query or parts.fragment:
        raise HitlMisconfigured(f"{URL_VARIABLE} is no address: give one like https://receiver.example.com")
    if parts.username is not None or parts.password is not None:
        raise HitlMisconfigured(f"{URL_VARIABLE} holds a user name or password: give the token as {TOKEN_VARIABLE}")
    if parts.scheme == "http" and not _is_private(parts.hostname or ""):
        raise HitlMisconfigured(
            f"{URL_VARIABLE} would send the token in clear to {parts.hostname}: use https, or http in a private network"
        )
    return url.rstrip("/")


def receiver_token(argument: str | None, environ: Mapping[str, str]) -> str:
    """The token; raises `HitlMisconfigured` if it is missing or cannot be sent in a header."""
    token = argument if argument is not None else environ.get(TOKEN_VARIABLE, "")
    if not token:
        raise HitlMisconfigured(
            f"{TOKEN_VARIABLE} is not set: set it to a token of the receiver's HITL_TOKENS, or give token="
        )
    if not all("!" <= character <= "~" for character in token):
        raise HitlMisconfigured(
            f"{TOKEN_VARIABLE} holds a blank or a character that no token has: copy it again, without newlines"
        )
    return token


def _is_private(host: str) -> bool:
    """Whether the host is in a private network, judged by its name: loopback, a plain name, a private address."""
    if is_loopback(host) or ("." not in host.rstrip(".") and ":" not in host):
        return True
    try:
        return ipaddress.ip_address(host).is_private
    except ValueError:
        return host.rstrip(".").endswith((".internal", ".local", ".svc"))
