"""Checks the API key and the base URL of a client before the first call."""

import ipaddress
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from urllib.parse import SplitResult, urlsplit

from hitlsh.api.errors import ClientMisconfigured

DEFAULT_BASE_URL = "https://api.hitl.sh/v1"


def check_key(api_key: str) -> str:
    """Return the key; raises ClientMisconfigured for one that a header cannot hold. Its form is not checked."""
    if not api_key:
        raise ClientMisconfigured("the API key is empty: create one at HITL.sh and set HITL_API_KEY")
    if not all("!" <= character <= "~" for character in api_key):
        raise ClientMisconfigured(
            "the API key holds a blank or a character that no key has: copy it again, without spaces or newlines"
        )
    return api_key


def check_base_url(base_url: str) -> str:
    """Return the base URL without a final slash; raises ClientMisconfigured for one that is not usable or not safe."""
    parts = split(base_url)
    if parts is None or parts.query or parts.fragment:
        raise ClientMisconfigured(f"the base URL {base_url!r} is not an address: give one like {DEFAULT_BASE_URL}")
    if parts.username is not None or parts.password is not None:
        raise ClientMisconfigured("the base URL holds a user name or password: give the key as api_key instead")
    if parts.scheme == "http" and not is_loopback(parts.hostname or ""):
        raise ClientMisconfigured(
            f"the base URL {base_url!r} would send the API key in clear: use https, or http to localhost only"
        )
    return base_url.rstrip("/")


def split(address: str) -> SplitResult | None:
    """Return the parts of an absolute http or https URL; None for anything else."""
    try:
        parts = urlsplit(address)
        parts.port  # noqa: B018  # raises for an invalid port
    except ValueError:
        return None
    return parts if parts.scheme in ("http", "https") and parts.hostname else None


def check_prefix(api_prefix: str) -> str:
    """Return the prefix without a final slash: ``/api`` as documented, or empty."""
    prefix = api_prefix.rstrip("/")
    if prefix and not prefix.startswith("/"):
        raise ClientMisconfigured(f"api_prefix {api_prefix!r} must be empty or begin with a slash, such as '/api'")
    return prefix


def is_loopback(host: str) -> bool:
    """Return whether a host name is a loopback name or address."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


@cache
def user_agent() -> str:
    """Return the User-Agent: ``hitl-receiver/<version>``."""
    try:
        return f"hitl-receiver/{version('hitl-receiver')}"
    except PackageNotFoundError:
        return "hitl-receiver/0"
