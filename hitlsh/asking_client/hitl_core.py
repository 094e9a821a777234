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

#: Whether the request is cancelled when the task that awaits it is cancelled.
OnCancel = Literal["leave", "cancel"]
#: Seconds for which a request without a timeout stays open at HITL.sh.
_LONGEST_REQUEST = 30 * 86_400
#: Seconds that `ask` waits beyond the timeouts: for the next hour's calls to HITL.sh, or for a lost webhook.
_GRACE = 3_600


class QuestionOptions(TypedDict, total=False):
    """Options of a question, beside its text, loop, answer and default."""

    #: Time until HITL.sh assumes the default: 1 minute to 24 hours; without it, 30 days.
    timeout: timedelta | None
    priority: Priority
    #: A JSON object, shown to the reviewer.
    context: dict[str, Any] | None
    image_url: str | None
    #: JSON that is returned to handlers as ``decision.state``; at most 2,048 bytes.
    state: Any
    #: Idempotency key: a question with the same key is asked once.
    key: str | None
    #: The least trust that the outcome must have: ``callback`` (default), ``signed`` or ``confirmed``.
    trust: Trust
    #: What to do if no call to HITL.sh is left in this hour: ``queue`` (default) or ``refuse``.
    when_limited: WhenLimited
    #: Further loops, each with its timeout, that are asked when the previous loop has timed out.
    escalate_to: Sequence[tuple[str, timedelta]]


class AskOptions(QuestionOptions, total=False):
    """Options of `ask`: those of a question, and those of the wait."""

    #: How long to wait for the outcome, then raise `StillOpen`; by default until the request must have ended.
    wait_timeout: timedelta | None
    #: ``leave`` (default) or ``cancel``: what happens to the request when the waiting task is cancelled.
    on_cancel: OnCancel


QUESTION_OPTIONS = frozenset(get_type_hints(QuestionOptions))
ASK_OPTIONS = frozenset(get_type_hints(AskOptions))


class RequestHandle(msgspec.Struct, Generic[Response], frozen=True, kw_only=True):
    """A request that was submitted. Store its `id` to wait for it in another process."""

    request: AskedRequest
    answer: AnswerFormat[Response]
    #: The default in the form of HITL.sh's API.
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
    """Build and check a question; raises `QuestionInvalid`, and `ArgumentInvalid` for ``answer=``."""
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
    """Raise TypeError for an unknown argument."""
    if unknown := sorted(set(options) - allowed):
        raise TypeError(f"{unknown[0]}= is no argument here: give any of {', '.join(sorted(allowed))}")


def request_to_await(
    request: str | RequestHandle[Response], answer: AnswerType[Response] | None
) -> tuple[str, AnswerFormat[Response] | None, Any]:
    """Id, answer format and default of the request to await; format and default may be None for a plain id."""
    form = None if answer is None else answer_format(answer)
    if isinstance(request, str):
        return request, form, None
    return request.id, form or request.answer, request.default


def ask_seconds(question: NewQuestion, wait_timeout: timedelta | None) -> float:
    """Seconds that `ask` waits: `wait_timeout`, or until every step must have timed out."""
    if wait_timeout is not None:
        return wait_timeout.total_seconds()
    return _GRACE + sum(seconds if seconds is not None else _LONGEST_REQUEST for _, seconds in question.steps)


def _seconds(field: str, timeout: timedelta) -> int:
    if not isinstance(timeout, timedelta):
        raise QuestionInvalid([FieldProblem(field=field, problem=f"is {timeout!r}: give a timedelta")])
    return round(timeout.total_seconds())
