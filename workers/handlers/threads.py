"""Threads for `def` handlers, so many at a time, each attempt with a deadline."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from workers.decision import Decision
from workers.errors import WorkersError


class Outlived(WorkersError):
    """The drain ends, and the thread of a handler that did not end in its time goes on until the process is gone."""


class HandlerThreads:
    """A bounded pool of threads."""

    def __init__(self, count: int) -> None:
        self._executor = ThreadPoolExecutor(count, thread_name_prefix="hitl-handler")
        self._free = asyncio.Semaphore(count)

    async def call(
        self,
        handler: Callable[[Decision], object],
        decision: Decision,
        seconds: float,
        on_overdue: Callable[[], None],
    ) -> object:
        """What the handler returns; raises what it raises.

        Python cannot stop a thread: `on_overdue` is called once `seconds` are over, and the call goes on until the
        thread ends. Raises `Outlived` when it is cancelled after that.
        """
        await self._free.acquire()
        running = asyncio.get_running_loop().run_in_executor(self._executor, handler, decision)
        running.add_done_callback(self._came_back)
        done, _ = await asyncio.wait({running}, timeout=seconds)
        if not done:
            on_overdue()
            try:
                await asyncio.wait({running})
            except asyncio.CancelledError:
                raise Outlived from None
        return running.result()

    def close(self) -> None:
        self._executor.shutdown(wait=False, cancel_futures=True)

    def _came_back(self, running: "asyncio.Future[object]") -> None:
        self._free.release()
        if not running.cancelled():
            running.exception()  # somebody has looked at it, even if its caller is gone
