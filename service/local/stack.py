"""The whole product on one machine: embedded server, web process, workers, clock."""

import socket
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx

from service.local.checked_redis import IS_CHECKED, check_redis_once
from service.local.embedded_server import EmbeddedServer, ServerUnavailable
from service.local.supervisor import Child, Supervisor, command
from workers.queue import DRAIN_QUEUE, RECONCILE_QUEUE

START_SECONDS = 20.0


class Stack:
    """Starts in order, restarts what dies, stops in the reverse order."""

    def __init__(
        self,
        folder: Path,
        environ: Mapping[str, str],
        *,
        port: int,
        sandbox_port: int | None = None,
        say: Callable[[str, str], None] | None = None,
    ) -> None:
        """`environ`: settings beyond this process's own environment; with REDIS_URL, no server is embedded."""
        self.url = f"http://127.0.0.1:{port}"
        self.server = None if "REDIS_URL" in environ else EmbeddedServer(folder)
        self.redis_url = environ.get("REDIS_URL") or (self.server.url if self.server else "")
        settings = {**environ, "REDIS_URL": self.redis_url, **IS_CHECKED}
        self.sandbox_url = f"http://127.0.0.1:{sandbox_port}" if sandbox_port else None
        # In the order in which they stop: take no more in, then finish what runs.
        self.supervisor = Supervisor(
            [
                *_sandbox(folder, settings, sandbox_port, self.url),
                Child(name="web", argv=command("serve", "--port", str(port)), environ=settings, grace=12.0),
                Child(name="clock", argv=command("clock"), environ=settings, grace=5.0),
                *_workers(settings),
            ],
            say=say,
        )
        self._ports = [port, sandbox_port] if sandbox_port else [port]

    def __enter__(self) -> Self:
        for port in self._ports:
            _see_that_port_is_free(port)
        if self.server is not None:
            self.server.start()
        try:
            check_redis_once(self.redis_url)
            self.supervisor.start()
            self._wait_until_ready()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def check(self) -> None:
        """Restart whatever died."""
        if self.server is not None and self.server.poll() is not None:
            self.server.start()
        self.supervisor.check()

    def stop(self) -> None:
        self.supervisor.stop()
        if self.server is not None:
            self.server.stop()

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        pages = [f"{self.url}/health/ready", *([f"{self.sandbox_url}/"] if self.sandbox_url else [])]
        while time.monotonic() < deadline:
            self.check()
            if all(_answers(page) for page in pages):
                return
            time.sleep(0.05)
        raise ServerUnavailable(
            f"Not everything was ready within {START_SECONDS:.0f} s; waited for {', '.join(pages)}."
        )


def _workers(settings: Mapping[str, str]) -> list[Child]:
    queues = {"worker": DRAIN_QUEUE}
    if settings.get("HITL_API_KEY"):
        queues["reconcile"] = RECONCILE_QUEUE
    return [
        Child(name=name, argv=command("work", "--queue", queue), environ=settings) for name, queue in queues.items()
    ]


def _answers(page: str) -> bool:
    try:
        return httpx.get(page, timeout=1.0).status_code == 200
    except httpx.TransportError:
        return False  # not listening yet


def _sandbox(folder: Path, settings: Mapping[str, str], port: int | None, door: str) -> list[Child]:
    """A HITL.sh of our own that knows our key and posts to our door."""
    if port is None:
        return []
    argv = [sys.executable, "-P", "-m", "hitl_sandbox", "--port", str(port), "--db", str(folder / "sandbox.db")]
    # Keys and secrets travel in its environment: what stands on a command line is for all to see.
    environ = {"SANDBOX_KEYS": f"{settings['HITL_API_KEY']}=you@example.com", "SANDBOX_CLAIMS": "1"}
    if secrets := settings.get("HITL_WEBHOOK_SECRETS"):
        environ["SANDBOX_WEBHOOK"] = f"{door}/webhooks/hitl"
        environ["SANDBOX_WEBHOOK_SECRET"] = secrets.split(",")[-1].strip()
    return [Child(name="sandbox", argv=argv, environ=environ, grace=5.0)]


def _see_that_port_is_free(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            raise ServerUnavailable(
                f"Port {port} is taken: stop what listens there, or choose another with --port."
            ) from None


def free_port(first: int = 18_000) -> int:
    """A loopback port from `first` on, below the ephemeral range, free at this moment."""
    for port in range(first, 32_000):
        try:
            _see_that_port_is_free(port)
        except ServerUnavailable:
            continue
        return port
    raise ServerUnavailable("No free port between 18000 and 32000 on 127.0.0.1.")
