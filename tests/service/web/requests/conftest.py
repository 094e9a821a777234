"""Web processes that ask a sandbox, and the calls of programs that use them."""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from redis import Redis

from hitl_sandbox.testing import Sandbox
from hitlsh.api import Client
from service.local.embedded_server import EmbeddedServer
from tests.ports import free_port
from tests.service.conftest import ENVIRON, Receiver, serving, wait_until
from workers.reconcile import runner
from workers.redis_clients import command_client
from workers.settings import Settings

API_KEY = "hitl_test_0123456789abcdef0123456789"
TOKEN = "agent-token-0123456789"
READER = "reader-token-0123456789"
#: Of who makes calls up; they count for nobody else.
FUZZER = "fuzzer-token-0123456789"
TOKENS = f"agent:{TOKEN}, reader:{READER}:read, fuzzer:{FUZZER}"
Json = dict[str, Any]


def question(**fields: Any) -> Json:
    """One that the sandbox takes."""
    return {
        "text": "Refund 120 EUR?",
        "loop": "Payouts",
        "response_type": "single_select",
        "response_config": {"options": ["Approve", "Reject"]},
        "default_response": "Reject",
        "timeout_seconds": 3600,
    } | fields


@dataclass(frozen=True, kw_only=True)
class Asking:
    """A sandbox with a loop, a Redis server, and web processes that ask."""

    sandbox: Sandbox
    redis_url: str
    folder: Path
    #: Calls of earlier tests.
    seen_calls: list[int] = field(default_factory=lambda: [0])

    @contextmanager
    def serving(self, name: str = "web", *words: str, **environ: str) -> Iterator["AskingReceiver"]:
        """One more web process."""
        port = free_port()
        settings = {
            "HITL_API_KEY": API_KEY,
            "HITL_BASE_URL": self.sandbox.base_url,
            "HITL_PUBLIC_URL": f"http://127.0.0.1:{port}",
            "HITL_TOKENS": TOKENS,
            "HITL_RETENTION_DAYS": "30",
            "HITL_LOG_LEVEL": "INFO",
        }
        log = self.folder / f"{name}-{port}.log"
        with (
            serving(self.redis_url, log, *words, port=port, **settings | environ) as running,
            httpx.Client(
                base_url=running.client.base_url, timeout=30.0, headers={"authorization": f"Bearer {TOKEN}"}
            ) as client,
        ):
            yield AskingReceiver(receiver=running, client=client, asking=self)

    def reconcile(self) -> None:
        """One reconcile run."""
        settings = {
            "HITL_API_KEY": API_KEY,
            "HITL_BASE_URL": self.sandbox.base_url,
            "HITL_PUBLIC_URL": "http://127.0.0.1:1",
            "REDIS_URL": self.redis_url,
        }
        redis = command_client(self.redis_url)
        report = runner.run(Settings.from_env(ENVIRON | settings), redis)
        redis.close()
        assert report is not None
        assert report.trouble is None

    def calls(self) -> list[Json]:
        """The calls to HITL.sh of this test."""
        return self.sandbox.calls()[self.seen_calls[0] :]

    def creations(self) -> int:
        return sum(call["method"] == "POST" and call["path"].endswith("/requests") for call in self.calls())


@dataclass(frozen=True, kw_only=True)
class AskingReceiver:
    """A web process that asks, with a token that may ask and read."""

    receiver: Receiver
    client: httpx.Client
    asking: Asking

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.receiver.port}"

    def ask(self, **fields: Any) -> Json:
        """Ask; returns the request."""
        reply = self.client.post("/requests", json=question(**fields))
        assert reply.status_code in (200, 201, 202), reply.text
        request: Json = reply.json()
        return request

    def read(self, request_id: str, **query: Any) -> Json:
        reply = self.client.get(f"/requests/{request_id}", params=query)
        assert reply.status_code == 200, reply.text
        request: Json = reply.json()
        return request

    def wait(self, request_id: str, seconds: float = 20.0, **query: Any) -> Json:
        """One long poll."""
        return self.read(request_id, wait=seconds, **query)

    def pid(self) -> int:
        """Of the process that serves."""
        wait_until(lambda: "Started server process" in self.log())
        return int(self.log().partition("Started server process [")[2].partition("]")[0])

    def log(self) -> str:
        return self.receiver.log.read_text()

    @contextmanager
    def waiting(self, *request_ids: str, seconds: float = 20.0, **query: Any) -> Iterator[Callable[[], list[Json]]]:
        """Long polls under way; call what this yields for their replies."""
        with ThreadPoolExecutor(len(request_ids)) as threads:
            waits = [threads.submit(self.wait, request_id, seconds, **query) for request_id in request_ids]
            time.sleep(0.4)
            assert not any(wait.done() for wait in waits)
            yield lambda: [wait.result(30) for wait in waits]

    def events(self, request_id: str, **headers: str) -> "EventReader":
        """Follow a request in the background."""
        return EventReader(self.client, request_id, headers)


