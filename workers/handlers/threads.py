"""A bounded pool of threads for `def` handlers, with a deadline for each attempt."""

import asyncio
import contextvars
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from workers.decision import Decision
from workers.errors import WorkersError


class ThreadOverdue(WorkersError):
    """The drain ends while the thread of a handler goes on after its timeout, until the process is gone."""


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
        """Return what the handler returns; raises what it raises.

        Python cannot stop a thread: `on_overdue` is called once `seconds` are over, and the call goes on until the
        thread ends. Raises `ThreadOverdue` when it is cancelled after that.
        """
        await self._free.acquire()
        running = asyncio.get_running_loop().run_in_executor(
            self._executor, contextvars.copy_context().run, handler, decision
        )
        running.add_done_callback(self._on_end)
        done, _ = await asyncio.wait({running}, timeout=seconds)
        if not done:
            on_overdue()
            try:
                await asyncio.wait({running})
            except asyncio.CancelledError:
                raise ThreadOverdue from None
        return running.result()

    def close(self) -> None:
        self._executor.shutdown(wait=False, cancel_futures=True)

    def _on_end(self, running: "asyncio.Future[object]") -> None:
        self._free.release()
        if not running.cancelled():
            running.exception()  # retrieved, so that asyncio logs no warning when its caller is gone
