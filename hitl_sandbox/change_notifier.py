"""Notification of changes: the scheduler, long polls and open pages wait for it."""

import asyncio


class ChangeNotifier:
    """Counts changes, and lets tasks wait for the next one."""

    def __init__(self) -> None:
        self.number = 0
        self.closed = False
        self._next = asyncio.Event()

    def notify(self) -> None:
        self.number += 1
        current, self._next = self._next, asyncio.Event()
        current.set()

    def close(self) -> None:
        """Wake every waiting task, now and from now on: the sandbox stops."""
        self.closed = True
        self.notify()

    async def wait_after(self, number: int, seconds: float | None) -> bool:
        """Wait for a change after `number`; False when the real seconds pass without one."""
        if self.number != number or self.closed:
            return True
        try:
            async with asyncio.timeout(seconds):
                await self._next.wait()
        except TimeoutError:
            return False
        return True
