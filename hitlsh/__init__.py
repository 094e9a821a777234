"""HITL.sh's vocabulary: the API client, the questions to ask, and what comes back by webhook."""

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
from hitlsh.errors import HitlshError
from hitlsh.events import Event, Reviewer, Unreadable
from hitlsh.webhooks.parsing import parse

__all__ = [
    "ApiError",
    "AsyncClient",
    "Client",
    "Event",
    "HitlshError",
    "LocalBudget",
    "Option",
    "RateLimit",
    "RetryPolicy",
    "Reviewer",
    "Unreadable",
    "boolean",
    "editable_text",
    "multi_select",
    "number",
    "parse",
    "rating",
    "single_select",
    "text",
]
