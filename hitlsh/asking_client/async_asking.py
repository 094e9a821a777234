"""`AsyncAsking`: ask a person and wait for the answer, for asyncio; subclasses submit and read requests."""

import asyncio
import logging
from abc import ABC, abstractmethod
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Literal, TypeVar, Unpack, overload

from hitlsh.api.questions.new_question import NewQuestion
from hitlsh.asking.ask_outcomes import Answered
from hitlsh.asking.asked_request import AskedRequest
from hitlsh.asking_client.answer_formats import AnswerType
from hitlsh.asking_client.hitl_core import (
    ASK_OPTIONS,
    QUESTION_OPTIONS,
    AskOptions,
    OnCancel,
    QuestionOptions,
    RequestHandle,
    ask_seconds,
    check_options,
    new_question,
    request_to_await,
)
from hitlsh.asking_client.typed_outcomes import (
    Defaulted,
    OnTimeout,
    TypedOutcome,
    answer_or_default,
    answer_or_raise,
    typed_outcome,
)
from hitlsh.errors import HitlshError
from hitlsh.events import Trust

Response = TypeVar("Response")
if TYPE_CHECKING:
    from typing_extensions import TypeVar as TypeVarWithDefault

    #: Any, if neither a handle nor ``answer=`` determines the type of the answer.
    AnyResponse = TypeVarWithDefault("AnyResponse", default=Any)
else:
    AnyResponse = TypeVar("AnyResponse")

logger = logging.getLogger("hitl.asking")
#: Seconds that cancelling a request may take when the task that awaits it is being cancelled.
_CANCEL_SECONDS = 10.0


