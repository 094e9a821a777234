"""A whole stack with two workers, a ledger outside, and what its processes logged."""

import os
import signal
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from service.local.supervisor import Child
from tests.processes import proc
from tests.processes.ledger import LEDGER, Ledger
from tests.processes.stacks import LiveStack

WORKERS = ("worker", "second")


class FaultStack(LiveStack):
    """`handlers`: a module beside this one; `lease`: seconds; `workers`: two at the most."""

    def __init__(
        self,
        folder: Path,
        handlers: str,
        more: Mapping[str, str] | None = None,
        *,
        lease: float = 1.0,
        workers: int = 2,
    ) -> None:
        self.ledger = Ledger(folder / "ledger.sqlite")
        self.lines: list[tuple[str, str]] = []
        told = {
            "HITL_HANDLERS": f"tests.processes.{handlers}",
            "HITL_LEASE_SECONDS": str(lease),
            LEDGER: str(self.ledger.path),
        }
        super().__init__(folder, told | dict(more or {}), say=lambda name, line: self.lines.append((name, line)))
        self.workers = WORKERS[:workers]
        like, children = self.child("worker"), self.stack.supervisor.children
        if not workers:
            children.remove(like)
        for name in self.workers[1:]:
            children.append(Child(name=name, argv=like.argv, environ=like.environ))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        super().__exit__(kind, error, trace)
        self.ledger.close()

    def horses(self) -> list[int]:
        """The work-horses of all workers, as far as there are any."""
        return proc.living(horse for name in self.workers for horse in proc.children(self.pid(name)))

    def ready(self) -> Self:
        """Every worker listens: no fault of a test meets one that is still starting."""
        workers = sum("work" in child.argv for child in self.stack.supervisor.children)
        self.wait(lambda: self.redis.scard("rq:workers") >= workers, 20.0, "the workers are there")
        return self

    def logged(self, words: str) -> list[str]:
        """Lines of the log with these words in them."""
        return [line for _, line in self.lines if words in line]

    def executions(self, event: str, handler: str) -> list[int]:
        """The pids that ran it, in order."""
        return [one.pid for one in self.ledger.executions(event) if one.handler == handler]

    def wait_for_begin(self, event: str, handler: str, seconds: float = 10.0) -> int:
        """Until a handler began; answers the pid it runs in."""
        self.wait(lambda: self.executions(event, handler), seconds, f"{handler} begins for {event}")
        return self.executions(event, handler)[-1]

    def states(self, event: str) -> dict[str, str]:
        """How each effect stands, by its handler."""
        return {effect.handler: effect.state for effect in self.record(event).effects}

    def go_without_server(self, seconds: float) -> tuple[float, float]:
        """kill -9 of the server, and none for so long; answers when."""
        self.kill("server")
        began = time.time()
        time.sleep(seconds)
        self.stack.check()
        return began, time.time()


def freeze(pid: int) -> None:
    os.kill(pid, signal.SIGSTOP)


def thaw(pid: int) -> None:
    os.kill(pid, signal.SIGCONT)
