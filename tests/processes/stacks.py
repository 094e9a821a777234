"""A stack of real processes with a sender, and an observer outside the processes under test."""

import os
import time
from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx
from redis import Redis

from hitlsh.callbacks import CallbackSigner
from hitlsh.events import Event
from hitlsh.signatures import headers
from hitlsh.webhooks.parsing import parse
from service.local.embedded_server import EmbeddedServer
from service.local.stack import Stack
from service.local.supervisor import FIRST_PAUSE, Child
from service.web.app import WEBHOOKS
from tests.ports import free_port
from tests.processes import proc
from tests.processes.observer import Observer
from tests.python_path import python_path
from workers.inbox import keys
from workers.inbox.queries import lookup
from workers.redis_clients import command_client

SECRET = "a-webhook-secret-of-these-tests"
KEY = "a-callback-key-of-these-tests-01"
LEASE = 2.0
#: What the design allows beyond a lease is 5 s; a busy machine needs more to start processes.
SLACK = 15.0


def settings(folder: Path) -> dict[str, str]:
    """What every process of a stack is told."""
    return {
        "HITL_WEBHOOK_SECRETS": SECRET,
        "HITL_CALLBACK_SECRETS": KEY,
        "HITL_HANDLERS": "tests.processes.handlers",
        "HITL_LEASE_SECONDS": str(LEASE),
        "HITL_LOG_LEVEL": "WARNING",
        "OBSERVER": str(folder / "observed.jsonl"),
        "PYTHONPATH": python_path(),
    }


def key_of(body: bytes) -> str:
    content = parse(body)
    assert isinstance(content, Event)
    return content.key


class LiveStack:
    """Server, web process, worker and clock, restarted while the test waits."""

    def __init__(
        self, folder: Path, more: Mapping[str, str] | None = None, *, say: Callable[[str, str], None] | None = None
    ) -> None:
        self.environ = settings(folder) | dict(more or {})
        self.observer = Observer(folder / "observed.jsonl")
        self.stack = Stack(folder / "server", self.environ, port=free_port(), print_line=say)
        self.url = self.stack.url
        self.redis: Redis = command_client(self.stack.redis_url)
        self.http = httpx.Client(timeout=10.0)

    def __enter__(self) -> Self:
        self.stack.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.observer.open_gate()
        self.stack.stop()
        self.redis.close()
        self.http.close()

    # -- sending ---------------------------------------------------------------------------------------

    def send(self, body: bytes) -> str:
        """Post a signed delivery that must be kept; answers its event key."""
        reply = self.post(body)
        assert reply.status_code == 202, reply
        return key_of(body)

    def post(self, body: bytes) -> httpx.Response:
        """As an account webhook."""
        return self.post_to(WEBHOOKS, body, headers(SECRET, body))

    def post_to(self, path: str, body: bytes, extra: Mapping[str, str] | None = None) -> httpx.Response:
        return self.http.post(
            self.url + path, content=body, headers={"content-type": "application/json", **(extra or {})}
        )

    def callback_path(self, state: object = None, *, age: timedelta = timedelta()) -> str:
        """Of a callback URL minted so long ago."""
        signer = CallbackSigner([KEY], clock=lambda: time.time() - age.total_seconds())
        return signer.url(self.url, signer.mint(state)).removeprefix(self.url)

    def send_until_kept(self, body: bytes, seconds: float = 15.0) -> str:
        """As HITL.sh: again and again until a 2xx; answers the event key."""
        self.wait(lambda: 200 <= self._status(lambda: self.post(body)) < 300, seconds, "a delivery is kept")
        return key_of(body)

    def health(self, name: str) -> int:
        """The status of a health check, 0 when nobody answers."""
        return self._status(lambda: self.http.get(f"{self.url}/health/{name}"))

    @staticmethod
    def _status(call: Callable[[], httpx.Response]) -> int:
        try:
            return call().status_code
        except httpx.TransportError:
            return 0

    # -- processes -------------------------------------------------------------------------------------

    @property
    def server(self) -> EmbeddedServer:
        assert self.stack.server is not None
        return self.stack.server

    def child(self, name: str) -> Child:
        [found] = [child for child in self.stack.supervisor.children if child.name == name]
        # These tests stop and kill more often than anything dies by itself: it is no failed start, nor a longer pause.
        found.pause, found.failed_starts = FIRST_PAUSE, 0
        return found

    def pid(self, name: str) -> int:
        """Of the web process, the worker, the clock, the server, or the worker's work-horse (0: none now)."""
        if name == "server":
            return self.server.pid
        if name == "horse":
            return next(iter(proc.children(self.pid("worker"))), 0)
        process = self.child(name).process
        assert process is not None
        return process.pid

    def kill(self, name: str) -> int:
        """SIGKILL; answers the pid (0: there was no such process)."""
        pid = self.pid(name)
        if name == "server":
            self.server.kill()
        elif pid:
            proc.kill(pid)
        return pid

    # -- waiting ---------------------------------------------------------------------------------------

    def wait(self, true: Callable[[], object], seconds: float, what: str) -> float:
        """Wait, restarting what died; answers the seconds that took."""
        return proc.until(true, seconds, what, meanwhile=self.stack.check)

    def wait_for(self, event: str, handler: str, what: str = "end", seconds: float = 10.0) -> float:
        """Until the observer heard of it."""
        return self.wait(lambda: self.observer.told(event, what)[handler], seconds, f"{what} of {handler} for {event}")

    def wait_until_settled(self, seconds: float = LEASE + SLACK) -> float:
        """Until nothing is due and nobody holds anything."""
        return self.wait(lambda: self.open_work() == (0, 0), seconds, f"nothing due or held: {self.open_work()}")

    def open_work(self) -> tuple[int, int]:
        """How much is due, and how much is held."""
        return int(self.redis.zcard(keys.DUE)), int(self.redis.hlen(keys.LEASES))

    def pause(self, seconds: float) -> None:
        ends = time.monotonic() + seconds
        while time.monotonic() < ends:
            self.stack.check()
            time.sleep(0.02)

    def record(self, event: str) -> lookup.EventRecord:
        found = lookup.event(self.redis, event)
        assert found is not None
        return found

    def effect(self, event: str, handler: str) -> lookup.EffectRecord:
        [found] = [effect for effect in self.record(event).effects if effect.handler == handler]
        return found


def plain_environment() -> dict[str, str]:
    """This process's, without any setting of ours."""
    ours = ("HITL_", "REDIS_URL", "PORT")
    return {name: value for name, value in os.environ.items() if not name.startswith(ours)}
