"""Connections that belong to the event loop they were opened in."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Generic, TypeVar
from weakref import WeakKeyDictionary

T = TypeVar("T")


class PerLoop(Generic[T]):
    """One T for every event loop that asks, opened when it first does and closed when the loop shuts down.

    Routers are imported before workers fork, so a sink can open nothing of its own before its first decision.
    """

    def __init__(self, opened: Callable[[], T], close: Callable[[T], Awaitable[object]]) -> None:
        self._opened = opened
        self._close = close
        self._kept: WeakKeyDictionary[asyncio.AbstractEventLoop, T] = WeakKeyDictionary()

    async def get(self) -> T:
        """The running loop's own."""
        loop = asyncio.get_running_loop()
        if loop not in self._kept:
            self._kept[loop] = self._opened()
            await _close_with(loop, self._kept[loop], self._close)
        return self._kept[loop]


async def _close_with(loop: asyncio.AbstractEventLoop, value: T, close: Callable[[T], Awaitable[object]]) -> None:
    closing = _closing(value, close)
    # Begun, it is known to the loop, whose `shutdown_asyncgens` ends it: `asyncio.Runner` sees to that.
    await anext(closing)
    # Not even if its owner is gone before: what a collector ends may come too late for the loop.
    _closings.setdefault(loop, []).append(closing)


async def _closing(value: T, close: Callable[[T], Awaitable[object]]) -> AsyncGenerator[None, None]:
    try:
        yield
    finally:
        await close(value)


_closings: WeakKeyDictionary[asyncio.AbstractEventLoop, list[AsyncGenerator[None, None]]] = WeakKeyDictionary()
