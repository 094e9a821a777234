"""Reads the file that the handlers of `tests.processes.handlers` write."""

from collections import Counter
from pathlib import Path
from typing import Literal

import msgspec


class Happening(msgspec.Struct, frozen=True, kw_only=True):
    """A handler began, or came to its end."""

    handler: str
    event: str
    what: Literal["begin", "end"]
    pid: int
    at: float


class Observer:
    """Reads the file that the handlers write."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.path.touch()

    def happenings(self) -> list[Happening]:
        complete, _, _ = self.path.read_bytes().rpartition(b"\n")  # a line may be half written
        return [msgspec.json.decode(line, type=Happening) for line in complete.splitlines()]

    def told(self, event: str, what: str = "end") -> Counter[str]:
        """How often each handler began, or ended, for this event."""
        return Counter(one.handler for one in self.happenings() if (one.event, one.what) == (event, what))

    def open_gate(self) -> None:
        """Let the handlers that hold go on."""
        self._gate.touch()

    def close_gate(self) -> None:
        self._gate.unlink(missing_ok=True)

    @property
    def _gate(self) -> Path:
        return self.path.with_suffix(".gate")
