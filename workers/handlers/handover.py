"""How a drain hands over to its successor: a pipe from each work-horse to the worker that forked it.

1. The drain writes `SUCCESSOR_WANTED` and goes on claiming.
2. The worker forks another work-horse for the same RQ job.
3. The successor's drain writes `READY` after its first claim.
4. The worker sends `RETIRE` to the predecessor, which claims no more, finishes what runs, and ends.

A lost message costs nothing: a drain that is not told to retire goes on claiming, and asks again.
"""

import contextlib
import os
import signal

READY = b"r"
SUCCESSOR_WANTED = b"s"
RETIRE = signal.SIGUSR1

#: The end of the pipe that this work-horse writes to; None outside of one.
_to_worker: int | None = None
#: The worker has told this work-horse to stop.
_is_stopped = False


def connect(pipe: int) -> None:
    """Use this pipe to the worker; called once in each work-horse."""
    global _to_worker
    _to_worker = pipe


def announce_ready() -> None:
    _send(READY)


def ask_for_successor() -> None:
    _send(SUCCESSOR_WANTED)


def note_stop() -> None:
    """Let the job end, also one that has not begun, so that RQ records its end as usual. Signal handlers call it."""
    global _is_stopped
    _is_stopped = True


def is_stopped() -> bool:
    """Whether the job is to end; one that handles the signal itself asks when it begins to."""
    return _is_stopped


def _send(message: bytes) -> None:
    if _to_worker is not None:
        with contextlib.suppress(BrokenPipeError):  # the worker is gone, or a successor is on its way
            os.write(_to_worker, message)
