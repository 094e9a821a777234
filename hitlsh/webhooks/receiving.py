"""Receives a webhook delivery: verifies its headers and body and returns its event. Pure, for any framework.

How a delivery is verified depends on where it is received:

- `receive`: an account webhook has an HMAC over its body;
- `receive_callback`: HITL.sh does not sign what it posts to a callback URL, so the URL holds a token of ours.

Both verify before they parse. Both raise a subclass of `DeliveryRefused`, whose ``status`` is the HTTP status to answer
with. Follows https://docs.hitl.sh, "Webhooks" and "Global webhooks".
"""

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from hitlsh.callbacks import CallbackSigner, CallbackToken
from hitlsh.errors import DeliveryRefused
from hitlsh.events import Event, Trust, Unreadable
from hitlsh.signatures import header_values, verify
from hitlsh.webhooks.delivery_headers import Headers, raw_headers, unsupported_form
from hitlsh.webhooks.parsing import parse

_SENTENCES = {
    "not_json": "the delivery is verified, but its body is not JSON; look for a proxy that rewrites it",
    "unsupported_type": "the delivery is verified, but its Content-Type is not JSON; look for a proxy that rewrites it",
    "unsupported_encoding": (
        "the delivery is verified, but its body is compressed; look for a proxy that compresses requests"
    ),
}


class VerifiedDelivery(msgspec.Struct, frozen=True, kw_only=True):
    """A verified delivery, and the event in it."""

    #: `Unreadable` for JSON of an unknown form: store the body, since HITL.sh may have added the form.
    event: Event | Unreadable
    #: The raw bytes.
    body: bytes
    #: ``signed`` for an account webhook, ``callback`` for a callback URL.
    trust: Trust
    #: The content of the callback token: its id and the caller's state. None for an account webhook.
    callback: CallbackToken | None = None

    def __repr__(self) -> str:
        return f"VerifiedDelivery(event={self.event.key!r}, body=<{len(self.body)} bytes>, trust={self.trust!r})"


class BodyInvalid(DeliveryRefused):
    """A delivery is verified, but its body is not JSON or is not declared as JSON.

    HITL.sh does not send it again: store ``delivery.body`` if nothing may be lost.
    """

    def __init__(self, delivery: VerifiedDelivery) -> None:
        assert isinstance(delivery.event, Unreadable)
        super().__init__(delivery)
        #: The verified delivery; its event is an `Unreadable`.
        self.delivery = delivery
        #: ``not_json``, ``unsupported_type`` or ``unsupported_encoding``.
        self.reason = delivery.event.reason

    @property
    def status(self) -> int:  # type: ignore[override] # the one class with two statuses
        """400 for a body that is not JSON, 415 for a body that is not declared as JSON."""
        return 400 if self.reason == "not_json" else 415

    def __str__(self) -> str:
        return _SENTENCES[self.reason]


def receive(headers: Headers, body: bytes, *, secrets: Sequence[str | bytes]) -> VerifiedDelivery:
    """Verify and parse one delivery of an account webhook.

    ``headers``: the request's headers, as a mapping or as pairs. ``body``: the raw bytes, not decoded. ``secrets``: the
    secret of the webhook at HITL.sh; during a rotation both, in any order.

    Raises SignatureInvalid (answer 401) unless ``X-HITL-Signature-256`` or ``X-HITL-Signature`` fits the body,
    BodyInvalid (400 or 415) for a verified body that is not JSON, and ValueError without a secret.
    """
    _check_bytes(body)
    pairs = raw_headers(headers)
    verify(secrets, header_values(pairs), body)
    return read_verified(pairs, body, trust="signed")


def receive_callback(token: str, body: bytes, *, signer: CallbackSigner, headers: Headers = ()) -> VerifiedDelivery:
    """Verify and parse one delivery to a callback URL.

    ``token``: the last part of the URL's path, as ``signer.mint`` returned it. ``headers``: the request's headers; with
    them, a body that is not declared as JSON is refused.

    Raises CallbackInvalid (answer 401) for a token that is not ours or has expired, and BodyInvalid (400 or 415) for a
    body that is not JSON.
    """
    _check_bytes(body)
    return read_verified(raw_headers(headers), body, trust="callback", callback=signer.read(token))


def read_verified(
    headers: Iterable[tuple[bytes, bytes]], body: bytes, *, trust: Trust, callback: CallbackToken | None = None
) -> VerifiedDelivery:
    """Parse a delivery that is verified already; raises BodyInvalid.

    For a server that verifies the callback token before it reads the body. ``headers``: as in an ASGI scope.
    """
    form = unsupported_form(headers)
    event = parse(body) if form is None else Unreadable.of(body, form)
    delivery = VerifiedDelivery(event=event, body=body, trust=trust, callback=callback)
    if isinstance(event, Unreadable) and event.reason != "unknown_shape":
        raise BodyInvalid(delivery)
    return delivery


def _check_bytes(body: Any) -> None:
    if not isinstance(body, bytes):
        raise TypeError(
            f"the body must be bytes, not {type(body).__name__}: "
            "a signature fits only the raw body, not one that was decoded"
        )
