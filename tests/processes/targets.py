"""A local HTTP target for sinks, one thread per connection, that answers by the rule it is given."""

import json
import threading
from collections import Counter
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self, TypeAlias

from tests.ports import free_port
from tests.processes.ledger import requested

Answer: TypeAlias = Literal["taken", "trouble", "busy", "gone", "stall", "hang up", "cut short"]
#: The answer to the nth request that a sink makes for an event.
Rule: TypeAlias = Callable[[str, str, int], Answer]
STATUS = {"taken": 204, "trouble": 500, "busy": 429, "gone": 410}


class Target:
    """Runs in the test's own process, outside everything under test, and writes each request down."""

    def __init__(self, rule: Rule, ledger: Path) -> None:
        self.rule = rule
        self._ledger = ledger
        self._lock = threading.Lock()
        self._times: Counter[tuple[str, str]] = Counter()
        #: Requests that stall go on, with success, once this is set.
        self.go_on = threading.Event()
        self._server = _Server(("127.0.0.1", free_port()), _Exchange)
        self._server.target = self
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), name="target", daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def decide(self, sink: str, event: str) -> Answer:
        with self._lock:
            self._times[sink, event] += 1
            times = self._times[sink, event]
        answer = self.rule(sink, event, times)
        requested(self._ledger, sink, event, answer)
        return answer

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.go_on.set()
        self._server.shutdown()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    target: Target
    daemon_threads = True
    request_queue_size = 200

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A sink whose deadline is over, or whose process was killed, is not there to hear the answer."""


class _Exchange(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server
    #: Seconds that an idle connection is kept.
    timeout = 60

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        answer = self.server.target.decide(self.path.strip("/"), json.loads(body)["event_key"])
        if answer == "stall":
            self.server.target.go_on.wait(120.0)
        if answer == "hang up":
            self.close_connection = True
        elif answer == "cut short":
            self._cut_short()
        else:
            self._answer(STATUS.get(answer, 204))

    def _answer(self, status: int) -> None:
        self.send_response(status)
        if status == 429:
            self.send_header("Retry-After", "1")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _cut_short(self) -> None:
        """A server error that breaks off in the middle."""
        self.send_response(503)
        self.send_header("Content-Length", "100")
        self.end_headers()
        self.wfile.write(b"half of")
        self.close_connection = True

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name is http.server's
        """The ledger knows."""
