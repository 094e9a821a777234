"""Connections that belong to the event loop in which they are opened."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Generic, TypeVar
from weakref import WeakKeyDictionary

T = TypeVar("T")


class PerLoop(Generic[T]):
    """One T for each event loop, opened at first use and closed when the loop shuts down.

    Routers are imported before workers fork, so a sink must not open connections before its first decision.
    """

    def __init__(self, open_value: Callable[[], T], close: Callable[[T], Awaitable[object]]) -> None:
        self._open_value = open_value
        self._close = close
        self._values: WeakKeyDictionary[asyncio.AbstractEventLoop, T] = WeakKeyDictionary()

    async def get(self) -> T:
        """Return the T of the running loop."""
        loop = asyncio.get_running_loop()
        if loop not in self._values:
            self._values[loop] = self._open_value()
            await _close_with(loop, self._values[loop], self._close)
        return self._values[loop]


async def _close_with(loop: asyncio.AbstractEventLoop, value: T, close: Callable[[T], Awaitable[object]]) -> None:
    closing = _closing(value, close)
    # A started generator is registered with the loop, whose `shutdown_asyncgens` ends it (`asyncio.Runner` calls that).
    await anext(closing)
    # Referenced here, because the garbage collector might end it after the loop.
    _closings.setdefault(loop, []).append(closing)


async def _closing(value: T, close: Callable[[T], Awaitable[object]]) -> AsyncGenerator[None, None]:
    try:
        yield
    finally:
        await close(value)


_closings: WeakKeyDictionary[asyncio.AbstractEventLoop, list[AsyncGenerator[None, None]]] = WeakKeyDictionary()
