"""Runs both receivers on one server, and makes the deliveries to post to them."""

import contextlib
import os
import secrets
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import msgspec

from benchmarks.load import request
from hitlsh.signatures import headers
from service.local.embedded_server import EmbeddedServer
from service.local.stack import free_port
from service.local.supervisor import command
from service.web.app import WEBHOOKS

SECRET = secrets.token_urlsafe(32)


def deliveries(count: int) -> list[bytes]:
    """Signed account webhooks as bytes, each of another request."""
    return [_delivery(secrets.token_hex(12)) for _ in range(count)]


def _delivery(request_id: str) -> bytes:
    """Of a request that was answered a minute ago: what ended before the retention is not routed."""
    body = msgspec.json.encode(
        {
            "event": "request.completed",
            "timestamp": _ago(60),
            "data": {
                "request": {
                    "id": request_id, "loop_id": "66c0ffee00000000000000b1", "processing_type": "time-sensitive",
                    "type": "markdown", "priority": "high", "request_text": "May this payout of 149.95 go out?",
                    "response_type": "single_select", "status": "completed", "response_data": "Approve",
                    "response_by": "66c0ffee00000000000000d1", "response_at": _ago(60),
                    "response_time_seconds": 60.5, "timeout_at": _ago(-3_480),
                    "created_at": _ago(120), "updated_at": _ago(60),
                },
                "loop": {"id": "66c0ffee00000000000000b1", "name": "Payouts", "creator_id": "66c0ffee00000000000000c1"},
                "reviewer": {"user_id": "66c0ffee00000000000000d1", "email": "ada@example.com"},
            },
        }
    )  # fmt: skip
    return request(WEBHOOKS, body, headers(SECRET, body))


def _ago(seconds: float) -> str:
    return f"{datetime.now(UTC) - timedelta(seconds=seconds):%Y-%m-%dT%H:%M:%SZ}"


class Observer:
    """Receives reports from the handlers of both receivers: which request, and when its handler ran."""

    def __init__(self, folder: Path) -> None:
        self.path = str(folder / "observer.sock")
        self.seen: dict[str, float] = {}
        self.count = 0
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
        self._socket.bind(self.path)
        threading.Thread(target=self._listen, daemon=True).start()

    def wait_for(self, count: int, seconds: float) -> float:
        """Wait for so many reports; returns the time of the last handler."""
        deadline = time.monotonic() + seconds
        while self.count < count:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{self.count} of {count} handled within {seconds:.0f} s")
            time.sleep(0.005)
        return max(self.seen.values())

    def forget(self) -> None:
        self.seen.clear()
        self.count = 0

    def _listen(self) -> None:
        while True:
            request_id, at = self._socket.recv(200).decode().split()
            self.seen[request_id] = float(at)
            self.count += 1


class Rig:
    """A Redis server, and processes that use it and end with it."""

    def __init__(self, folder: Path) -> None:
        self.server = EmbeddedServer(folder)
        self.observer = Observer(folder)
        #: Settings beyond those of every benchmark.
        self.more_environ: dict[str, str] = {}
        self._processes: list[subprocess.Popen[bytes]] = []

    @property
    def last_pid(self) -> int:
        """Of the process that was started last."""
        return self._processes[-1].pid

    def environ(self) -> dict[str, str]:
        return {
            **os.environ,
            "REDIS_URL": self.server.url,
            "HITL_WEBHOOK_SECRETS": SECRET,
            "HITL_HANDLERS": "benchmarks.handlers",
            "HITL_LOG_LEVEL": "ERROR",
            "BENCH_OBSERVER": self.observer.path,
            **self.more_environ,
        }

    def start(self, *argv: str, log: Path | None = None) -> None:
        """Start a process; its log goes to this terminal, or to `log`."""
        with contextlib.ExitStack() as files:
            stderr = None if log is None else files.enter_context(log.open("ab"))
            process = subprocess.Popen(argv, env=self.environ(), stdout=subprocess.DEVNULL, stderr=stderr)
        self._processes.append(process)

    def start_ours(self) -> int:
        port = free_port()
        self.start(*command("serve", "--port", str(port)))
        wait_until_served(port, "/health/ready")
        return port

    def start_naive(self) -> int:
        port = free_port()
        # The same uvicorn settings as ours, so that only the receivers differ.
        options = ("--no-access-log", "--log-level", "error", "--http", "httptools", "--loop", "uvloop")
        self.start(sys.executable, "-m", "uvicorn", "benchmarks.naive:app", "--port", str(port), *options)
        wait_until_served(port, "/")
        return port

    def stop(self) -> None:
        for process in self._processes:
            process.terminate()
        for process in self._processes:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(15)
            process.kill()
        self.server.stop()


@contextlib.contextmanager
def rig() -> Iterator[Rig]:
    with tempfile.TemporaryDirectory(prefix="hitl-bench-") as folder:
        running = Rig(Path(folder))
        running.server.start()
        try:
            yield running
        finally:
            running.stop()


def wait_until_served(port: int, path: str) -> None:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        with contextlib.suppress(httpx.TransportError):
            if httpx.get(f"http://127.0.0.1:{port}{path}").status_code < 500:
                return
        time.sleep(0.05)
    raise TimeoutError(f"nothing answers on port {port}")