class AsyncAsking(ABC):
    """The calls of `AsyncHitl`. Tasks may share it."""

    @overload
    async def ask(
        self,
        text: str,
        *,
        loop: str,
        answer: AnswerType[Response],
        default: Response,
        on_timeout: Literal["return"] = "return",
        **options: Unpack[AskOptions],
    ) -> TypedOutcome[Response]: ...

    @overload
    async def ask(
        self,
        text: str,
        *,
        loop: str,
        answer: AnswerType[Response],
        default: Response,
        on_timeout: Literal["raise"],
        **options: Unpack[AskOptions],
    ) -> Answered[Response]: ...

    @overload
    async def ask(
        self,
        text: str,
        *,
        loop: str,
        answer: AnswerType[Response],
        default: Response,
        on_timeout: Literal["default"],
        **options: Unpack[AskOptions],
    ) -> Answered[Response] | Defaulted[Response]: ...

    async def ask(
        self,
        text: str,
        *,
        loop: str,
        answer: AnswerType[Response],
        default: Response,
        on_timeout: OnTimeout = "return",
        **options: Unpack[AskOptions],
    ) -> TypedOutcome[Response] | Defaulted[Response]:
        """See `Hitl.ask`. Cancelling the task leaves the request alone unless ``on_cancel="cancel"``."""
        check_options(options, ASK_OPTIONS)
        question, form = new_question(text, loop, answer, default, options)
        on_cancel = options.get("on_cancel", "leave")
        submission = asyncio.ensure_future(self._submit(question))
        try:
            request = await asyncio.shield(submission)
        except asyncio.CancelledError:
            if on_cancel == "cancel":
                await self._cancel_submitted(submission)
            else:
                submission.cancel()
            raise
        handle = RequestHandle(request=request, answer=form, default=question.default_response)
        timeout = timedelta(seconds=ask_seconds(question, options.get("wait_timeout")))
        return await self.wait(handle, timeout=timeout, on_timeout=on_timeout, on_cancel=on_cancel)

    async def submit(
        self,
        text: str,
        *,
        loop: str,
        answer: AnswerType[Response],
        default: Response,
        **options: Unpack[QuestionOptions],
    ) -> RequestHandle[Response]:
        """See `Hitl.submit`."""
        check_options(options, QUESTION_OPTIONS)
        question, form = new_question(text, loop, answer, default, options)
        request = await self._submit(question)
        return RequestHandle(request=request, answer=form, default=question.default_response)

    @overload
    async def wait(
        self,
        request: str | RequestHandle[AnyResponse],
        *,
        answer: AnswerType[AnyResponse] | None = None,
        timeout: timedelta | None = None,
        trust: Trust | None = None,
        on_timeout: Literal["return"] = "return",
        on_cancel: OnCancel = "leave",
    ) -> TypedOutcome[AnyResponse]: ...

    @overload
    async def wait(
        self,
        request: str | RequestHandle[AnyResponse],
        *,
        answer: AnswerType[AnyResponse] | None = None,
        timeout: timedelta | None = None,
        trust: Trust | None = None,
        on_timeout: Literal["raise"],
        on_cancel: OnCancel = "leave",
    ) -> Answered[AnyResponse]: ...

    @overload
    async def wait(
        self,
        request: str | RequestHandle[AnyResponse],
        *,
        answer: AnswerType[AnyResponse] | None = None,
        timeout: timedelta | None = None,
        trust: Trust | None = None,
        on_timeout: Literal["default"],
        on_cancel: OnCancel = "leave",
    ) -> Answered[AnyResponse] | Defaulted[AnyResponse]: ...

    @overload
    async def wait(
        self,
        request: str | RequestHandle[AnyResponse],
        *,
        answer: AnswerType[AnyResponse] | None = None,
        timeout: timedelta | None = None,
        trust: Trust | None = None,
        on_timeout: OnTimeout,
        on_cancel: OnCancel = "leave",
    ) -> TypedOutcome[AnyResponse] | Defaulted[AnyResponse]: ...

    async def wait(
        self,
        request: str | RequestHandle[AnyResponse],
        *,
        answer: AnswerType[AnyResponse] | None = None,
        timeout: timedelta | None = None,
        trust: Trust | None = None,
        on_timeout: OnTimeout = "return",
        on_cancel: OnCancel = "leave",
    ) -> TypedOutcome[AnyResponse] | Defaulted[AnyResponse]:
        """See `Hitl.wait`. Cancelling the task leaves the request alone unless ``on_cancel="cancel"``."""
        request_id, form, default = request_to_await(request, answer)
        seconds = None if timeout is None else timeout.total_seconds()
        try:
            ended = await self._wait(request_id, seconds=seconds, trust=trust)
        except asyncio.CancelledError:
            if on_cancel == "cancel":
                await self._cancel_quietly(request_id)
            raise
        if on_timeout == "raise":
            return answer_or_raise(ended, form)
        if on_timeout == "default":
            return answer_or_default(ended, form, default)
        return typed_outcome(ended, form)

    async def get(self, request: str | RequestHandle[Any], *, trust: Trust | None = None) -> AskedRequest:
        """See `Hitl.get`."""
        return await self._get(request if isinstance(request, str) else request.id, trust=trust)

    async def cancel(self, request: str | RequestHandle[Any]) -> AskedRequest:
        """See `Hitl.cancel`."""
        return await self._cancel(request if isinstance(request, str) else request.id)

    async def list_open(self, *, limit: int = 50) -> list[AskedRequest]:
        """See `Hitl.list_open`."""
        return await self._list_open(limit)

    @abstractmethod
    async def _submit(self, question: NewQuestion) -> AskedRequest:
        """Ask, unless the key of the question was used before."""

    @abstractmethod
    async def _wait(self, request_id: str, *, seconds: float | None, trust: Trust | None) -> AskedRequest:
        """Wait for the outcome; raises `StillOpen` after `seconds`, or never if None."""

    @abstractmethod
    async def _get(self, request_id: str, *, trust: Trust | None) -> AskedRequest:
        """Read the request, without an outcome that has less trust; raises `AskUnknown`."""

    @abstractmethod
    async def _cancel(self, request_id: str) -> AskedRequest:
        """Cancel the request; raises `CannotCancel` and `AskUnknown`."""

    @abstractmethod
    async def _list_open(self, limit: int) -> list[AskedRequest]:
        """Read the requests without an outcome, oldest first."""

    async def _cancel_submitted(self, submission: asyncio.Future[AskedRequest]) -> None:
        """Cancel a request whose submission has no reply yet; errors are logged."""
        try:
            async with asyncio.timeout(_CANCEL_SECONDS):
                request = await submission
        except (HitlshError, TimeoutError) as error:
            log_not_cancelled("unknown", error)
        else:
            await self._cancel_quietly(request.id)

    async def _cancel_quietly(self, request_id: str) -> None:
        try:
            async with asyncio.timeout(_CANCEL_SECONDS):
                await self.cancel(request_id)
        except (HitlshError, TimeoutError) as error:
            log_not_cancelled(request_id, error)


def log_not_cancelled(request_id: str, error: Exception) -> None:
    """Log that a request was not cancelled with its waiter."""
    logger.warning("request.not_cancelled subject=%s error=%s", request_id, str(error) or type(error).__name__)
