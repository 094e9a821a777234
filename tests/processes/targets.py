"""A local HTTP target for sinks that answers by the rule it is given, and writes each request down."""

import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, TypeAlias

from tests.json_server import JsonServer, Reply
from tests.ports import free_port
from tests.processes.ledger import requested

Answer: TypeAlias = Literal["taken", "trouble", "busy", "gone", "stall", "hang up", "cut short"]
#: The answer to the nth request that a sink makes for an event.
Rule: TypeAlias = Callable[[str, str, int], Answer]
_REPLIES: dict[Answer, Reply] = {
    "taken": 204, "trouble": 500, "busy": 429, "gone": 410, "stall": "stall", "hang up": "hang up",
    "cut short": "cut short",
}  # fmt: skip


class Target(JsonServer):
    """Answers each sink and event by a rule."""

    def __init__(self, rule: Rule, ledger: Path) -> None:
        super().__init__(port=free_port())
        self.rule = rule
        self._ledger = ledger
        self._lock = threading.Lock()
        self._times: Counter[tuple[str, str]] = Counter()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def reply(self, path: str, document: Any) -> Reply:
        event = document["event_key"]
        with self._lock:
            self._times[path, event] += 1
            times = self._times[path, event]
        answer = self.rule(path, event, times)
        requested(self._ledger, path, event, answer)
        return _REPLIES[answer]