class EventReader:
    """Reads server-sent events in a thread."""

    def __init__(self, client: httpx.Client, request_id: str, headers: dict[str, str]) -> None:
        self.lines: list[str] = []
        self.status = 0
        self._client, self._request_id, self._headers = client, request_id, headers
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def ids(self) -> list[int]:
        return [int(line[4:]) for line in self.lines if line.startswith("id: ")]

    def wait_for_events(self, count: int) -> None:
        wait_until(lambda: len(self.ids()) >= count)

    def wait_for_end(self) -> None:
        self._thread.join(20)
        assert not self._thread.is_alive()

    def _read(self) -> None:
        with self._client.stream("GET", f"/requests/{self._request_id}/events", headers=self._headers) as reply:
            self.status = reply.status_code
            for line in reply.iter_lines():
                self.lines.append(line)


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedServer]:
    """Not the server of other tests: web processes here count on it and subscribe while these tests last."""
    with EmbeddedServer(tmp_path_factory.mktemp("asking-server"), fsync="everysec") as running:
        yield running


@pytest.fixture(scope="session")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(rate_limit=10_000) as running:
        make_loop(running)
        yield running


def make_loop(sandbox: Sandbox) -> str:
    """A loop with somebody who answers; returns its id."""
    with Client(API_KEY, base_url=sandbox.base_url) as client:
        loop = client.loops.create("Payouts", icon="shield-check", description="Questions of these tests").loop
    sandbox.add_member(loop.id, "ada@example.com")
    return loop.id


@pytest.fixture(scope="session")
def asking_and_web(
    sandbox: Sandbox, server: EmbeddedServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Asking, AskingReceiver]]:
    with ExitStack() as stack:
        asking = Asking(sandbox=sandbox, redis_url=server.url, folder=tmp_path_factory.mktemp("asking"))
        yield asking, stack.enter_context(asking.serving())


@pytest.fixture(scope="session")
def asking_before_own_server(
    sandbox: Sandbox, shared_own_server: EmbeddedServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Asking, AskingReceiver]]:
    asking = Asking(sandbox=sandbox, redis_url=shared_own_server.url, folder=tmp_path_factory.mktemp("asking-own"))
    with asking.serving() as web:
        yield asking, web


@pytest.fixture
def own_web(
    asking: Asking, asking_before_own_server: tuple[Asking, AskingReceiver], own_server: EmbeddedServer
) -> AskingReceiver:
    """A web process before an empty server, which a test may stop."""
    own_asking, web = asking_before_own_server
    assert own_server.poll() is None
    own_asking.seen_calls[0] = asking.seen_calls[0]
    wait_until(lambda: web.receiver.client.get("/health/ready").status_code == 200)
    return web


@pytest.fixture
def asking(asking_and_web: tuple[Asking, AskingReceiver], redis: Redis) -> Asking:
    """An empty server, and calls counted from now on."""
    asking_and_web[0].sandbox.clear_faults()
    asking_and_web[0].seen_calls[0] = len(asking_and_web[0].sandbox.calls())
    return asking_and_web[0]


@pytest.fixture
def web(asking: Asking, asking_and_web: tuple[Asking, AskingReceiver]) -> AskingReceiver:
    """A web process that runs for all tests."""
    return asking_and_web[1]
