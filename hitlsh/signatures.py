"""The HMAC-SHA256 signature of account webhooks, over the raw body, in hex.

Follows https://docs.hitl.sh, "Webhooks" and "Global webhooks". The two pages name the header differently and
disagree on the ``sha256=`` prefix: both headers are accepted, with the prefix or without.
"""

import hmac
import re
from collections.abc import Iterable, Sequence
from typing import Literal

from hitlsh.errors import DeliveryRefused

#: Header names as an ASGI scope spells them.
SIGNATURE_HEADERS = (b"x-hitl-signature-256", b"x-hitl-signature")

Reason = Literal["signature_missing", "signature_malformed", "signature_duplicated", "signature_mismatch"]

_SIGNATURE = re.compile(rb"(?i:sha256=)?([0-9a-fA-F]{64})")
_SENTENCES: dict[Reason, str] = {
    "signature_missing": (
        "the delivery has no X-HITL-Signature-256 or X-HITL-Signature header; "
        "set the webhook's secret at HITL.sh, or use a signed callback URL"
    ),
    "signature_malformed": (
        "the delivery's signature header is not 64 hex digits, alone or after sha256=; "
        "look for a proxy that rewrites it"
    ),
    "signature_duplicated": "the delivery has a signature header twice; look for a proxy that adds one",
    "signature_mismatch": (
        "the delivery's signature fits none of the configured secrets; "
        "compare them with the secret of the webhook at HITL.sh, and look for a proxy that rewrites bodies"
    ),
}


class SignatureInvalid(DeliveryRefused):
    """A delivery has no signature that proves that HITL.sh sent it."""

    #: ``signature_missing``, ``signature_malformed``, ``signature_duplicated`` or ``signature_mismatch``.
    reason: Reason

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason)
        self.reason = reason

    def __str__(self) -> str:
        return _SENTENCES[self.reason]


def sign(secret: str | bytes, body: bytes) -> str:
    """Return the signature of a body: 64 hex digits in lower case."""
    return hmac.digest(_key(secret), body, "sha256").hex()


def headers(secret: str | bytes, body: bytes) -> dict[str, str]:
    """Return the headers that HITL.sh sends with an account webhook."""
    return {"X-HITL-Signature-256": f"sha256={sign(secret, body)}"}


def header_values(request_headers: Iterable[tuple[bytes, bytes]]) -> tuple[bytes, ...]:
    """Return the values of the signature headers in an ASGI scope's headers.

    Raises SignatureInvalid for a header that occurs twice.
    """
    values: dict[bytes, bytes] = {}
    for name, value in request_headers:
        if name in SIGNATURE_HEADERS:
            if name in values:
                raise SignatureInvalid("signature_duplicated")
            values[name] = value
    return tuple(values.values())


def verify(secrets: Sequence[str | bytes], header_values: Sequence[bytes], body: bytes) -> None:
    """Verify that a body has a signature, and that each of its signatures fits one of the secrets.

    ``header_values``: as the function of that name returns them. Raises SignatureInvalid, ValueError without a secret,
    and TypeError for a single string. The time it takes reveals nothing of the secrets: all of them are tried, and each
    comparison takes constant time.
    """
    if isinstance(secrets, str | bytes):
        raise TypeError("verify needs a list of webhook secrets: each character of a string would be a secret")
    if not secrets or not all(secrets):
        raise ValueError("verify needs at least one webhook secret and no empty one: an empty key proves nothing")
    if not header_values:
        raise SignatureInvalid("signature_missing")
    if len(header_values) > len(SIGNATURE_HEADERS):
        raise SignatureInvalid("signature_duplicated")
    signatures = [_digest(value) for value in header_values]
    expected = [hmac.digest(_key(secret), body, "sha256") for secret in secrets]
    for signature in signatures:
        # A list, not a generator: every comparison is made, also after one that fits.
        fits = [hmac.compare_digest(digest, signature) for digest in expected]
        if not any(fits):
            raise SignatureInvalid("signature_mismatch")


def _digest(value: bytes) -> bytes:
    match = _SIGNATURE.fullmatch(value)
    if match is None:
        raise SignatureInvalid("signature_malformed")
    return bytes.fromhex(match[1].decode("ascii"))


def _key(secret: str | bytes) -> bytes:
    return secret.encode() if isinstance(secret, str) else secret
