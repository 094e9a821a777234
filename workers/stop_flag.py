"""A flag for signal handlers."""

import contextlib
from queue import Empty, SimpleQueue


class StopFlag:
    """Set by a signal handler, and read by the main thread, which that handler interrupts anywhere.

    It takes no lock that the interrupted code may have, as `threading.Event` does in `set` and in `wait`:
    https://docs.python.org/3/library/queue.html#simplequeue-objects
    """

    def __init__(self) -> None:
        self._is_set = False
        self._wakes: SimpleQueue[None] = SimpleQueue()

    def set(self, *_signal: object) -> None:
        """A signal handler; another signal may interrupt it."""
        self._is_set = True
        self._wakes.put(None)

    def is_set(self) -> bool:
        return self._is_set

    def wait(self, seconds: float) -> bool:
        """Wait until it is set, for so many seconds at the most; returns whether it is."""
        if not self._is_set:
            with contextlib.suppress(Empty):
                self._wakes.get(timeout=seconds)
        return self._is_set
