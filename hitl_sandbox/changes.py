"""Telling whoever waits that something changed: the timeline, long polls, open pages."""

import asyncio


class Changes:
    """A number that grows with every change, and a way to wait for the next."""

    def __init__(self) -> None:
        self.number = 0
        self.closed = False
        self._next = asyncio.Event()

    def announce(self) -> None:
        self.number += 1
        waited, self._next = self._next, asyncio.Event()
        waited.set()

    def close(self) -> None:
        """Wake everyone for the last time: the sandbox is stopping."""
        self.closed = True
        self.announce()

    async def after(self, number: int, seconds: float | None) -> bool:
        """Wait until there was a change since ``number``; False when the (real) seconds ran out first."""
        if self.number != number or self.closed:
            return True
        try:
            async with asyncio.timeout(seconds):
                await self._next.wait()
        except TimeoutError:
            return False
        return True
