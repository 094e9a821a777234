"""Local HTTP servers that JSON is posted to, in place of a sink or of a service that people read."""

import json
import threading
import time
from abc import ABC, abstractmethod
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Literal, Self, TypeAlias

#: A status, or a fault: answer late, close the connection, or break off in the middle of the answer.
Reply: TypeAlias = int | Literal["stall", "hang up", "cut short"]


class JsonServer(ABC):
    """Runs in the test's own process, outside everything under test, with a thread for each connection."""

    def __init__(self, *, port: int = 0) -> None:
        #: Requests that stall go on, with success, once this is set.
        self.go_on = threading.Event()
        self._server = _Server(("127.0.0.1", port), _Exchange)
        self._server.owner = self
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), name="json", daemon=True)

    @abstractmethod
    def reply(self, path: str, document: Any) -> Reply:
        """Returns how to answer a request."""

    @property
    def port(self) -> int:
        return self._server.server_port

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.go_on.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class JsonReceiver(JsonServer):
    """Collects what is posted to `url`, which is as Apprise writes it."""

    def __init__(self, *, port: int = 0, seconds: float = 0.0, status: int = 200) -> None:
        """`seconds`: how long it takes to answer."""
        super().__init__(port=port)
        self._seconds, self._status = seconds, status
        self.messages: list[dict[str, Any]] = []
        self.url = f"json://127.0.0.1:{self.port}/a-secret-path"

    def reply(self, path: str, document: Any) -> Reply:
        time.sleep(self._seconds)
        self.messages.append(document)
        return self._status


class _Server(ThreadingHTTPServer):
    owner: JsonServer
    daemon_threads = True
    request_queue_size = 200

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client whose deadline is over, or whose process was killed, is not there to hear the answer."""


class _Exchange(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server
    #: Seconds that an idle connection is kept.
    timeout = 60

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        reply = self.server.owner.reply(self.path.strip("/"), json.loads(body))
        if reply == "stall":
            self.server.owner.go_on.wait(120.0)
        if reply == "hang up":
            self.close_connection = True
        elif reply == "cut short":
            self._cut_short()
        else:
            self._answer(204 if reply == "stall" else reply)

    def _answer(self, status: int) -> None:
        self.send_response(status)
        if status == 429:
            self.send_header("Retry-After", "1")
        if status != 204:
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
        """The tests know."""
