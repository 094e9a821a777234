"""A real HTTP proxy that does to requests and answers what a test wants."""

import http.client
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from tests.ports import free_port


@dataclass(kw_only=True)
class Message:
    """A request or an answer on its way; to be changed."""

    path: str = ""
    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""


Forward = Callable[[Message], Message]
#: What a proxy does with a request, given how to forward one.
Behaviour = Callable[[Message, Forward], Message]


@contextmanager
def proxy(behaviour: Behaviour, port: int) -> Iterator[str]:
    """A proxy in front of what listens on this port of the machine; its own address."""

    def forward(request: Message) -> Message:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        headers = {name: value for name, value in request.headers.items() if name != "content-length"}
        connection.request("POST", request.path, body=request.body, headers=headers)
        response = connection.getresponse()
        answer = Message(status=response.status, headers={}, body=response.read())
        connection.close()
        return answer

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            headers = {name.lower(): value for name, value in self.headers.items()}
            answer = behaviour(Message(path=self.path, headers=headers, body=body), forward)
            with suppress(ConnectionError):  # the client has given up
                self.send_response(answer.status)
                for name, value in {**answer.headers, "content-length": str(len(answer.body))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(answer.body)

        def log_message(self, *_arguments: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", free_port()), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
