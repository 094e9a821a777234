"""A typed client for the HITL.sh API (https://docs.hitl.sh, "API reference")::

    from hitlsh.api import Client, single_select

    with Client(api_key) as client:
        created = client.requests.create(
            loop_id, "Refund order 17?", single_select("Approve", "Reject"), default_response="Reject"
        )
        request = client.requests.wait(created.request_id)

`AsyncClient` offers the same calls for asyncio. Every exception descends from `ApiError`::

    ApiError                 a call did not return what it was made for
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

Functions and classes that take arguments raise ArgumentInvalid before a call is made.
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

__all__ = [
    "Answer",
    "ApiError",
    "ArgumentInvalid",
    "AsyncBudget",
    "AsyncClient",
    "AsyncRequestRecorder",
    "BadRequest",
    "Budget",
    "BudgetExhausted",
    "Client",
    "ClientMisconfigured",
    "Conflict",
    "Content",
    "DocumentedLimitWarning",
    "Forbidden",
    "LocalBudget",
    "NotFound",
    "Option",
    "Question",
    "RateLimit",
    "RateLimited",
    "RequestRecorder",
    "RetryPolicy",
    "SentRequest",
    "ServerError",
    "StatusError",
    "Unauthorized",
    "UnexpectedReply",
    "Unreachable",
    "audio",
    "boolean",
    "editable_text",
    "file",
    "image",
    "multi_select",
    "number",
    "outcome_of",
    "rating",
    "read_answer",
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
