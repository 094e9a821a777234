"""Outcomes with a typed answer, and their handling by ``on_timeout=``."""

from typing import Any, Generic, Literal, TypeAlias, TypeVar

import msgspec

from hitlsh.asking.ask_outcomes import Answered, Cancelled, Conflicted, Lost, TimedOut
from hitlsh.asking.asked_request import AskedRequest
from hitlsh.asking_client.answer_formats import AnswerFormat
from hitlsh.asking_client.client_errors import NotAnswered

Response = TypeVar("Response")

OnTimeout = Literal["return", "raise", "default"]


class Defaulted(msgspec.Struct, Generic[Response], frozen=True, kw_only=True):
    """Nobody answered in time, and the caller asked for the default. This is not a person's answer."""

    #: The default, as a Python value.
    response: Response
    timed_out: TimedOut


#: How a request ended, with the type of its answer.
TypedOutcome: TypeAlias = Answered[Response] | TimedOut | Cancelled | Conflicted | Lost


def typed_outcome(request: AskedRequest, answer: AnswerFormat[Response] | None) -> TypedOutcome[Response]:
    """The outcome of an ended request; raises `AnswerUnexpected` for an answer that was never offered."""
    outcome = request.outcome
    if outcome is None:
        raise ValueError(f"{request.id} has no outcome")
    if isinstance(outcome, Answered) and answer is not None:
        return msgspec.structs.replace(outcome, response=answer.read(outcome.response))
    return outcome


def answer_or_raise(request: AskedRequest, answer: AnswerFormat[Response] | None) -> Answered[Response]:
    """A person's answer; raises `NotAnswered` for every other outcome."""
    outcome = typed_outcome(request, answer)
    if isinstance(outcome, Answered):
        return outcome
    raise NotAnswered(request.id, outcome)


def answer_or_default(
    request: AskedRequest, answer: AnswerFormat[Response] | None, default: Any
) -> Answered[Response] | Defaulted[Response]:
    """A person's answer, or the default after a timeout; raises `NotAnswered` for every other outcome.

    `default`: used if the outcome does not contain the default of the question.
    """
    outcome = typed_outcome(request, answer)
    if isinstance(outcome, Answered):
        return outcome
    assumed = outcome.default_response if isinstance(outcome, TimedOut) else None
    assumed = default if assumed is None else assumed
    if not isinstance(outcome, TimedOut) or assumed is None:
        raise NotAnswered(request.id, outcome)
    return Defaulted(response=assumed if answer is None else answer.read(assumed), timed_out=outcome)
