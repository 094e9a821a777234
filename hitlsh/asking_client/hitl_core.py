"""The common part of `Hitl` and `AsyncHitl`: the arguments of a question, and its deadline. No I/O."""

import os
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, Generic, Literal, TypedDict, TypeVar, get_type_hints

import msgspec

from hitlsh.api.errors import ArgumentInvalid
from hitlsh.api.questions.new_question import Escalation, NewQuestion, WhenLimited
from hitlsh.api.questions.request_body import Priority
from hitlsh.asking.ask_errors import FieldProblem, QuestionInvalid
from hitlsh.asking.asked_request import AskedRequest
from hitlsh.asking_client.answer_formats import AnswerFormat, AnswerType, answer_format
from hitlsh.asking_client.receiver_address import receiver_token, receiver_url
from hitlsh.asking_client.receiver_exchange import ReceiverExchange
from hitlsh.events import Trust

Response = TypeVar("Response")

#: What happens to the request when the task that awaits its answer is cancelled.
OnCancel = Literal["leave", "cancel"]
#: Seconds for which HITL.sh keeps a request that was asked without a timeout.
_LONGEST_REQUEST = 30 * 86_400
#: Seconds that `ask` waits beyond the timeouts: for calls to HITL.sh when the hour's are used up, for a lost webhook.
_GRACE = 3_600


class QuestionOptions(TypedDict, total=False):
    """What a question may say beside its text, loop, answer and default."""

    #: Until HITL.sh takes the default: 1 minute to 24 hours; 30 days without one.
    timeout: timedelta | None
    priority: Priority
    #: A JSON object, shown to the reviewer.
    context: dict[str, Any] | None
    image_url: str | None
    #: JSON that comes back to handlers as ``decision.state``; at most 2,048 bytes.
    state: Any
    #: Asked again with the same key, the question is not asked twice.
    key: str | None
    #: The least trust that the outcome must have: ``callback`` (default), ``signed`` or ``confirmed``.
    trust: Trust
    #: When the hour's calls to HITL.sh are used up: ``queue`` (default) or ``refuse``.
    when_limited: WhenLimited
    #: Loops that are asked when the one before has timed out, each with its timeout.
    escalate_to: Sequence[tuple[str, timedelta]]


class AskOptions(QuestionOptions, total=False):
    """What `ask` takes beyond `QuestionOptions`."""

    #: How long to wait for the outcome; by default until the request must have ended. Then `StillOpen`.
    wait_timeout: timedelta | None
    #: ``leave`` (default) or ``cancel``: what happens to the request when the waiting task is cancelled.
    on_cancel: OnCancel


QUESTION_OPTIONS = frozenset(get_type_hints(QuestionOptions))
ASK_OPTIONS = frozenset(get_type_hints(AskOptions))


class RequestHandle(msgspec.Struct, Generic[Response], frozen=True, kw_only=True):
    """A request that was submitted. Store its `id` to wait for it in another process."""

    request: AskedRequest
    answer: AnswerFormat[Response]
    #: As HITL.sh was told.
    default: Any

    @property
    def id(self) -> str:
        """The receiver's id of the request, such as ``ask_…``."""
        return self.request.id


class HitlCore:
    """The configuration of a client of the receiver."""

    def __init__(self, url: str | None, token: str | None, timeout: timedelta, retry_for: timedelta) -> None:
        self._url = receiver_url(url, os.environ)
        self._token = receiver_token(token, os.environ)
        self._timeout = timeout.total_seconds()
        self._exchange = ReceiverExchange(url=self._url, retry_seconds=retry_for.total_seconds())

    def __repr__(self) -> str:
        return f"{type(self).__name__}(url={self._url!r}, token='***')"


def new_question(
    text: str, loop: str, answer: AnswerType[Response], default: Any, options: QuestionOptions
) -> tuple[NewQuestion, AnswerFormat[Response]]:
    """The question, checked; raises `QuestionInvalid`, and `ArgumentInvalid` for ``answer=``."""
    form = answer_format(answer)
    try:
        default_response = form.default(default)
    except ArgumentInvalid as error:
        raise QuestionInvalid([FieldProblem(field=error.field or "default", problem=error.problem)]) from None
    timeout = options.get("timeout")
    question = NewQuestion(
        text=text,
        loop=loop,
        response_type=form.question.response_type,
        response_config=form.question.response_config,
        default_response=default_response,
        timeout_seconds=None if timeout is None else _seconds("timeout", timeout),
        priority=options.get("priority", "medium"),
        context=options.get("context"),
        image_url=options.get("image_url"),
        state=options.get("state"),
        key=options.get("key"),
        when_limited=options.get("when_limited", "queue"),
        escalate_to=tuple(
            Escalation(loop=next_loop, timeout_seconds=_seconds(f"escalate_to[{number}]", next_timeout))
            for number, (next_loop, next_timeout) in enumerate(options.get("escalate_to", ()))
        ),
        trust=options.get("trust", "callback"),
    )
    question.check()
    return question, form


def check_options(options: Mapping[str, Any], allowed: frozenset[str]) -> None:
    """Raises TypeError for an argument that the call does not take."""
    if unknown := sorted(set(options) - allowed):
        raise TypeError(f"{unknown[0]}= is no argument here: give any of {', '.join(sorted(allowed))}")


def waited_request(
    request: str | RequestHandle[Response], answer: AnswerType[Response] | None
) -> tuple[str, AnswerFormat[Response] | None, Any]:
    """Id, format and default of what is waited for; what an id does not tell is None."""
    form = None if answer is None else answer_format(answer)
    if isinstance(request, str):
        return request, form, None
    return request.id, form or request.answer, request.default


def ask_seconds(question: NewQuestion, wait_timeout: timedelta | None) -> float:
    """Seconds that `ask` waits: as it was told, or until every step must have timed out and be known to have."""
    if wait_timeout is not None:
        return wait_timeout.total_seconds()
    return _GRACE + sum(seconds if seconds is not None else _LONGEST_REQUEST for _, seconds in question.steps)


def _seconds(field: str, timeout: timedelta) -> int:
    if not isinstance(timeout, timedelta):
        raise QuestionInvalid([FieldProblem(field=field, problem=f"is {timeout!r}: give a timedelta")])
    return round(timeout.total_seconds())
