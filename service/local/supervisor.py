"""Keeps a few child processes running, and stops them in order."""

import logging
import os
import shlex
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import hitl_receiver
from service.errors import ServiceError
from service.local.embedded_server import die_with_parent
from workers.stop_flag import StopFlag

logger = logging.getLogger("hitl.supervisor")

#: Seconds between a child's death and its next start, doubled while it keeps dying early.
FIRST_PAUSE = 0.2
LONGEST_PAUSE = 10.0
#: Seconds: a child that lives less than this has died early.
EARLY_DEATH = 10.0
#: After how many early deaths a child that never lived longer is given up.
MAX_FAILED_STARTS = 4
#: Exit codes of a child that a signal from outside ended: it did not fail.
_KILLED = (-signal.SIGKILL, -signal.SIGTERM, -signal.SIGINT, -signal.SIGHUP)
_LAST_LINES = 10


class ProgramFailed(ServiceError):
    """A child process ends right after each start; the message names it, its exit code and what to do."""


@dataclass(slots=True, kw_only=True)
class Child:
    """One process to keep running."""

    name: str
    argv: Sequence[str]
    environ: Mapping[str, str]
    #: Seconds it has to stop after SIGTERM; then it is killed.
    grace: float = 30.0
    process: subprocess.Popen[str] | None = None
    started: float = 0.0
    pause: float = FIRST_PAUSE
    restart_at: float = field(default=0.0)
    #: It has lived long enough once, so its failure may be temporary, such as an outage of Redis.
    has_worked: bool = False
    failed_starts: int = 0
    last_lines: deque[str] = field(default_factory=lambda: deque(maxlen=_LAST_LINES))
    relay: threading.Thread | None = None


class Supervisor:
    """Runs child processes until it is stopped. Use it from the main thread: the children die with that thread."""

    def __init__(
        self,
        children: Sequence[Child],
        *,
        print_line: Callable[[str, str], None] | None = None,
        together: bool = False,
    ) -> None:
        """`print_line(name, line)` is called with every line that a child prints; without it, children print directly.

        `together`: all children are stopped at once, not one after another in their order.
        """
        self.children = list(children)
        self._print_line = print_line
        self._together = together
        self._stopping = StopFlag()
        #: Replaced processes, and the time by which each must have ended.
        self._replaced: list[tuple[subprocess.Popen[str], float]] = []

    def request_stop(self, *_signal: object) -> None:
        """Begin to stop. A signal handler."""
        self._stopping.set()

    def start(self) -> None:
        for child in self.children:
            self._spawn(child)

    def run(self) -> None:
        """Start all children, restart those that die until a stop is requested, then stop all."""
        signal.signal(signal.SIGTERM, self.request_stop)
        signal.signal(signal.SIGINT, self.request_stop)
        try:
            self.start()
            while not self._stopping.wait(0.1):
                self.check()
        finally:
            self.stop()

    def check(self) -> None:
        """Restart each dead child after its pause; raises `ProgramFailed` for one that keeps dying early."""
        now = time.monotonic()
        self._reap_replaced()
        for child in self.children:
            if child.process is None or child.process.poll() is None:
                continue
            if not child.restart_at:
                is_early = now - child.started < EARLY_DEATH
                self._count(child, child.process.returncode, is_early=is_early)
                child.pause = min(LONGEST_PAUSE, child.pause * 2) if is_early else FIRST_PAUSE
                child.restart_at = now + child.pause
                logger.warning(
                    "process.died name=%s status=%s restart_in=%.1f",
                    child.name,
                    child.process.returncode,
                    child.pause,
                )
            elif now >= child.restart_at:
                self._spawn(child)

    def replace(self, name: str, *, overlaps: bool = True, settings: Mapping[str, str] | None = None) -> None:
        """Start a new process for this child, and stop the one that ran.

        `overlaps`: the new one begins while the other finishes; otherwise it begins once the other has ended.
        `settings`: those that change.
        """
        [child] = [child for child in self.children if child.name == name]
        old = child.process
        child.environ = {**child.environ, **(settings or {})}
        # Its exit with new code or settings does not depend on how it was started.
        child.has_worked = True
        if old is not None and old.poll() is None:
            old.terminate()
            deadline = time.monotonic() + child.grace
            if overlaps:
                self._replaced.append((old, deadline))
            else:
                self._await_end(child, deadline)
        self._spawn(child)

    def _reap_replaced(self) -> None:
        self._replaced = [(process, deadline) for process, deadline in self._replaced if process.poll() is None]
        for process, deadline in self._replaced:
            if time.monotonic() > deadline:
                process.kill()

    def _count(self, child: Child, code: int, *, is_early: bool) -> None:
        child.has_worked = child.has_worked or not is_early
        if child.has_worked or code in _KILLED:
            return
        child.failed_starts += 1
        if child.failed_starts >= MAX_FAILED_STARTS:
            raise ProgramFailed(self._failure(child, code))

    def _failure(self, child: Child, code: int) -> str:
        ended = f"exit code {code}" if code >= 0 else f"signal {-code} ({signal.strsignal(-code)})"
        if child.relay is not None:
            child.relay.join(1.0)
        last_lines = ["Its last lines:", *(f"  {line}" for line in child.last_lines)] if child.last_lines else []
        if not self._print_line:
            remedy = "Correct what its output above says"
        else:
            remedy = "Correct what its output says" if last_lines else "It printed nothing: run that command to see why"
        summary = (
            f"{child.name!r} ended right after each of {child.failed_starts} starts, the last time with {ended}, "
            "so all processes were stopped."
        )
        command_line = f"Its command: {shlex.join(child.argv)}"
        return "\n".join([summary, command_line, *last_lines, f"{remedy}, then start again."])

    def stop(self) -> None:
        """Stop the children, in the order in which they were given unless `together`."""
        self._stopping.set()
        for group in [self.children] if self._together else [[child] for child in self.children]:
            for child in group:
                if child.process is not None:
                    child.process.terminate()
            stopped_at = time.monotonic()
            for child in group:
                self._await_end(child, stopped_at + child.grace)
        while self._replaced:
            self._reap_replaced()
            time.sleep(0.05)

    def _await_end(self, child: Child, deadline: float) -> None:
        if child.process is None:
            return
        try:
            child.process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            logger.warning("process.killed name=%s after=%.0fs", child.name, child.grace)
            child.process.kill()
            child.process.wait()

    def _spawn(self, child: Child) -> None:
        child.process = subprocess.Popen(
            list(child.argv),
            env={**os.environ, **child.environ, "PYTHONUNBUFFERED": "1"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE if self._print_line else None,
            stderr=subprocess.STDOUT if self._print_line else None,
            text=True,
            errors="replace",
            # A process group of its own: Ctrl+C reaches only the supervisor, which stops the children in order.
            start_new_session=True,
            preexec_fn=die_with_parent,
        )
        child.started, child.restart_at = time.monotonic(), 0.0
        if self._print_line:
            child.last_lines.clear()
            child.relay = threading.Thread(target=self._relay, args=(child, child.process), daemon=True)
            child.relay.start()

    def _relay(self, child: Child, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        assert self._print_line is not None
        with process.stdout as lines:
            for line in lines:
                child.last_lines.append(line.rstrip("\n"))
                self._print_line(child.name, line.rstrip("\n"))


def command(*arguments: str) -> list[str]:
    """The command line of this program with other arguments.

    It names a path: a module of the current folder may have the name of one of ours.
    """
    return [sys.executable, "-P", str(Path(hitl_receiver.__file__).with_name("__main__.py")), *arguments]
