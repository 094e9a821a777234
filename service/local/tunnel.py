"""Runs a tunnel client, such as cloudflared, ngrok or ssh -R, and reads the public address that it prints."""

import http.server
import os
import re
import secrets
import shlex
import signal
import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

import httpx

from service.errors import ServiceError
from service.local.embedded_server import die_with_parent

#: Seconds within which a tunnel must print an address that leads here.
START_SECONDS = 60.0
#: The commands of clients that can be given by name.
COMMANDS = {
    "cloudflared": "cloudflared tunnel --url http://127.0.0.1:{port}",
    "ngrok": "ngrok http {port} --log stdout",
}
_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
#: An address without a path: clients print links to documents too.
_ADDRESS = re.compile(r"https?://[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?(?::\d+)?(?=/?(?:[\s\"'|,;)\]<>]|\.?$))")
_LAST_LINES = 10
#: The number of addresses that are tried; later ones are not addresses of a tunnel.
_MAX_ADDRESSES = 20
#: Domains that only tunnel services use. Their addresses are used without a check: if a name is looked up before it
#: exists, resolvers cache for minutes that it does not.
_SERVICES = (".trycloudflare.com", ".ngrok-free.app", ".ngrok-free.dev", ".ngrok.app", ".ngrok.dev", ".ngrok.io")
_OWN_HOSTS = ("127.0.0.1", "localhost", "0.0.0.0", "::1")  # noqa: S104 - clients print the address that they forward to


class TunnelFailed(ServiceError):
    """The tunnel client ended, or no address that it printed leads here; the message says what to do."""


class Tunnel:
    """A tunnel client, with the addresses that it has printed."""

    def __init__(self, command: str, port: int, *, print_line: Callable[[str], None]) -> None:
        """`command`: may hold ``{port}`` and ``{url}``; or the name of a client of `COMMANDS`."""
        text = COMMANDS.get(command.strip(), command)
        values = {"{port}": str(port), "{url}": f"http://127.0.0.1:{port}"}
        try:
            self.argv = [_filled(word, values) for word in shlex.split(text)]
        except ValueError as error:
            raise TunnelFailed(f"--tunnel is no command line ({error}): check its quotation marks.") from None
        self._port = port
        self._print_line = print_line
        self._process: subprocess.Popen[str] | None = None
        self._addresses: list[str] = []
        self._last_lines: deque[str] = deque(maxlen=_LAST_LINES)
        self._reader: threading.Thread | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Start the client, or restart it after its end."""
        self._addresses.clear()
        self._last_lines.clear()
        if not self.argv:
            raise TunnelFailed(
                "--tunnel names no command: write the client's, such as 'ssh -R 80:localhost:{port} HOST'."
            )
        try:
            self._process = subprocess.Popen(
                self.argv,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                start_new_session=True,
                preexec_fn=die_with_parent,
            )
        except OSError as error:
            raise TunnelFailed(
                f"The tunnel client {self.argv[0]} cannot be started ({error.strerror}): install it, or give the "
                "command of another with --tunnel."
            ) from None
        self._reader = threading.Thread(target=self._read, args=(self._process,), daemon=True)
        self._reader.start()

    def stop(self) -> None:
        """End the client and the processes that it started."""
        process = self._process
        if process is None:
            return
        for number, seconds in ((signal.SIGTERM, 5.0), (signal.SIGKILL, 5.0)):
            with suppress(ProcessLookupError):
                os.killpg(process.pid, number)
            with suppress(subprocess.TimeoutExpired):
                process.wait(seconds)
                return

    def exit_code(self) -> int | None:
        """None while the client runs."""
        return None if self._process is None else self._process.poll()

    def find_address(
        self, leads_here: Callable[[str], bool], *, is_stopped: Callable[[], bool], seconds: float = START_SECONDS
    ) -> str | None:
        """Wait for an address that `leads_here`; None once `is_stopped`. Raises `TunnelFailed`."""
        deadline = time.monotonic() + seconds
        while not is_stopped():
            for address in list(self._addresses):
                if is_of_service(address) or leads_here(address):
                    return address
            if self.exit_code() is not None:
                raise TunnelFailed(self._failure(f"ended with exit code {self.exit_code()}"))
            if time.monotonic() > deadline:
                tried = f"; it printed {', '.join(self._addresses)}" if self._addresses else ""
                raise TunnelFailed(self._failure(f"printed no address that leads here within {seconds:.0f} s{tried}"))
            time.sleep(0.2)
        return None

    def _failure(self, fault: str) -> str:
        if self._reader is not None:
            self._reader.join(1.0)
        lines = ["Its last lines:", *(f"  {line}" for line in self._last_lines)] if self._last_lines else []
        remedy = (
            "Correct the command of --tunnel. If the address works and only this machine cannot reach it, run the "
            "client by yourself, and set HITL_PUBLIC_URL to its address."
        )
        return "\n".join([f"The tunnel client ({shlex.join(self.argv)}) {fault}.", *lines, remedy])

    def _read(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        with process.stdout as lines:
            for line in lines:
                text = _ESCAPES.sub("", line.rstrip())
                self._last_lines.append(text)
                self._print_line(text)
                for address in self._new_addresses(text):
                    if address not in self._addresses and len(self._addresses) < _MAX_ADDRESSES:
                        self._addresses.append(address)

    def _new_addresses(self, line: str) -> list[str]:
        return [address for address in addresses(line) if not _is_at(address, self._port)]


def addresses(line: str) -> list[str]:
    """The addresses without a path in a line of a tunnel client's output."""
    return _ADDRESS.findall(line)


def is_of_service(address: str) -> bool:
    """Whether this is an address of a known tunnel service."""
    return address.startswith("https://") and (urlsplit(address).hostname or "").endswith(_SERVICES)


def _is_at(address: str, port: int) -> bool:
    """Whether this is the receiver's own address, to which the client forwards."""
    parts = urlsplit(address)
    try:
        return parts.hostname in _OWN_HOSTS and parts.port == port
    except ValueError:  # an invalid port
        return True


@contextmanager
def answering(port: int) -> Iterator[Callable[[str], bool]]:
    """Listen on the port, and yield a check whether an address leads to it."""
    path = f"/{secrets.token_urlsafe(16)}"

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = b"here" if self.path == path else b""
            self.send_response(200 if body else 404)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Log nothing."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield lambda address: _answer(f"{address}{path}") == "here"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def leads_to_receiver(address: str) -> bool:
    """Whether a receiver answers at the address."""
    return _answer(f"{address}/health/live") == "live\n"


def _answer(url: str) -> str | None:
    try:
        reply = httpx.get(url, timeout=5.0)
    except (httpx.HTTPError, httpx.InvalidURL):
        return None
    return reply.text if reply.status_code == 200 else None


def _filled(word: str, values: dict[str, str]) -> str:
    for name, value in values.items():
        word = word.replace(name, value)
    return word
