"""Signatures by the Standard Webhooks scheme (https://www.standardwebhooks.com)."""

import base64
import binascii
from datetime import datetime
from typing import Any

import standardwebhooks

from workers.errors import RouteInvalid

_PREFIX = "whsec_"
#: Bytes of a secret that the scheme allows.
_SHORTEST, _LONGEST = 24, 64


class Signer:
    """Signs with each of its secrets, so that during a rotation a receiver may have any of them."""

    def __init__(self, secrets: Any, *, sink: str) -> None:
        """`secrets`: one or several; raises `RouteInvalid`, whose message never contains one."""
        all_secrets = list(secrets) if isinstance(secrets, list | tuple) else [secrets]
        if not all_secrets:
            raise RouteInvalid(f"{sink}(secret=[]): give a secret, or leave it out to send unsigned")
        self._keys = [standardwebhooks.Webhook(_key(secret, sink)) for secret in all_secrets]

    def signature(self, message_id: str, at: datetime, body: bytes) -> str:
        """The value of ``webhook-signature``. `at`: an aware time, used in whole seconds."""
        text = body.decode()
        return " ".join(key.sign(message_id, at, text) for key in self._keys)


def scheme_headers(message_id: str, at: datetime, body: bytes, signer: Signer | None) -> dict[str, str]:
    """The headers of the scheme; without a signer, all except the signature."""
    headers = {"webhook-id": message_id, "webhook-timestamp": str(int(at.timestamp()))}
    return headers if signer is None else {**headers, "webhook-signature": signer.signature(message_id, at, body)}


def _key(secret: Any, sink: str) -> bytes:
    encoded = secret.removeprefix(_PREFIX) if isinstance(secret, str) else ""
    try:
        key = base64.b64decode(encoded + "=" * (-len(encoded) % 4), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not _SHORTEST <= len(key) <= _LONGEST:
        raise RouteInvalid(
            f"{sink}(secret=...): a secret is {_PREFIX} and the base64 of {_SHORTEST} to {_LONGEST} random bytes, "
            f"and the receiver has the same; make one with python -c "
            f"\"import base64, secrets; print('{_PREFIX}' + base64.b64encode(secrets.token_bytes(32)).decode())\", "
            f"or leave it out to send unsigned"
        )
    return key
