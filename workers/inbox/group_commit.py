"""Group commit: what is submitted during a flush is flushed together in the next one."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from workers.errors import WorkersError

Item = TypeVar("Item")
Result = TypeVar("Result")


class Overloaded(WorkersError):
    """Too many items wait in memory: try again later."""


class Closed(WorkersError):
    """The process is shutting down and accepts no more items."""


class GroupCommit(Generic[Item, Result]):
    """Collects concurrent `submit`s into calls of `flush`, one at a time, in order.

    There is no timer: the first item is flushed at once, and what arrives meanwhile goes into the next call. If a flush
    raises, only its own items fail. `flush` returns one result per item, in order.
    """

    def __init__(
        self,
        flush: Callable[[list[Item]], Awaitable[list[Result]]],
        *,
        weigh: Callable[[Item], int] = lambda _: 0,
        batch_size: int = 128,
        batch_weight: int = 4 << 20,
        max_waiting: int = 10_000,
        max_waiting_weight: int = 64 << 20,
    ) -> None:
        """`weigh`: bytes of an item. `batch_size`, `batch_weight`: items and bytes of one flush at most; `max_waiting`,
        `max_waiting_weight`: items and bytes that may wait.
        """
        self._flush = flush
        self._weigh = weigh
        self._batch_size = batch_size
        self._batch_weight = batch_weight
        self._max_waiting = max_waiting
        self._max_waiting_weight = max_waiting_weight
        self._waiting_weight = 0
        self._waiting: deque[tuple[Item, asyncio.Future[Result]]] = deque()
        self._flushing: asyncio.Task[None] | None = None
        self._closed = False

    def submit(self, item: Item) -> asyncio.Future[Result]:
        """Return a future of the result of `item`. Raises `Overloaded`, `Closed`."""
        if self._closed:
            raise Closed
        weight = self._weigh(item)
        # A single item is always accepted, however heavy, or it could never be flushed.
        if len(self._waiting) >= self._max_waiting or (
            self._waiting and self._waiting_weight + weight > self._max_waiting_weight
        ):
            raise Overloaded
        self._waiting_weight += weight
        future: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, future))
        if self._flushing is None:
            self._flushing = asyncio.create_task(self._flush_all())
        return future

    async def close(self) -> None:
        """Accept no more, and wait until everything submitted is flushed."""
        self._closed = True
        if self._flushing is not None:
            await self._flushing

    async def _flush_all(self) -> None:
        try:
            while self._waiting:
                await self._flush_batch(self._next_batch())
        finally:
            self._flushing = None

    def _next_batch(self) -> list[tuple[Item, asyncio.Future[Result]]]:
        batch: list[tuple[Item, asyncio.Future[Result]]] = []
        total = 0
        while self._waiting and len(batch) < self._batch_size:
            weight = self._weigh(self._waiting[0][0])
            if batch and total + weight > self._batch_weight:
                break
            total += weight
            batch.append(self._waiting.popleft())
        self._waiting_weight -= total
        return batch

    async def _flush_batch(self, batch: list[tuple[Item, asyncio.Future[Result]]]) -> None:
        try:
            results = await self._flush([item for item, _ in batch])
        except Exception as error:  # noqa: BLE001 - whatever it is, it belongs to these submitters
            for _, future in batch:
                if not future.done():
                    future.set_exception(error)
                    future.exception()  # retrieved, so that asyncio logs no warning for a submitter that is gone
            return
        for (_, future), result in zip(batch, results, strict=True):
            if not future.done():
                future.set_result(result)
