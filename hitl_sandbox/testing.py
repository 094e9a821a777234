"""A sandbox for tests: ``with Sandbox() as sandbox`` starts one and stops it."""

import random
import socket
import threading
import time
from types import TracebackType
from typing import Any, Self

import httpx

from hitl_sandbox.app import build_app
from hitl_sandbox.errors import NotStarted, SandboxError
from hitl_sandbox.server import SandboxServer
from hitl_sandbox.settings import SandboxSettings

Json = dict[str, Any]


def free_socket() -> socket.socket:
    """Bind a loopback port below 32768; from there on the kernel assigns ports to outgoing connections."""
    for port in random.sample(range(20000, 32000), 200):
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", port))
        except OSError:
            listener.close()
            continue
        return listener
    raise NotStarted("No free loopback port between 20000 and 32000: stop the processes that use them and try again")


class Sandbox:
    """A sandbox that runs in a thread, with its control routes as methods.

    The arguments are the fields of ``SandboxSettings``. The methods block: a test whose event loop serves the
    receiver calls those that wait for deliveries (``advance``, ``settle``) with ``asyncio.to_thread``.
    """

    def __init__(self, **settings: Any) -> None:
        self.settings = SandboxSettings().changed(settings)
        self.url = ""

    @property
    def base_url(self) -> str:
        """The base URL for an API client; ends in ``/v1``."""
        return f"{self.url}/v1"

    def start(self) -> Self:
        listener = free_socket()
        self._server = SandboxServer(build_app(self.settings))
        self._thread = threading.Thread(target=self._server.run, args=([listener],), daemon=True)
        self._thread.start()
        self.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        self._client = httpx.Client(
            base_url=f"{self.url}/sandbox",
            timeout=60,
            trust_env=False,
            verify=False,  # noqa: S501 - plain HTTP on this machine: there are no certificates to load
        )
        self._await_start()
        return self

    def _await_start(self) -> None:
        deadline = time.monotonic() + 20
        while not self._server.started:
            if not self._thread.is_alive() or time.monotonic() > deadline:
                raise NotStarted(f"The sandbox at {self.url} did not start: its error is on stderr")
            time.sleep(0.005)

    def stop(self) -> None:
        self._client.close()
        self._server.should_exit = True
        self._thread.join(timeout=20)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def answer(self, request_id: str, response_data: Any, *, reviewer: str | None = None) -> Json:
        """Answer as `reviewer`: e-mail address or user id of an active member, by default the one who joined last."""
        return self._post(f"/requests/{request_id}/answer", response_data=response_data, reviewer=reviewer)

    def claim(self, request_id: str, *, reviewer: str | None = None) -> Json:
        return self._post(f"/requests/{request_id}/claim", reviewer=reviewer)

    def release(self, request_id: str) -> Json:
        return self._post(f"/requests/{request_id}/release")

    def execution(self, execution_id: str) -> Json:
        """The execution of a workflow, with its outcome when it has ended."""
        return self._get(f"/executions/{execution_id}")

    def add_member(self, loop_id: str, email: str, **options: Any) -> Json:
        """Add or change a member; options are ``status``, ``role``, ``device`` and ``name``."""
        return self._post(f"/loops/{loop_id}/members", email=email, **options)

    def add_key(self, key: str, *, email: str, active: bool = True) -> Json:
        return self._post("/keys", key=key, email=email, active=active)

    def now(self) -> float:
        """Unix seconds on the sandbox's clock."""
        return float(self._get("/clock")["now"])

    def advance(self, seconds: float) -> None:
        """Move the clock forward; returns when all that is due by then is done, deliveries included."""
        self._post("/clock/advance", seconds=seconds)

    def settle(self) -> None:
        """Wait until nothing is due and no delivery is being sent."""
        self._post("/settle")

    def fault(self, kind: str, **options: Any) -> list[Json]:
        """Arm a fault; the options are the fields of ``hitl_sandbox.faults.Fault``."""
        return list(self._post("/faults", kind=kind, **options)["faults"])

    def clear_faults(self) -> None:
        self._client.delete("/faults").raise_for_status()

    def add_webhook(self, url: str, secret: str, **options: Any) -> Json:
        """Register a webhook for every account; options are ``events``, ``type`` (account, global) and ``loop_id``."""
        return self._post("/webhooks", url=url, secret=secret, **options)

    def send(self, url: str, body: Any, **options: Any) -> Json:
        """Deliver a body; options are ``signature`` (none, sha256, bare), ``secret``, ``content_type``, ``delays``."""
        return self._post("/send", url=url, body=body, **options)

    def configure(self, **settings: Any) -> None:
        self._post("/settings", **settings)

    def deliveries(self, request_id: str | None = None) -> list[Json]:
        """All deliveries with their attempts, oldest first."""
        query = {} if request_id is None else {"request_id": request_id}
        return list(self._get("/deliveries", query)["deliveries"])

    def calls(self) -> list[Json]:
        """All API calls: at, key_id, method, path, query, status, fault."""
        return list(self._get("/calls")["calls"])

    def state(self) -> Json:
        return self._get("/state")

    def reset(self, seed: int | None = None) -> None:
        """Delete all records and faults, and restore the initial settings and clock."""
        self._post("/reset", seed=seed)

    def _post(self, path: str, **body: Any) -> Json:
        return _json(self._client.post(path, json=body))

    def _get(self, path: str, query: dict[str, str] | None = None) -> Json:
        return _json(self._client.get(path, params=query))


class ControlRefused(SandboxError, AssertionError):
    """A control route refused: the test asked for an impossible action."""


def _json(reply: httpx.Response) -> Json:
    body: Json = reply.json()
    if reply.is_error:
        raise ControlRefused(f"{reply.request.method} {reply.request.url.path}: {body['msg']} ({body.get('data')})")
    return body
