"""A flag for signal handlers."""

import time

#: Seconds from one look at the flag to the next.
_PAUSE = 0.1


class StopFlag:
    """Set by a signal handler, and read by the main thread, which that handler interrupts anywhere.

    It takes no lock. `threading.Event` takes one in `set` and in `wait`, which never ends where the handler interrupts
    the thread that has it.
    """

    def __init__(self) -> None:
        self._is_set = False

    def set(self, *_signal: object) -> None:
        """A signal handler."""
        self._is_set = True

    def is_set(self) -> bool:
        return self._is_set

    def wait(self, seconds: float = _PAUSE) -> bool:
        """Wait until it is set, for so many seconds at the most; returns whether it is."""
        deadline = time.monotonic() + seconds
        while not self._is_set and (left := deadline - time.monotonic()) > 0:
            time.sleep(min(left, _PAUSE))
        return self._is_set
