"""A stack that reconciles through a gate with a sandbox as HITL.sh."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from hitl_sandbox.testing import Sandbox
from hitlsh.api import Client
from hitlsh.events import Outcome, Source, Trust
from tests.processes import proc
from tests.processes.fault_stack import FaultStack
from tests.processes.reconcile_gate import Gate
from tests.processes.stacks import KEY
from workers.asking import asking_client
from workers.inbox import keys
from workers.reconcile import snapshot
from workers.settings import Settings

API_KEY = "hitl_test_0123456789abcdef0123456789abcdef"
#: Seconds that a handler's worker holds what it claimed: none is to lose it, however busy this machine is.
LEASE = 5.0


class Handled(msgspec.Struct, frozen=True, kw_only=True):
    """What a handler saw, as the file outside has it."""

    handler: str
    event: str
    request: str
    outcome: Outcome
    response: Any
    source: Source
    state: Any
    trust: Trust
    attempt: int
    at: float


class ReconcileStack(FaultStack):
    """Two workers that reconcile through a gate; whoever asks goes past it."""

    def __init__(
        self, folder: Path, sandbox: Sandbox, gate: Gate, more: Mapping[str, str], *, handlers: str, workers: int = 2
    ) -> None:
        told = {"HITL_API_KEY": API_KEY, "HITL_BASE_URL": gate.base_url, "HITL_LOG_LEVEL": "INFO"}
        super().__init__(folder, handlers, told | dict(more), lease=LEASE, workers=workers)
        self.sandbox, self.gate = sandbox, gate
        self.asking = Settings(
            redis_url=self.stack.redis_url,
            api_key=API_KEY,
            base_url=sandbox.base_url,
            callback_secrets=(KEY,),
            public_url=self.url,
        )

    def make_loop(self) -> str:
        """With somebody in it who can be asked; answers its id."""
        with self.elsewhere() as client:
            loop = client.loops.create("Desk", icon="key").loop
        self.sandbox.add_member(loop.id, "ann@example.com")
        return loop.id

    def asker(self) -> Client:
        """Asks through us: ledger and budget."""
        return asking_client(self.asking, self.redis)

    def elsewhere(self) -> Client:
        """Somebody with the same API key whom we know nothing of."""
        return Client(API_KEY, base_url=self.sandbox.base_url)

    def handled(self) -> list[Handled]:
        # A line whose end is not there is being written at this moment.
        lines = self.observer.path.read_bytes().rpartition(b"\n")[0].splitlines()
        return [msgspec.json.decode(line, type=Handled) for line in lines]

    def handled_by(self, handler: str, request: str) -> list[Handled]:
        return [one for one in self.handled() if (one.handler, one.request) == (handler, request)]

    def reads(self) -> int:
        """Calls of reconcile runs, as the sandbox counts: nobody else here reads."""
        return sum(call["method"] == "GET" for call in self.sandbox.calls())

    def forget(self, *, seed: int) -> None:
        """Begin anew with the sandbox, the log and what handlers saw; `seed`: another gives requests other ids."""
        self.sandbox.reset(seed)
        self.lines.clear()
        os.truncate(self.observer.path, 0)

    def wait_for_a_look(self) -> None:
        """Until the very first reconcile run is over, so that whatever is asked from now on is news."""
        self.wait(lambda: snapshot.read_state(self.redis).report, 20.0, "a first look at what there is")
        self.wait(lambda: not self.redis.exists(keys.RECONCILE_LEASE), 20.0, "that look is over")

    def reconciler(self) -> tuple[str, int]:
        """The process that serves reconcile runs, and its work-horse."""
        return "reconcile", next(iter(proc.children(self.pid("reconcile"))), 0)


@contextmanager
def reconciling(
    folder: Path,
    more: Mapping[str, str] | None = None,
    *,
    handlers: str = "reconcile_handlers",
    workers: int = 2,
    **sandbox_settings: Any,
) -> Iterator[ReconcileStack]:
    """A stack, up; `more`: settings of its own."""
    with (
        Sandbox(keys={API_KEY: "owner@example.com"}, **sandbox_settings) as sandbox,
        Gate(int(sandbox.url.rsplit(":", 1)[1])) as gate,
        ReconcileStack(folder, sandbox, gate, more or {}, handlers=handlers, workers=workers) as stack,
    ):
        yield stack.ready()
