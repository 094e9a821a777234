"""The whole stack on one machine: embedded server, sandbox, web process, clock and workers."""

import socket
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx

from service.local import dev_ports
from service.local.embedded_server import EmbeddedServer, ServerUnavailable
from service.local.supervisor import Child, Supervisor, command
from service.start_checks import IS_CHECKED, check_redis_once
from workers.queue import DRAIN_QUEUE, RECONCILE_QUEUE

START_SECONDS = 20.0


class Stack:
    """Starts all processes, restarts those that die, and stops them in order."""

    def __init__(
        self,
        folder: Path,
        environ: Mapping[str, str],
        *,
        port: int,
        sandbox_port: int | None = None,
        print_line: Callable[[str, str], None] | None = None,
    ) -> None:
        """`environ`: settings on top of this process's environment; with REDIS_URL, no server is embedded."""
        self.url = f"http://127.0.0.1:{port}"
        self.server = None if "REDIS_URL" in environ else EmbeddedServer(folder)
        self.redis_url = environ.get("REDIS_URL") or (self.server.url if self.server else "")
        settings = {**environ, "REDIS_URL": self.redis_url, **IS_CHECKED}
        self.sandbox_url = f"http://127.0.0.1:{sandbox_port}" if sandbox_port else None
        # In the order in which they stop: no new deliveries first, then running handlers finish.
        self.supervisor = Supervisor(
            [
                *_sandbox(folder, settings, sandbox_port, self.url),
                Child(name="web", argv=command("serve", "--port", str(port)), environ=settings, grace=12.0),
                Child(name="clock", argv=command("clock"), environ=settings, grace=5.0),
                *_workers(settings),
            ],
            print_line=print_line,
        )
        self._ports = (port, sandbox_port)

    def __enter__(self) -> Self:
        check_ports(*self._ports)
        if self.server is not None:
            self.server.start()
        try:
            check_redis_once(self.redis_url, until_then="nothing is stored or handled")
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
        """Restart processes that died."""
        if self.server is not None and self.server.poll() is not None:
            self.server.start()
        self.supervisor.check()

    def change_settings(self, settings: Mapping[str, str]) -> None:
        """Replace the processes with ones that have other settings; each finishes its work first."""
        for child in self.supervisor.children:
            if child.name not in {"sandbox", "clock"}:
                self.supervisor.replace(child.name, overlaps=child.name != "web", settings=settings)

    def stop(self) -> None:
        self.supervisor.stop()
        if self.server is not None:
            self.server.stop()

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        addresses = [f"{self.url}/health/ready", *([f"{self.sandbox_url}/"] if self.sandbox_url else [])]
        while time.monotonic() < deadline:
            self.check()
            if all(_is_ready(address) for address in addresses):
                return
            time.sleep(0.05)
        raise ServerUnavailable(f"Not ready within {START_SECONDS:.0f} s: waited for {', '.join(addresses)}.")


def _workers(settings: Mapping[str, str]) -> list[Child]:
    queues = {"worker": DRAIN_QUEUE}
    if settings.get("HITL_API_KEY"):
        queues["reconcile"] = RECONCILE_QUEUE
    return [
        Child(name=name, argv=command("work", "--queue", queue), environ=settings) for name, queue in queues.items()
    ]


def _is_ready(address: str) -> bool:
    try:
        return httpx.get(address, timeout=1.0).status_code == 200
    except httpx.TransportError:
        return False  # not listening yet


def _sandbox(folder: Path, settings: Mapping[str, str], port: int | None, receiver: str) -> list[Child]:
    """The sandbox process, which knows our API key and posts account webhooks to our receiver."""
    if port is None:
        return []
    argv = [sys.executable, "-P", "-m", "hitl_sandbox", "--port", str(port), "--db", str(folder / "sandbox.db")]
    # Keys and secrets are passed in its environment: everybody on the machine can see a command line.
    environ = {"SANDBOX_KEYS": f"{settings['HITL_API_KEY']}=you@example.com", "SANDBOX_CLAIMS": "1"}
    if secrets := settings.get("HITL_WEBHOOK_SECRETS"):
        environ["SANDBOX_WEBHOOK"] = f"{receiver}/webhooks/hitl"
        environ["SANDBOX_WEBHOOK_SECRET"] = secrets.split(",")[-1].strip()
    return [Child(name="sandbox", argv=argv, environ=environ, grace=5.0)]


def check_ports(port: int, sandbox_port: int | None = None) -> None:
    """Raise `ServerUnavailable` if a port is in use."""
    _check_port_is_free(port)
    if sandbox_port is not None:
        _check_port_is_free(sandbox_port, f", for the sandbox ({sandbox_port - port} above --port),")


def _check_port_is_free(port: int, purpose: str = "") -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            user = dev_ports.port_owner(port)
            problem = f"is in use by {user}: stop it" if user else "is in use: stop the program that listens there"
            raise ServerUnavailable(f"Port {port}{purpose} {problem}, or choose another with --port.") from None


def free_port(first: int = 18_000) -> int:
    """A loopback port from `first` on, below the ephemeral range, free at this moment."""
    for port in range(first, 32_000):
        try:
            _check_port_is_free(port)
        except ServerUnavailable:
            continue
        return port
    raise ServerUnavailable("No free port between 18000 and 32000 on 127.0.0.1.")
