"""`Hitl` blocks, `AsyncHitl` is for asyncio: ask a person through a receiver and wait for the answer."""

import asyncio
import time
from datetime import timedelta
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self, TypeVar, Unpack, overload

import httpx

from hitlsh.api.errors import Unreachable
from hitlsh.api.http import http_transport
from hitlsh.api.http.exchange import Sleep
from hitlsh.api.http.replies import HttpReply
from hitlsh.api.operations import HttpRequest
from hitlsh.api.questions.new_question import NewQuestion
from hitlsh.asking.ask_errors import AskError
from hitlsh.asking.ask_outcomes import Answered
from hitlsh.asking.asked_request import AskedRequest
from hitlsh.asking_client.answer_formats import AnswerType
from hitlsh.asking_client.async_asking import AsyncAsking, log_not_cancelled
from hitlsh.asking_client.hitl_core import (
    ASK_OPTIONS,
    QUESTION_OPTIONS,
    AskOptions,
    HitlCore,
    OnCancel,
    QuestionOptions,
    RequestHandle,
    ask_seconds,
    check_options,
    new_question,
    request_to_await,
)
from hitlsh.asking_client.receiver_exchange import Flow
from hitlsh.asking_client.typed_outcomes import (
    Defaulted,
    OnTimeout,
    TypedOutcome,
    answer_or_default,
    answer_or_raise,
    typed_outcome,
)
from hitlsh.events import Trust

T = TypeVar("T")
Response = TypeVar("Response")
if TYPE_CHECKING:
    from typing_extensions import TypeVar as TypeVarWithDefault

    #: Any, if neither a handle nor ``answer=`` determines the type of the answer.
    AnyResponse = TypeVarWithDefault("AnyResponse", default=Any)
else:
    AnyResponse = TypeVar("AnyResponse")

#: Each waiter holds a connection.
_LIMITS = httpx.Limits(max_connections=None, max_keepalive_connections=20)
_TIMEOUT, _RETRY_FOR = timedelta(seconds=10), timedelta(seconds=60)


