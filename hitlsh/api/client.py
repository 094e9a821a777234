"""The two clients: `Client` blocks, `AsyncClient` is for asyncio. Both execute the steps of `Exchange`."""

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

_DEFAULT_RETRIES = RetryPolicy()


class Client(ClientCore[Blocking]):
    """The HITL.sh API for synchronous code (https://docs.hitl.sh, "API reference").

    Threads may share a client. Close it, or use it in a ``with`` block.

    ``timeout``: seconds for one attempt. ``retries``: how failed calls are repeated. ``budget``: gives leave for each
    call. ``recorder``: receives each request that was created. ``api_prefix``: stands between the base URL and the
    resource. Raises ClientMisconfigured for an unusable key, base URL or prefix; calls raise `ApiError`.
    """

    def __init__(
        self,
        api_key: str,
        *,
        base_url: str = DEFAULT_BASE_URL,
        api_prefix: str = "/api",
        timeout: float = 30.0,
        retries: RetryPolicy = _DEFAULT_RETRIES,
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
        """Execute an operation, or a script of several; returns its result and raises ApiError."""
        flow = self._exchange.flow(job)
        result: Any = None
        while True:
            try:
                step = flow.send(result)
            except StopIteration as end:
                value: T = end.value
                return value
            result = self._execute(step)

    def iterate(self, listing: PagedList[Any]) -> Iterator[Any]:
        """Iterate over a list, with one call for each page."""
        pages = PageIterator(listing)
        while (operation := pages.next_page()) is not None:
            yield from pages.new_items(self.run(operation))

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _execute(self, step: Step) -> Any:
        if isinstance(step, Sleep):
            return time.sleep(step.seconds)
        if isinstance(step, Spend):
            return self._budget.spend() if self._budget is not None else 0.0
        if isinstance(step, Observe):
            return self._observe(step)
        if isinstance(step, RecordRequest):
            return self._record(step)
        return self._transmit(step.request)

    def _observe(self, step: Observe) -> None:
        if self._budget is not None:
            with step.logging_errors():
                self._budget.observe(step.rate_limit)

    def _record(self, step: RecordRequest) -> None:
        if self._recorder is not None:
            with step.logging_errors():
                self._recorder.record(step.entry.created, step.entry.sent)

    def _transmit(self, http_request: HttpRequest) -> HttpReply | Unreachable:
        try:
            return http_transport.reply(
                self._http.request(**http_transport.request(http_request, self._key, self._timeout))
            )
        except http_transport.NO_REPLY as error:
            return http_transport.unreachable(http_request, error)


class AsyncClient(ClientCore[Awaited]):
    """The HITL.sh API for asyncio: the calls of `Client`, to be awaited; lists are async iterators."""

    def __init__(
        self,
        api_key: str,
        *,
        base_url: str = DEFAULT_BASE_URL,
        api_prefix: str = "/api",
        timeout: float = 30.0,
        retries: RetryPolicy = _DEFAULT_RETRIES,
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
        """Execute an operation, or a script of several; returns its result and raises ApiError."""
        flow = self._exchange.flow(job)
        result: Any = None
        while True:
            try:
                step = flow.send(result)
            except StopIteration as end:
                value: T = end.value
                return value
            result = await self._execute(step)

    async def iterate(self, listing: PagedList[Any]) -> AsyncIterator[Any]:
        """Iterate over a list, with one call for each page."""
        pages = PageIterator(listing)
        while (operation := pages.next_page()) is not None:
            for item in pages.new_items(await self.run(operation)):
                yield item

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def _execute(self, step: Step) -> Any:
        if isinstance(step, Sleep):
            return await asyncio.sleep(step.seconds)
        if isinstance(step, Spend):
            return await maybe_await(self._budget.spend()) if self._budget is not None else 0.0
        if isinstance(step, Observe):
            return await self._observe(step)
        if isinstance(step, RecordRequest):
            return await self._record(step)
        return await self._transmit(step.request)

    async def _observe(self, step: Observe) -> None:
        if self._budget is not None:
            with step.logging_errors():
                await maybe_await(self._budget.observe(step.rate_limit))

    async def _record(self, step: RecordRequest) -> None:
        if self._recorder is not None:
            with step.logging_errors():
                await maybe_await(self._recorder.record(step.entry.created, step.entry.sent))

    async def _transmit(self, http_request: HttpRequest) -> HttpReply | Unreachable:
        try:
            return http_transport.reply(
                await self._http.request(**http_transport.request(http_request, self._key, self._timeout))
            )
        except http_transport.NO_REPLY as error:
            return http_transport.unreachable(http_request, error)
