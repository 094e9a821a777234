"""The two clients: the same calls, one blocking, one for asyncio. All they do is carry out steps."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from types import TracebackType
from typing import Any, Self, TypeVar

import httpx

from hitlsh.api.client_core import ClientCore, maybe_await
from hitlsh.api.descriptors import Awaited, Blocking
from hitlsh.api.errors import Unreachable
from hitlsh.api.http import http_transport
from hitlsh.api.http.credentials import DEFAULT_BASE_URL
from hitlsh.api.http.exchange import Observe, RecordRequest, Script, Sleep, Spend, Step
from hitlsh.api.http.rate_limit import AsyncBudget, Budget
from hitlsh.api.http.replies import HttpReply
from hitlsh.api.http.retrying import RetryPolicy
from hitlsh.api.operations import HttpRequest, Operation
from hitlsh.api.paging import PagedList, PageIterator
from hitlsh.api.request_recorder import AsyncRequestRecorder, RequestRecorder

T = TypeVar("T")

_PATIENT = RetryPolicy()


class Client(ClientCore[Blocking]):
    """HITL.sh for synchronous code. Threads may share one; close it, or use it in a ``with`` block.

    Calls raise the kinds of `hitlsh.api.errors.ApiError`. Failed calls are repeated as ``retries`` says.
    ``timeout`` is in seconds. ``budget`` is asked before
    each call, ``recorder`` is told of each request that was made.
    """

    def __init__(
        self,
        api_key: str,
        *,
        base_url: str = DEFAULT_BASE_URL,
        api_prefix: str = "/api",
        timeout: float = 30.0,
        retries: RetryPolicy = _PATIENT,
        budget: Budget | None = None,
        recorder: RequestRecorder | None = None,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        super().__init__(api_key, base_url, api_prefix, retries, budget is not None)
        self._timeout = timeout
        self._budget = budget
        self._recorder = recorder
        self._http = httpx.Client(transport=transport, **http_transport.options(self._base_url, timeout))

    def run(self, job: Operation[T] | Script[T]) -> T:
        """Carry out an operation, or a script of several."""
        flow = self._exchange.flow(job)
        told: Any = None
        while True:
            try:
                step = flow.send(told)
            except StopIteration as end:
                found: T = end.value
                return found
            told = self._carry_out(step)

    def iterate(self, listing: PagedList[Any]) -> Iterator[Any]:
        """Go through a list, one call per page."""
        walk = PageIterator(listing)
        while (operation := walk.next_page()) is not None:
            yield from walk.take(self.run(operation))

    def close(self) -> None:
        """Give the connections back."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _carry_out(self, step: Step) -> Any:
        if isinstance(step, Sleep):
            return time.sleep(step.seconds)
        if isinstance(step, Spend):
            return self._budget.spend() if self._budget is not None else 0.0
        if isinstance(step, Observe):
            return self._observe(step)
        if isinstance(step, RecordRequest):
            return self._record(step)
        return self._transmit(step.wire)

    def _observe(self, step: Observe) -> None:
        if self._budget is not None:
            with step.forgiving():
                self._budget.observe(step.rate_limit)

    def _record(self, step: RecordRequest) -> None:
        if self._recorder is not None:
            with step.forgiving():
                self._recorder.record(step.made.created, step.made.sent)

    def _transmit(self, outgoing: HttpRequest) -> HttpReply | Unreachable:
        try:
            return http_transport.answered(
                self._http.request(**http_transport.request(outgoing, self._key, self._timeout))
            )
        except http_transport.NO_REPLY as error:
            return http_transport.unreachable(outgoing, error)


class AsyncClient(ClientCore[Awaited]):
    """HITL.sh for asyncio: the calls of `Client`, awaited; lists are async iterators."""

    def __init__(
        self,
        api_key: str,
        *,
        base_url: str = DEFAULT_BASE_URL,
        api_prefix: str = "/api",
        timeout: float = 30.0,
        retries: RetryPolicy = _PATIENT,
        budget: Budget | AsyncBudget | None = None,
        recorder: RequestRecorder | AsyncRequestRecorder | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        super().__init__(api_key, base_url, api_prefix, retries, budget is not None)
        self._timeout = timeout
        self._budget = budget
        self._recorder = recorder
        self._http = httpx.AsyncClient(transport=transport, **http_transport.options(self._base_url, timeout))

    async def run(self, job: Operation[T] | Script[T]) -> T:
        """Carry out an operation, or a script of several."""
        flow = self._exchange.flow(job)
        told: Any = None
        while True:
            try:
                step = flow.send(told)
            except StopIteration as end:
                found: T = end.value
                return found
            told = await self._carry_out(step)

    async def iterate(self, listing: PagedList[Any]) -> AsyncIterator[Any]:
        """Go through a list, one call per page."""
        walk = PageIterator(listing)
        while (operation := walk.next_page()) is not None:
            for item in walk.take(await self.run(operation)):
                yield item

    async def close(self) -> None:
        """Give the connections back."""
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def _carry_out(self, step: Step) -> Any:
        if isinstance(step, Sleep):
            return await asyncio.sleep(step.seconds)
        if isinstance(step, Spend):
            return await maybe_await(self._budget.spend()) if self._budget is not None else 0.0
        if isinstance(step, Observe):
            return await self._observe(step)
        if isinstance(step, RecordRequest):
            return await self._record(step)
        return await self._transmit(step.wire)

    async def _observe(self, step: Observe) -> None:
        if self._budget is not None:
            with step.forgiving():
                await maybe_await(self._budget.observe(step.rate_limit))

    async def _record(self, step: RecordRequest) -> None:
        if self._recorder is not None:
            with step.forgiving():
                await maybe_await(self._recorder.record(step.made.created, step.made.sent))

    async def _transmit(self, outgoing: HttpRequest) -> HttpReply | Unreachable:
        try:
            return http_transport.answered(
                await self._http.request(**http_transport.request(outgoing, self._key, self._timeout))
            )
        except http_transport.NO_REPLY as error:
            return http_transport.unreachable(outgoing, error)