class Hitl(HitlCore):
    """Asks people through a receiver, for synchronous code. Threads may share it; use it in a ``with`` block.

    ``url`` and ``token``: by default HITL_RECEIVER_URL and HITL_RECEIVER_TOKEN. ``timeout``: of one HTTP call, beyond
    the time that the receiver holds it. ``retry_for``: how long a call except `wait` is retried while the receiver
    restarts. Raises `HitlMisconfigured`; calls raise `AskError`.
    """

    def __init__(
        self,
        url: str | None = None,
        token: str | None = None,
        *,
        timeout: timedelta = _TIMEOUT,
        retry_for: timedelta = _RETRY_FOR,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        super().__init__(url, token, timeout, retry_for)
        options = http_transport.options(self._url, self._timeout)
        self._http = httpx.Client(transport=transport, limits=_LIMITS, **options)

    @overload
    def ask(
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
    def ask(
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
    def ask(
        self,
        text: str,
        *,
        loop: str,
        answer: AnswerType[Response],
        default: Response,
        on_timeout: Literal["default"],
        **options: Unpack[AskOptions],
    ) -> Answered[Response] | Defaulted[Response]: ...

    def ask(
        self,
        text: str,
        *,
        loop: str,
        answer: AnswerType[Response],
        default: Response,
        on_timeout: OnTimeout = "return",
        **options: Unpack[AskOptions],
    ) -> TypedOutcome[Response] | Defaulted[Response]:
        """Ask a person and wait for the outcome.

        ``text``: 1 to 2,000 characters, may contain Markdown. ``loop``: id or name. ``answer``: ``bool``, an Enum
        class, or a question such as ``single_select("Approve", "Reject")`` or ``whole_number(1, 5)``. ``default``:
        the default that HITL.sh assumes when nobody answers. ``options``: see `AskOptions`.

        ``on_timeout="return"`` returns every outcome as a value: `Answered`, `TimedOut`, `Cancelled`, `Conflicted` or
        `Lost`. ``"raise"`` returns only `Answered` and raises `NotAnswered` for the others. ``"default"`` returns
        `Defaulted`, with the default as its response, for a timeout, and raises for the rest.

        Raises `QuestionInvalid`, `KeyConflict`, `AskRefused`; `TokenRefused`, `ReceiverUnreachable`, `ReceiverFailed`;
        `StillOpen` if the wait times out before the request ends; `AnswerUnexpected`.
        """
        check_options(options, ASK_OPTIONS)
        question, form = new_question(text, loop, answer, default, options)
        request = self._run(self._exchange.submit(question))
        handle = RequestHandle(request=request, answer=form, default=question.default_response)
        return self.wait(
            handle,
            timeout=timedelta(seconds=ask_seconds(question, options.get("wait_timeout"))),
            on_timeout=on_timeout,
            on_cancel=options.get("on_cancel", "leave"),
        )

    def submit(
        self,
        text: str,
        *,
        loop: str,
        answer: AnswerType[Response],
        default: Response,
        **options: Unpack[QuestionOptions],
    ) -> RequestHandle[Response]:
        """Ask, and return at once. Raises the errors of `ask` that do not concern the outcome."""
        check_options(options, QUESTION_OPTIONS)
        question, form = new_question(text, loop, answer, default, options)
        request = self._run(self._exchange.submit(question))
        return RequestHandle(request=request, answer=form, default=question.default_response)

    @overload
    def wait(
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
    def wait(
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
    def wait(
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
    def wait(
        self,
        request: str | RequestHandle[AnyResponse],
        *,
        answer: AnswerType[AnyResponse] | None = None,
        timeout: timedelta | None = None,
        trust: Trust | None = None,
        on_timeout: OnTimeout,
        on_cancel: OnCancel = "leave",
    ) -> TypedOutcome[AnyResponse] | Defaulted[AnyResponse]: ...

    def wait(
        self,
        request: str | RequestHandle[AnyResponse],
        *,
        answer: AnswerType[AnyResponse] | None = None,
        timeout: timedelta | None = None,
        trust: Trust | None = None,
        on_timeout: OnTimeout = "return",
        on_cancel: OnCancel = "leave",
    ) -> TypedOutcome[AnyResponse] | Defaulted[AnyResponse]:
        """Wait for the outcome of a request, in any process, before or after the answer.

        ``request``: a handle, or an id; with an id, ``answer`` says how to read the response. ``timeout``: how long to
        wait before `StillOpen` is raised; None for no limit. ``trust``: the least trust, in addition to the question's.
        """
        request_id, form, default = request_to_await(request, answer)
        seconds = None if timeout is None else timeout.total_seconds()
        try:
            ended = self._run(self._exchange.wait(request_id, seconds=seconds, trust=trust))
        except KeyboardInterrupt:
            if on_cancel == "cancel":
                self._cancel_quietly(request_id)
            raise
        if on_timeout == "raise":
            return answer_or_raise(ended, form)
        if on_timeout == "default":
            return answer_or_default(ended, form, default)
        return typed_outcome(ended, form)

    def get(self, request: str | RequestHandle[Any], *, trust: Trust | None = None) -> AskedRequest:
        """Read a request by the receiver's id, HITL.sh's id or its handle; raises `AskUnknown`.

        ``trust``: the least trust, in addition to the question's; the request is open until its outcome has it.
        """
        return self._run(self._exchange.get(request if isinstance(request, str) else request.id, trust=trust))

    def cancel(self, request: str | RequestHandle[Any]) -> AskedRequest:
        """Cancel a request; raises `CannotCancel` and `AskUnknown`."""
        return self._run(self._exchange.cancel(request if isinstance(request, str) else request.id))

    def list_open(self, *, limit: int = 50) -> list[AskedRequest]:
        """Read the requests without an outcome, oldest first; `limit`: 1 to 100."""
        return self._run(self._exchange.list_open(limit))

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _run(self, flow: Flow[T]) -> T:
        result: HttpReply | Unreachable | None = None
        while True:
            try:
                step = flow.send(result)
            except StopIteration as end:
                value: T = end.value
                return value
            if isinstance(step, Sleep):
                time.sleep(step.seconds)
                result = None
            else:
                result = self._transmit(step.request)

    def _transmit(self, http_request: HttpRequest) -> HttpReply | Unreachable:
        try:
            return http_transport.reply(
                self._http.request(**http_transport.request(http_request, self._token, self._timeout))
            )
        except http_transport.NO_REPLY as error:
            return http_transport.unreachable(http_request, error)

    def _cancel_quietly(self, request_id: str) -> None:
        try:
            self.cancel(request_id)
        except AskError as error:
            log_not_cancelled(request_id, error)


class AsyncHitl(HitlCore, AsyncAsking):
    """Asks people through a receiver, for asyncio: the calls of `Hitl`, to be awaited. Tasks may share it."""

    def __init__(
        self,
        url: str | None = None,
        token: str | None = None,
        *,
        timeout: timedelta = _TIMEOUT,
        retry_for: timedelta = _RETRY_FOR,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        super().__init__(url, token, timeout, retry_for)
        options = http_transport.options(self._url, self._timeout)
        self._http = httpx.AsyncClient(transport=transport, limits=_LIMITS, **options)

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def _run(self, flow: Flow[T]) -> T:
        result: HttpReply | Unreachable | None = None
        while True:
            try:
                step = flow.send(result)
            except StopIteration as end:
                value: T = end.value
                return value
            if isinstance(step, Sleep):
                await asyncio.sleep(step.seconds)
                result = None
            else:
                result = await self._transmit(step.request)

    async def _transmit(self, http_request: HttpRequest) -> HttpReply | Unreachable:
        try:
            return http_transport.reply(
                await self._http.request(**http_transport.request(http_request, self._token, self._timeout))
            )
        except http_transport.NO_REPLY as error:
            return http_transport.unreachable(http_request, error)

    async def _submit(self, question: NewQuestion) -> AskedRequest:
        return await self._run(self._exchange.submit(question))

    async def _wait(self, request_id: str, *, seconds: float | None, trust: Trust | None) -> AskedRequest:
        return await self._run(self._exchange.wait(request_id, seconds=seconds, trust=trust))

    async def _get(self, request_id: str, *, trust: Trust | None) -> AskedRequest:
        return await self._run(self._exchange.get(request_id, trust=trust))

    async def _cancel(self, request_id: str) -> AskedRequest:
        return await self._run(self._exchange.cancel(request_id))

    async def _list_open(self, limit: int) -> list[AskedRequest]:
        return await self._run(self._exchange.list_open(limit))
