"""Processes as the kernel sees them (Linux)."""

import os
import signal
import time
from collections.abc import Callable, Iterable
from pathlib import Path

PROC = Path("/proc")


def children(pid: int) -> list[int]:
    """The direct children of a process; none when it is gone."""
    try:
        return [int(child) for child in (PROC / f"{pid}/task/{pid}/children").read_text().split()]
    except (FileNotFoundError, ProcessLookupError):
        return []


def family(pid: int) -> list[int]:
    """A process and all below it."""
    return [pid, *(one for child in children(pid) for one in family(child))]


def alive(pid: int) -> bool:
    """Any thread of it runs: it is neither none (0) nor gone nor a zombie that nobody has waited for.

    A process whose first thread has ended holds its connections until the last one has.
    """
    if not pid:
        return False
    try:
        return any(_runs(thread) for thread in (PROC / f"{pid}/task").iterdir())
    except (FileNotFoundError, ProcessLookupError):
        return False


def _runs(thread: Path) -> bool:
    try:
        return (thread / "stat").read_text().rpartition(")")[2].split()[0] not in {"Z", "X"}
    except (FileNotFoundError, ProcessLookupError):
        return False


def living(pids: Iterable[int]) -> list[int]:
    return [pid for pid in pids if alive(pid)]


def kill(pid: int) -> None:
    """Without a warning, and without an error when it is gone already."""
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def until(
    true: Callable[[], object], seconds: float, what: str, *, meanwhile: Callable[[], object] = lambda: None
) -> float:
    """Wait until it holds; answers the seconds that took."""
    started = time.monotonic()
    while not true():
        waited = time.monotonic() - started
        assert waited < seconds, f"not within {seconds:.1f} s: {what}"
        meanwhile()
        # Most of what is waited for takes a moment. What takes longer is not to be slowed down by who looks.
        time.sleep(0.02 if waited < 1.0 else 0.1)
    return time.monotonic() - started
