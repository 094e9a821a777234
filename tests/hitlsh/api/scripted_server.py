"""A real HTTP server on this machine that answers as it is told, one reply for each call."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import msgspec


class ScriptedReply(msgspec.Struct, frozen=True, kw_only=True):
    """A reply of the server."""

    status: int = 200
    body: Any = msgspec.field(default_factory=lambda: {"data": {}})
    headers: dict[str, str] = {}
    #: Read the request and close the connection without a reply.
    drops: bool = False


class ScriptedServer:
    """Answers with the replies in their order; the last one repeats."""

    def __init__(self, *replies: ScriptedReply) -> None:
        self.calls: list[tuple[str, str, bytes]] = []
        #: When each call came, in seconds of the monotonic clock.
        self.times: list[float] = []
        self._replies = list(replies)
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self.base_url = f"http://127.0.0.1:{self._server.server_port}/v1"

    @contextmanager
    def running(self) -> Iterator["ScriptedServer"]:
        thread = Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self._server.shutdown()
            self._server.server_close()
            thread.join(5)

    @property
    def methods(self) -> list[str]:
        return [method for method, _, _ in self.calls]

    def reply_to(self, method: str, path: str, body: bytes) -> ScriptedReply:
        self.calls.append((method, path, body))
        self.times.append(time.monotonic())
        return self._replies[min(len(self.calls), len(self._replies)) - 1]


def _handler(server: ScriptedServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            reply = server.reply_to(self.command, self.path, body)
            if reply.drops:
                self.close_connection = True
                return
            content = json.dumps({"error": reply.status >= 400} | reply.body).encode()
            self.send_response(reply.status)
            for name, value in ({"Content-Type": "application/json"} | reply.headers).items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _answer  # noqa: N815 # names that http.server calls

        def log_message(self, *_: Any) -> None:
            pass

    return Handler
