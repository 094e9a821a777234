"""Receive HITL.sh webhooks in any framework: verify the sender and parse the event, without I/O.

Follows https://docs.hitl.sh, "Webhooks" and "Global webhooks"::

    from hitlsh.webhooks import DeliveryRefused, Event, receive

    try:
        delivery = receive(request.headers, request.body, secrets=[secret])
    except DeliveryRefused as refused:
        return Response(status=refused.status)
    if isinstance(delivery.event, Event) and delivery.event.outcome == "completed":
        print(delivery.event.request_id, delivery.event.response)

What is not accepted raises a subclass of `DeliveryRefused`, whose ``status`` is the HTTP status to answer with::

    HitlshError
    └── DeliveryRefused
        ├── SignatureInvalid     401: no signature of HITL.sh fits the body
        ├── CallbackInvalid      401: the callback token is not ours, or has expired
        └── BodyInvalid          400 or 415: verified, but not JSON
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hitlsh.callbacks import CallbackInvalid, CallbackSigner, CallbackToken
    from hitlsh.errors import DeliveryRefused
    from hitlsh.events import Event, LoopMember, RefundInfo, Reviewer, Unreadable
    from hitlsh.signatures import SignatureInvalid
    from hitlsh.webhooks.delivery_headers import Headers
    from hitlsh.webhooks.parsing import parse
    from hitlsh.webhooks.receiving import BodyInvalid, VerifiedDelivery, receive, receive_callback

__all__ = [
    "BodyInvalid",
    "CallbackInvalid",
    "CallbackSigner",
    "CallbackToken",
    "DeliveryRefused",
    "Event",
    "Headers",
    "LoopMember",
    "RefundInfo",
    "Reviewer",
    "SignatureInvalid",
    "Unreadable",
    "VerifiedDelivery",
    "parse",
    "receive",
    "receive_callback",
]

#: The module that defines each public name. A name is imported at its first use (PEP 562), so that importing a
#: submodule imports only what that submodule needs.
_MODULES = {
    "CallbackInvalid": "hitlsh.callbacks",
    "CallbackSigner": "hitlsh.callbacks",
    "CallbackToken": "hitlsh.callbacks",
    "DeliveryRefused": "hitlsh.errors",
    "Event": "hitlsh.events",
    "LoopMember": "hitlsh.events",
    "RefundInfo": "hitlsh.events",
    "Reviewer": "hitlsh.events",
    "Unreadable": "hitlsh.events",
    "SignatureInvalid": "hitlsh.signatures",
    "Headers": "hitlsh.webhooks.delivery_headers",
    "parse": "hitlsh.webhooks.parsing",
    "BodyInvalid": "hitlsh.webhooks.receiving",
    "VerifiedDelivery": "hitlsh.webhooks.receiving",
    "receive": "hitlsh.webhooks.receiving",
    "receive_callback": "hitlsh.webhooks.receiving",
}


if not TYPE_CHECKING:  # a type checker would accept every name

    def __getattr__(name: str) -> Any:
        if name not in _MODULES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = getattr(import_module(_MODULES[name]), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
