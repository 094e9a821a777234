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
        self._kept: WeakKeyDictionary[asyncio.AbstractEventLoop, tuple[T, AsyncGenerator[None, None]]] = (
            WeakKeyDictionary()
        )

    async def get(self) -> T:
        """The running loop's own."""
        loop = asyncio.get_running_loop()
        if loop not in self._kept:
            value = self._opened()
            closing = self._closing(value)
            self._kept[loop] = value, closing
            # Begun, it is known to the loop, whose `shutdown_asyncgens` ends it: `asyncio.Runner` sees to that.
            await anext(closing)
        return self._kept[loop][0]

    async def _closing(self, value: T) -> AsyncGenerator[None, None]:
        try:
            yield
        finally:
            await self._close(value)
