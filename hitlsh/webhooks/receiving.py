"""Receive a webhook delivery: headers and body in, a verified event out. Pure, for use in any framework.

Two kinds of deliveries are told apart by how they are verified:

- an account webhook carries an HMAC over its body: ``receive``;
- HITL.sh does not sign what it posts to the callback URL of a request, so the URL holds a token of ours:
  ``receive_callback``.

Both verify before they look at the body. Both raise ``DeliveryRefused`` or one of its subclasses, whose ``status``
is the HTTP status to answer with. See https://docs.hitl.sh, "Webhooks" and "Global webhooks".
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
    """One HTTP POST whose sender is proven, and the event in it."""

    #: ``Unreadable`` for verified JSON of no known form: keep its body, since HITL.sh may have added the form.
    event: Event | Unreadable
    #: The bytes as they came.
    body: bytes
    #: ``signed`` for an account webhook, ``callback`` for a callback URL.
    trust: Trust
    #: What the callback URL says: its id, and the state that was put in it. None for an account webhook.
    callback: CallbackToken | None = None

    def __repr__(self) -> str:
        return f"VerifiedDelivery(event={self.event.key!r}, body=<{len(self.body)} bytes>, trust={self.trust!r})"


class BodyInvalid(DeliveryRefused):
    """A delivery is verified, but its body is not JSON, or is declared as something else.

    HITL.sh will not send it again: keep ``delivery.body`` if nothing may be lost.
    """

    def __init__(self, delivery: VerifiedDelivery) -> None:
        assert isinstance(delivery.event, Unreadable)
        super().__init__(delivery)
        #: What was verified; ``event`` is an ``Unreadable``.
        self.delivery = delivery
        #: ``not_json``, ``unsupported_type`` or ``unsupported_encoding``.
        self.reason = delivery.event.reason

    @property
    def status(self) -> int:  # type: ignore[override] # the one class with two statuses
        """400 for a body that is not JSON, 415 for one that is declared as something else."""
        return 400 if self.reason == "not_json" else 415

    def __str__(self) -> str:
        return _SENTENCES[self.reason]


def receive(headers: Headers, body: bytes, *, secrets: Sequence[str | bytes]) -> VerifiedDelivery:
    """Verify and read one delivery of an account webhook.

    ``headers``: of the request, as a mapping or as pairs. ``body``: the raw bytes, before anything decodes them.
    ``secrets``: of the webhook at HITL.sh; during a rotation both, in any order.

    Raises SignatureInvalid (answer 401) unless ``X-HITL-Signature-256`` or ``X-HITL-Signature`` fits the body,
    BodyInvalid (400 or 415) for a verified body that is not JSON, and ValueError without a secret.
    """
    _check_bytes(body)
    given = raw_headers(headers)
    verify(secrets, header_values(given), body)
    return read_verified(given, body, trust="signed")


def receive_callback(token: str, body: bytes, *, signer: CallbackSigner, headers: Headers = ()) -> VerifiedDelivery:
    """Verify and read one delivery to a callback URL.

    ``token``: the last part of the URL's path, as ``signer.mint`` returned it. ``headers``: of the request; where
    they are given, a body that they do not declare as plain JSON is refused.

    Raises CallbackInvalid (answer 401) unless the token is ours and not expired, and BodyInvalid (400 or 415) for a
    body that is not JSON.
    """
    _check_bytes(body)
    return read_verified(raw_headers(headers), body, trust="callback", callback=signer.read(token))


def read_verified(
    headers: Iterable[tuple[bytes, bytes]], body: bytes, *, trust: Trust, callback: CallbackToken | None = None
) -> VerifiedDelivery:
    """Read the event of a delivery that is verified already; raises BodyInvalid.

    For a server that verifies a callback's token before it reads the body. Headers as in an ASGI scope.
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
            f"the body must be bytes as they came, not {type(body).__name__}: "
            "a signature does not fit a body that was decoded or written again"
        )
