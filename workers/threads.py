"""Threads for `def` handlers, so many at a time, each attempt with a deadline."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from workers.decision import Decision


class Outlived(Exception):
    """A handler did not end in its time; its thread goes on."""


class HandlerThreads:
    """A bounded pool that knows how many of its threads will not come back."""

    def __init__(self, count: int) -> None:
        self._executor = ThreadPoolExecutor(count, thread_name_prefix="hitl-handler")
        self._free = asyncio.Semaphore(count)
        #: Handlers that outlived their deadline and still occupy a thread.
        self.stuck = 0

    async def call(self, handler: Callable[[Decision], object], decision: Decision, seconds: float) -> object:
        """What the handler returns; raises what it raises, and `Outlived` once `seconds` are over.

        Python cannot stop a thread: after that the process has to end for it.
        """
        await self._free.acquire()
        running = asyncio.get_running_loop().run_in_executor(self._executor, handler, decision)
        running.add_done_callback(self._came_back)
        done, _ = await asyncio.wait({running}, timeout=seconds)
        if not done:
            self.stuck += 1
            raise Outlived
        return running.result()

    def close(self) -> None:
        self._executor.shutdown(wait=False, cancel_futures=True)

    def _came_back(self, running: "asyncio.Future[object]") -> None:
        self._free.release()
        if not running.cancelled():
            running.exception()  # somebody has looked at it, even if its caller is gone
