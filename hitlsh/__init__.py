"""HITL.sh's vocabulary: the API client, the questions to ask, and what comes back by webhook."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hitlsh.api import (
        ApiError,
        AsyncClient,
        Client,
        LocalBudget,
        Option,
        RateLimit,
        RetryPolicy,
        boolean,
        editable_text,
        multi_select,
        number,
        rating,
        single_select,
        text,
    )
    from hitlsh.callbacks import CallbackInvalid, CallbackSigner, CallbackToken, StateInvalid, StateTooLarge
    from hitlsh.errors import DeliveryRefused, HitlshError
    from hitlsh.events import Event, LoopMember, RefundInfo, Reviewer, Unreadable
    from hitlsh.samples.catalog import SampleInvalid
    from hitlsh.signatures import SignatureInvalid
    from hitlsh.webhooks.delivery_headers import Headers
    from hitlsh.webhooks.parsing import parse
    from hitlsh.webhooks.receiving import BodyInvalid, VerifiedDelivery, receive, receive_callback

__all__ = [
    "ApiError",
    "AsyncClient",
    "BodyInvalid",
    "CallbackInvalid",
    "CallbackSigner",
    "CallbackToken",
    "Client",
    "DeliveryRefused",
    "Event",
    "Headers",
    "HitlshError",
    "LocalBudget",
    "LoopMember",
    "Option",
    "RateLimit",
    "RefundInfo",
    "RetryPolicy",
    "Reviewer",
    "SampleInvalid",
    "SignatureInvalid",
    "StateInvalid",
    "StateTooLarge",
    "Unreadable",
    "VerifiedDelivery",
    "boolean",
    "editable_text",
    "multi_select",
    "number",
    "parse",
    "rating",
    "receive",
    "receive_callback",
    "single_select",
    "text",
]

#: Where each public name is defined. They are imported at first use (PEP 562), so that importing a submodule
#: imports nothing but what that submodule needs.
_MODULES = {
    "ApiError": "hitlsh.api",
    "AsyncClient": "hitlsh.api",
    "Client": "hitlsh.api",
    "LocalBudget": "hitlsh.api",
    "Option": "hitlsh.api",
    "RateLimit": "hitlsh.api",
    "RetryPolicy": "hitlsh.api",
    "boolean": "hitlsh.api",
    "editable_text": "hitlsh.api",
    "multi_select": "hitlsh.api",
    "number": "hitlsh.api",
    "rating": "hitlsh.api",
    "single_select": "hitlsh.api",
    "text": "hitlsh.api",
    "CallbackToken": "hitlsh.callbacks",
    "CallbackInvalid": "hitlsh.callbacks",
    "CallbackSigner": "hitlsh.callbacks",
    "StateInvalid": "hitlsh.callbacks",
    "StateTooLarge": "hitlsh.callbacks",
    "DeliveryRefused": "hitlsh.errors",
    "HitlshError": "hitlsh.errors",
    "Event": "hitlsh.events",
    "LoopMember": "hitlsh.events",
    "RefundInfo": "hitlsh.events",
    "Reviewer": "hitlsh.events",
    "Unreadable": "hitlsh.events",
    "SampleInvalid": "hitlsh.samples.catalog",
    "SignatureInvalid": "hitlsh.signatures",
    "Headers": "hitlsh.webhooks.delivery_headers",
    "parse": "hitlsh.webhooks.parsing",
    "BodyInvalid": "hitlsh.webhooks.receiving",
    "VerifiedDelivery": "hitlsh.webhooks.receiving",
    "receive": "hitlsh.webhooks.receiving",
    "receive_callback": "hitlsh.webhooks.receiving",
}


if not TYPE_CHECKING:  # a type checker would take any name for a public one

    def __getattr__(name: str) -> Any:
        if name not in _MODULES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = getattr(import_module(_MODULES[name]), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
