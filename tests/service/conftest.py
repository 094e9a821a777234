"""The web process as it runs in production, and ways to post to its endpoints."""

import os
import re
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import httpx
import pytest
import uvicorn
from redis import Redis

from hitlsh import signatures
from hitlsh.callbacks import CallbackSigner
from service.local.embedded_server import EmbeddedServer
from service.local.supervisor import command
from service.web.app import create_app
from service.web.http_protocol import GuardedProtocol
from tests.ports import free_port
from workers.inbox import keys
from workers.settings import Settings

SECRET = "whsec_the_newest_of_two"
OLD_SECRET = "whsec_the_oldest_of_two"
CALLBACK_KEY = "callback_key_for_tests"
MAX_BODY = 200_000
ENVIRON = {
    "HITL_RETENTION_DAYS": "3650",  # the vendor's samples are old
    "HITL_WEBHOOK_SECRETS": f"{OLD_SECRET},{SECRET}",
    "HITL_CALLBACK_SECRETS": CALLBACK_KEY,
    "HITL_MAX_BODY": str(MAX_BODY),
}
WEBHOOKS = "/webhooks/hitl"


@dataclass(frozen=True, kw_only=True)
class Receiver:
    """A running web process."""

    port: int
    log: Path
    client: httpx.Client

    def post(self, body: bytes, *, path: str = WEBHOOKS, headers: Mapping[str, str] | None = None) -> httpx.Response:
        """Post signed, unless other headers are given."""
        given = signatures.headers(SECRET, body) if headers is None else headers
        return self.client.post(path, content=body, headers=dict(given))

    def call_back(self, body: bytes, state: object = None) -> httpx.Response:
        """Post to a freshly minted callback URL, unsigned."""
        return self.client.post(f"/callbacks/{CallbackSigner([CALLBACK_KEY]).mint(state)}", content=body)

    def send_raw(self, *pieces: bytes, seconds: float = 5.0, pause: float = 0.0) -> bytes:
        """Send bytes as they are, and answer all that comes back until the connection ends."""
        with closing(socket.create_connection(("127.0.0.1", self.port), timeout=seconds)) as connection:
            for piece in pieces:
                connection.sendall(piece)
                time.sleep(pause)
            return read_all(connection)

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=5.0)


def read_all(connection: socket.socket) -> bytes:
    return b"".join(iter(lambda: connection.recv(65_536), b""))


def statuses(reply: bytes) -> list[int]:
    """Of each answer on one connection, in order."""
    return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d{3})", reply)]


def raw_request(
    body: bytes = b"", *, path: str = WEBHOOKS, method: str = "POST", headers: bytes = b"", length: int | None = None
) -> bytes:
    """A request as bytes; `headers` are whole lines, and a length below 0 leaves Content-Length out."""
    size = len(body) if length is None else length
    declared = b"" if size < 0 else b"Content-Length: %d\r\n" % size
    return (
        b"%s %s HTTP/1.1\r\nHost: hooks.test\r\n" % (method.encode(), path.encode())
        + declared
        + headers
        + b"\r\n"
        + body
    )


def signature_line(body: bytes, secret: str = SECRET) -> bytes:
    return b"X-HITL-Signature: " + signatures.sign(secret, body).encode() + b"\r\n"


CLOSE = b"Connection: close\r\n"


def wait_until(holds: Callable[[], object], seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "it did not come to that in time"
        time.sleep(0.02)


def counters(redis: Redis) -> dict[str, int]:
    found = cast("dict[bytes, bytes]", redis.hgetall(keys.COUNTERS))
    return {name.decode(): int(count) for name, count in found.items()}


@contextmanager
def serving(redis_url: str, log: Path, *words: str, port: int | None = None, **environ: str) -> Iterator[Receiver]:
    """``hitl-receiver serve`` in a process of its own, ready."""
    port = port or free_port()
    with log.open("wb") as output:
        process = subprocess.Popen(
            command("serve", "--port", str(port), *words),
            env={**os.environ, **ENVIRON, "REDIS_URL": redis_url, **environ},
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        with _client(port) as client:
            wait_until(lambda: process.poll() is not None or _is_ready(client), 20.0)
            assert process.poll() is None, log.read_text()
            yield Receiver(port=port, log=log, client=client)
    finally:
        process.terminate()
        process.wait(20.0)


@contextmanager
def serving_here(
    redis_url: str, tmp_path: Path, *, body_seconds: float = 10.0, request_seconds: float = 10.0, **environ: str
) -> Iterator[Receiver]:
    """The same application in a thread, less patient."""

    class Impatient(GuardedProtocol):
        pass

    Impatient.request_seconds = request_seconds
    port = free_port()
    app = create_app(Settings.from_env(ENVIRON | {"REDIS_URL": redis_url} | environ), body_seconds=body_seconds)
    web = uvicorn.Server(uvicorn.Config(app, port=port, http=Impatient, ws="none", log_config=None, access_log=False))
    thread = threading.Thread(target=web.run)
    thread.start()
    try:
        with _client(port) as client:
            wait_until(lambda: _is_ready(client))
            yield Receiver(port=port, log=tmp_path / "none", client=client)
    finally:
        web.should_exit = True
        thread.join()


def _client(port: int) -> httpx.Client:
    return httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=20.0)


def _is_ready(client: httpx.Client) -> bool:
    try:
        return client.get("/health/ready").status_code == 200
    except httpx.TransportError:
        return False


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedServer]:
    """Not the server of other tests: a web process is present and makes ticks on it as long as all tests last."""
    with EmbeddedServer(tmp_path_factory.mktemp("service-server"), fsync="everysec") as running:
        yield running


@pytest.fixture(scope="session")
def running_receiver(server: EmbeddedServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Receiver]:
    with serving(server.url, tmp_path_factory.mktemp("receiver") / "log", HITL_LOG_LEVEL="DEBUG") as running:
        yield running


@pytest.fixture
def receiver(running_receiver: Receiver, redis: Redis) -> Receiver:
    """Before an empty server."""
    return running_receiver
