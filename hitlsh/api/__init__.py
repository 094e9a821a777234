"""The HITL.sh API: ask people, read what they said.

from hitlsh.api import Client, single_select

with Client(api_key) as client:
    asked = client.requests.create(
        loop_id, "Refund order 17?", single_select("Approve", "Reject"), default_response="Reject"
    )
    request = client.requests.wait(asked.request_id)
"""

from hitlsh.api.answers import Answer, outcome_of, read_answer
from hitlsh.api.client import AsyncClient, Client
from hitlsh.api.errors import (
    ApiError,
    AskingError,
    BadRequest,
    BudgetExhausted,
    ClientMisconfigured,
    Conflict,
    Forbidden,
    NotFound,
    RateLimited,
    Refused,
    ServerError,
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
)
from hitlsh.api.questions.content import Content, audio, file, image, video
from hitlsh.api.questions.request_body import DocumentedLimitWarning
from hitlsh.api.request_recorder import AsyncLedger, Ledger, Sent

__all__ = [
    "Answer",
    "ApiError",
    "AskingError",
    "AsyncBudget",
    "AsyncClient",
    "AsyncLedger",
    "BadRequest",
    "Budget",
    "BudgetExhausted",
    "Client",
    "ClientMisconfigured",
    "Conflict",
    "Content",
    "DocumentedLimitWarning",
    "Forbidden",
    "Ledger",
    "LocalBudget",
    "NotFound",
    "Option",
    "Question",
    "RateLimit",
    "RateLimited",
    "Refused",
    "RetryPolicy",
    "Sent",
    "ServerError",
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
]
