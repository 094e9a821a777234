"""The whole product on one machine: embedded server, web process, worker, clock."""

import socket
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx

from service.embedded_server import EmbeddedServer, ServerUnavailable
from service.supervisor import Child, Supervisor, command

START_SECONDS = 20.0


class Stack:
    """Starts in order, restarts what dies, stops in the reverse order."""

    def __init__(
        self,
        folder: Path,
        environ: Mapping[str, str],
        *,
        port: int,
        say: Callable[[str, str], None] | None = None,
    ) -> None:
        """`environ`: settings beyond this process's own environment; with REDIS_URL, no server is embedded."""
        self.url = f"http://127.0.0.1:{port}"
        self.server = None if "REDIS_URL" in environ else EmbeddedServer(folder)
        self.redis_url = environ.get("REDIS_URL") or (self.server.url if self.server else "")
        settings = {**environ, "REDIS_URL": self.redis_url}
        # In the order in which they stop: take no more in, then finish what runs.
        self.supervisor = Supervisor(
            [
                Child(name="web", argv=command("serve", "--port", str(port)), environ=settings, grace=12.0),
                Child(name="clock", argv=command("clock"), environ=settings, grace=5.0),
                Child(name="worker", argv=command("work"), environ=settings),
            ],
            say=say,
        )
        self._port = port

    def __enter__(self) -> Self:
        _see_that_port_is_free(self._port)
        if self.server is not None:
            self.server.start()
        try:
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
        while time.monotonic() < deadline:
            self.check()
            try:
                if httpx.get(f"{self.url}/health/ready", timeout=1.0).status_code == 200:
                    return
            except httpx.TransportError:
                pass  # not listening yet
            time.sleep(0.05)
        raise ServerUnavailable(f"The web process did not become ready on {self.url} within {START_SECONDS:.0f} s.")


def _see_that_port_is_free(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            raise ServerUnavailable(
                f"Port {port} is taken: stop what listens there, or choose another with --port."
            ) from None


def free_port() -> int:
    """A loopback port below the ephemeral range, free at this moment."""
    for port in range(18_000, 32_000):
        try:
            _see_that_port_is_free(port)
        except ServerUnavailable:
            continue
        return port
    raise ServerUnavailable("No free port between 18000 and 32000 on 127.0.0.1.")
