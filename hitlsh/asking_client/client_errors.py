"""Errors of the receiver's client, beside those of `hitlsh.asking.ask_errors`. The tree is drawn in `hitlsh`."""

from typing import Any

from hitlsh.asking.ask_errors import AskError
from hitlsh.asking.ask_outcomes import Answered, AskOutcome, Lost, TimedOut
from hitlsh.asking.asked_request import AskedRequest


class HitlMisconfigured(AskError, ValueError):
    """The receiver's URL or the token is missing or invalid."""


class ReceiverUnreachable(AskError):
    """The receiver did not reply, or was unavailable, for as long as the client retried."""

    def __init__(self, call: str, reason: str, advice: str) -> None:
        super().__init__(call, reason, advice)
        self.call = call
        self.reason = reason
        self.advice = advice

    def __str__(self) -> str:
        return f"{self.call} at the receiver failed ({self.reason}): {self.advice}"


class TokenRefused(AskError):
    """The receiver refuses the token, or the token lacks the scope of the call."""

    def __init__(self, call: str, status: int, detail: str) -> None:
        super().__init__(call, status, detail)
        self.call = call
        self.status = status
        self.detail = detail

    def __str__(self) -> str:
        detail = f" ({self.detail})" if self.detail else ""
        return (
            f"{self.call} at the receiver was refused with {self.status}{detail}: "
            "compare HITL_RECEIVER_TOKEN with a token and its scopes in the receiver's HITL_TOKENS"
        )


class ReceiverFailed(AskError):
    """The receiver replied with an error that a retry does not fix, or in an undocumented form."""

    def __init__(self, call: str, status: int, detail: str) -> None:
        super().__init__(call, status, detail)
        self.call = call
        self.status = status
        self.detail = detail

    def __str__(self) -> str:
        return f"{self.call} at the receiver answered {self.status}: {self.detail}"


class StillOpen(AskError, TimeoutError):
    """The wait timed out before the request ended. The request stays open."""

    def __init__(self, request: AskedRequest) -> None:
        super().__init__(request)
        self.request = request

    def __str__(self) -> str:
        return f"{self.request.id} is {self.request.status} and has no outcome yet: wait for it again, or cancel it"


class NotAnswered(AskError):
    """The request ended without an answer, and the caller demanded one; `outcome` says how it ended."""

    def __init__(self, request_id: str, outcome: AskOutcome) -> None:
        super().__init__(request_id, outcome)
        self.request_id = request_id
        self.outcome = outcome

    def __str__(self) -> str:
        if isinstance(self.outcome, TimedOut):
            return f"Nobody answered {self.request_id} in time"
        if isinstance(self.outcome, Lost):
            return f"Nobody will answer {self.request_id}: {self.outcome.reason}"
        return f"{self.request_id} has no answer: it ended as {type(self.outcome).__name__.lower()}"


class NotApproved(AskError):
    """No person approved, so the function did not run; `outcome` says how the request ended."""

    def __init__(self, function_name: str, outcome: AskOutcome) -> None:
        super().__init__(function_name, outcome)
        self.function_name = function_name
        self.outcome = outcome

    def __str__(self) -> str:
        if isinstance(self.outcome, Answered):
            return f"{self.function_name} did not run: a person rejected it"
        if isinstance(self.outcome, TimedOut):
            return f"{self.function_name} did not run: nobody approved it in time"
        return f"{self.function_name} did not run: the request ended as {type(self.outcome).__name__.lower()}"


class AnswerUnexpected(AskError, ValueError):
    """The answer is not one that the question offers."""

    def __init__(self, response: Any, response_type: str) -> None:
        super().__init__(response, response_type)
        self.response = response
        self.response_type = response_type

    def __str__(self) -> str:
        return (
            f"The answer {self.response!r} is none that the question ({self.response_type}) offers: "
            "wait with the same answer= as in the question"
        )
