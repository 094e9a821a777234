"""Detects a handler that blocks the event loop, from a separate thread, and names it in the log.

When the loop is blocked for longer than any handler may take, the process ends. Its work is due again when its leases
expire, and the handler that blocks is found when it runs alone.
"""

import asyncio
import logging
import os
import sys
import threading
import time
from collections.abc import Callable, Sequence
from types import CodeType, FrameType

from workers.routing.route import Route

logger = logging.getLogger("hitl.workers")

#: Seconds without a turn of the event loop after which the log names the handler.
BLOCKED = 1.0
#: Seconds beyond the longest timeout of any route after which the process ends.
PATIENCE = 10.0


class LoopWatch:
    """Watches the running event loop from its start; logs each time that it is blocked once."""

    def __init__(
        self, routes: Sequence[Route], *, patience: float = PATIENCE, end: Callable[[], None] = lambda: os._exit(1)
    ) -> None:
        self._names: dict[CodeType, str] = {
            code: route.name for route in routes if (code := getattr(route.handler, "__code__", None))
        }
        self._longest = max((route.policy.timeout for route in routes), default=0.0) + patience
        self._end = end
        self._stopped = threading.Event()
        self._turned = time.monotonic()
        self._loop_thread = threading.get_ident()
        self._thread = threading.Thread(target=self._watch, name="hitl-loop-watch", daemon=True)

    def start(self) -> None:
        self._loop_thread = threading.get_ident()
        self._loop = asyncio.get_running_loop()
        self._turn()
        self._thread.start()

    def stop(self) -> None:
        self._stopped.set()
        self._thread.join(timeout=2 * BLOCKED)

    def _turn(self) -> None:
        self._turned = time.monotonic()
        if not self._stopped.is_set():
            self._loop.call_later(BLOCKED / 4, self._turn)

    def _watch(self) -> None:
        named = 0.0
        while not self._stopped.wait(BLOCKED / 4):
            turned = self._turned
            blocked = time.monotonic() - turned
            if blocked > BLOCKED and turned != named:
                named = turned
                logger.warning(
                    "loop.blocked handler=%s at=%s: use a def handler for blocking code", *self._blocking_handler()
                )
            if blocked > self._longest:
                logger.error(
                    "loop.given_up handler=%s at=%s: the process ends, and its work is due again in a while",
                    *self._blocking_handler(),
                )
                self._end()
                return

    def _blocking_handler(self) -> tuple[str, str]:
        """The handler on the loop's stack, and the innermost line of code."""
        frame: FrameType | None = sys._current_frames().get(self._loop_thread)
        place = f"{frame.f_code.co_filename}:{frame.f_lineno}" if frame else "unknown"
        while frame is not None:
            if frame.f_code in self._names:
                return self._names[frame.f_code], place
            frame = frame.f_back
        return "unknown", place
