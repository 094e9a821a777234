"""HITL.sh for Python: receive its webhooks, call its API, ask questions.

Follows https://docs.hitl.sh. Nothing here needs Redis, RQ or a web framework:

- `hitlsh.webhooks` verifies and parses deliveries, without I/O;
- `hitlsh.api` is a typed client, blocking and asyncio;
- `Hitl` and `AsyncHitl` ask a person through a receiver and wait for the answer; `hitlsh.asking` has the values;
- `hitlsh.signatures`, `hitlsh.callbacks` and `hitlsh.samples` are their parts.

Every exception descends from `HitlshError`. A wrong argument of receiving, such as an empty list of secrets, is a
plain ValueError or TypeError::

    HitlshError
    ├── DeliveryRefused          a delivery is not accepted; answer it with `status`
    │   ├── SignatureInvalid     401: no signature of HITL.sh fits the body
    │   ├── CallbackInvalid      401: the callback token is not ours, or has expired
    │   └── BodyInvalid          400 or 415: verified, but not JSON
    ├── StateInvalid             a callback's state is not plain JSON
    │   └── StateTooLarge        a callback's state is longer than 2,048 bytes
    ├── SampleInvalid            there is no such sample                          (also a ValueError)
    ├── AskError                 a question was not asked, or a request not changed
    │   ├── QuestionInvalid      the question breaks a limit                      (also a ValueError)
    │   ├── KeyConflict          the key belongs to another question
    │   ├── AskRefused           it cannot be asked now; says when to come again
    │   ├── AskUnknown           no asked request has this id
    │   ├── CannotCancel         the request can no longer be cancelled, or not yet
    │   ├── NotAnswered          it ended without an answer, and an answer was demanded
    │   ├── NotApproved          no person approved, so the function did not run
    │   ├── StillOpen            the wait is over before the request            (also a TimeoutError)
    │   ├── AnswerUnexpected     the answer is none that the question offers      (also a ValueError)
    │   ├── HitlMisconfigured    the receiver's URL or the token cannot be used   (also a ValueError)
    │   ├── TokenRefused         401 or 403: the receiver refuses the token
    │   ├── ReceiverUnreachable  no reply of the receiver, for as long as was tried
    │   └── ReceiverFailed       another error of the receiver, or a reply in no documented form
    └── ApiError                 a call did not return what it was made for
        ├── ClientMisconfigured  the API key or the base URL cannot be used       (also a ValueError)
        ├── ArgumentInvalid      an argument breaks a limit; no call was made     (also a ValueError)
        ├── BudgetExhausted      the client's own budget has no call left; no call was made
        ├── Unreachable          no reply: connection, TLS or timeout
        ├── UnexpectedReply      a reply that is not in the documented form
        └── StatusError          HITL.sh answered with an error
            ├── BadRequest       400
            ├── Unauthorized     401
            ├── Forbidden        403
            ├── NotFound         404
            ├── Conflict         409
            ├── RateLimited      429
            └── ServerError      5xx

HITL.sh has no machine-readable error codes: tell errors apart by their class first and by ``msg`` second.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hitlsh.api.answers import Answer, outcome_of, read_answer
    from hitlsh.api.client import AsyncClient, Client
    from hitlsh.api.errors import (
        ApiError,
        ArgumentInvalid,
        BadRequest,
        BudgetExhausted,
        ClientMisconfigured,
        Conflict,
        Forbidden,
        NotFound,
        RateLimited,
        ServerError,
        StatusError,
        Unauthorized,
        UnexpectedReply,
        Unreachable,
    )
    from hitlsh.api.http.rate_limit import AsyncBudget, Budget, LocalBudget, RateLimit
    from hitlsh.api.http.retrying import RetryPolicy
    from hitlsh.api.questions.builders import (
        Option,
        Question,
        boolean,
        editable_text,
        multi_select,
        number,
        rating,
        single_select,
        text,
        whole_number,
    )
    from hitlsh.api.questions.content import Content, audio, file, image, video
    from hitlsh.api.questions.request_body import DocumentedLimitWarning
    from hitlsh.api.request_recorder import AsyncRequestRecorder, RequestRecorder, SentRequest
    from hitlsh.asking.ask_errors import AskError, AskRefused, AskUnknown, CannotCancel, KeyConflict, QuestionInvalid
    from hitlsh.asking.ask_outcomes import Answered, Cancelled, Conflicted, Lost, TimedOut
    from hitlsh.asking.asked_request import AskedRequest
    from hitlsh.asking_client.approval import approve
    from hitlsh.asking_client.client_errors import (
        AnswerUnexpected,
        HitlMisconfigured,
        NotAnswered,
        NotApproved,
        ReceiverFailed,
        ReceiverUnreachable,
        StillOpen,
        TokenRefused,
    )
    from hitlsh.asking_client.hitl import AsyncHitl, Hitl
    from hitlsh.asking_client.hitl_core import RequestHandle
    from hitlsh.asking_client.typed_outcomes import Defaulted, TypedOutcome
    from hitlsh.callbacks import CallbackInvalid, CallbackSigner, CallbackToken, StateInvalid, StateTooLarge
    from hitlsh.errors import DeliveryRefused, HitlshError
    from hitlsh.event_json import decode_event, encode_event
    from hitlsh.events import Event, LoopMember, RefundInfo, Reviewer, Unreadable
    from hitlsh.samples.catalog import Sample, SampleInvalid, sample
    from hitlsh.signatures import SignatureInvalid
    from hitlsh.webhooks.delivery_headers import Headers
    from hitlsh.webhooks.parsing import parse
    from hitlsh.webhooks.receiving import BodyInvalid, VerifiedDelivery, receive, receive_callback

__all__ = [
    "Answer",
    "AnswerUnexpected",
    "Answered",
    "ApiError",
    "ArgumentInvalid",
    "AskError",
    "AskRefused",
    "AskUnknown",
    "AskedRequest",
    "AsyncBudget",
    "AsyncClient",
    "AsyncHitl",
    "AsyncRequestRecorder",
    "BadRequest",
    "BodyInvalid",
    "Budget",
    "BudgetExhausted",
    "CallbackInvalid",
    "CallbackSigner",
    "CallbackToken",
    "Cancelled",
    "CannotCancel",
    "Client",
    "ClientMisconfigured",
    "Conflict",
    "Conflicted",
    "Content",
    "Defaulted",
    "DeliveryRefused",
    "DocumentedLimitWarning",
    "Event",
    "Forbidden",
    "Headers",
    "Hitl",
    "HitlMisconfigured",
    "HitlshError",
    "KeyConflict",
    "LocalBudget",
    "LoopMember",
    "Lost",
    "NotAnswered",
    "NotApproved",
    "NotFound",
    "Option",
    "Question",
    "QuestionInvalid",
    "RateLimit",
    "RateLimited",
    "ReceiverFailed",
    "ReceiverUnreachable",
    "RefundInfo",
    "RequestHandle",
    "RequestRecorder",
    "RetryPolicy",
    "Reviewer",
    "Sample",
    "SampleInvalid",
    "SentRequest",
    "ServerError",
    "SignatureInvalid",
    "StateInvalid",
    "StateTooLarge",
    "StatusError",
    "StillOpen",
    "TimedOut",
    "TokenRefused",
    "TypedOutcome",
    "Unauthorized",
    "UnexpectedReply",
    "Unreachable",
    "Unreadable",
    "VerifiedDelivery",
    "approve",
    "audio",
    "boolean",
    "decode_event",
    "editable_text",
    "encode_event",
    "file",
    "image",
    "multi_select",
    "number",
    "outcome_of",
    "parse",
    "rating",
    "read_answer",
    "receive",
    "receive_callback",
    "sample",
    "single_select",
    "text",
    "video",
    "whole_number",
]

#: The module that defines each public name. A name is imported at its first use (PEP 562), so that importing a
#: submodule imports only what that submodule needs.
_MODULES = {
    "Answer": "hitlsh.api.answers",
    "outcome_of": "hitlsh.api.answers",
    "read_answer": "hitlsh.api.answers",
    "AsyncClient": "hitlsh.api.client",
    "Client": "hitlsh.api.client",
    "ApiError": "hitlsh.api.errors",
    "ArgumentInvalid": "hitlsh.api.errors",
    "BadRequest": "hitlsh.api.errors",
    "BudgetExhausted": "hitlsh.api.errors",
    "ClientMisconfigured": "hitlsh.api.errors",
    "Conflict": "hitlsh.api.errors",
    "Forbidden": "hitlsh.api.errors",
    "NotFound": "hitlsh.api.errors",
    "RateLimited": "hitlsh.api.errors",
    "ServerError": "hitlsh.api.errors",
    "StatusError": "hitlsh.api.errors",
    "Unauthorized": "hitlsh.api.errors",
    "UnexpectedReply": "hitlsh.api.errors",
    "Unreachable": "hitlsh.api.errors",
    "AsyncBudget": "hitlsh.api.http.rate_limit",
    "Budget": "hitlsh.api.http.rate_limit",
    "LocalBudget": "hitlsh.api.http.rate_limit",
    "RateLimit": "hitlsh.api.http.rate_limit",
    "RetryPolicy": "hitlsh.api.http.retrying",
    "Option": "hitlsh.api.questions.builders",
    "Question": "hitlsh.api.questions.builders",
    "boolean": "hitlsh.api.questions.builders",
    "editable_text": "hitlsh.api.questions.builders",
    "multi_select": "hitlsh.api.questions.builders",
    "number": "hitlsh.api.questions.builders",
    "rating": "hitlsh.api.questions.builders",
    "single_select": "hitlsh.api.questions.builders",
    "text": "hitlsh.api.questions.builders",
    "whole_number": "hitlsh.api.questions.builders",
    "Content": "hitlsh.api.questions.content",
    "audio": "hitlsh.api.questions.content",
    "file": "hitlsh.api.questions.content",
    "image": "hitlsh.api.questions.content",
    "video": "hitlsh.api.questions.content",
    "DocumentedLimitWarning": "hitlsh.api.questions.request_body",
    "AsyncRequestRecorder": "hitlsh.api.request_recorder",
    "RequestRecorder": "hitlsh.api.request_recorder",
    "SentRequest": "hitlsh.api.request_recorder",
    "AskError": "hitlsh.asking.ask_errors",
    "AskRefused": "hitlsh.asking.ask_errors",
    "AskUnknown": "hitlsh.asking.ask_errors",
    "CannotCancel": "hitlsh.asking.ask_errors",
    "KeyConflict": "hitlsh.asking.ask_errors",
    "QuestionInvalid": "hitlsh.asking.ask_errors",
    "Answered": "hitlsh.asking.ask_outcomes",
    "Cancelled": "hitlsh.asking.ask_outcomes",
    "Conflicted": "hitlsh.asking.ask_outcomes",
    "Lost": "hitlsh.asking.ask_outcomes",
    "TimedOut": "hitlsh.asking.ask_outcomes",
    "AnswerUnexpected": "hitlsh.asking_client.client_errors",
    "HitlMisconfigured": "hitlsh.asking_client.client_errors",
    "NotAnswered": "hitlsh.asking_client.client_errors",
    "NotApproved": "hitlsh.asking_client.client_errors",
    "approve": "hitlsh.asking_client.approval",
    "ReceiverFailed": "hitlsh.asking_client.client_errors",
    "ReceiverUnreachable": "hitlsh.asking_client.client_errors",
    "StillOpen": "hitlsh.asking_client.client_errors",
    "TokenRefused": "hitlsh.asking_client.client_errors",
    "AsyncHitl": "hitlsh.asking_client.hitl",
    "Hitl": "hitlsh.asking_client.hitl",
    "RequestHandle": "hitlsh.asking_client.hitl_core",
    "Defaulted": "hitlsh.asking_client.typed_outcomes",
    "TypedOutcome": "hitlsh.asking_client.typed_outcomes",
    "AskedRequest": "hitlsh.asking.asked_request",
    "CallbackInvalid": "hitlsh.callbacks",
    "CallbackSigner": "hitlsh.callbacks",
    "CallbackToken": "hitlsh.callbacks",
    "StateInvalid": "hitlsh.callbacks",
    "StateTooLarge": "hitlsh.callbacks",
    "DeliveryRefused": "hitlsh.errors",
    "HitlshError": "hitlsh.errors",
    "decode_event": "hitlsh.event_json",
    "encode_event": "hitlsh.event_json",
    "Event": "hitlsh.events",
    "LoopMember": "hitlsh.events",
    "RefundInfo": "hitlsh.events",
    "Reviewer": "hitlsh.events",
    "Unreadable": "hitlsh.events",
    "Sample": "hitlsh.samples.catalog",
    "SampleInvalid": "hitlsh.samples.catalog",
    "sample": "hitlsh.samples.catalog",
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
