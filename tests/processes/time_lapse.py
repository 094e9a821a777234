"""A stack for which months pass in seconds: server, processes and sandbox move to a later time together.

The processes are stopped meanwhile, as in a power cut of that length: none of them could measure what passes, so all
of them believe their clocks. The server goes on, and expires what is to expire.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from hitl_sandbox.testing import Sandbox
from hitlsh.api import Client, boolean
from tests.processes import programs
from tests.processes.faked_server import FakedServer, library
from tests.processes.reconcile_gate import Gate
from tests.processes.reconcile_stack import API_KEY, ReconcileStack
from workers.asking import callback_url

HOUR, DAY = 3_600.0, 86_400.0
#: `HITL_RETENTION_DAYS` where nobody sets it.
RETENTION = 30 * DAY
#: The key of another account of the same sandbox.
OTHER_KEY = "hitl_test_fedcba9876543210fedcba9876543210"
#: Real seconds without a call of a reconcile run, after which none is under way.
QUIET = 3.0


class TimeLapseStack(ReconcileStack):
    """One worker, callback URLs, the settings that a new user has."""

    def __init__(self, folder: Path, server: FakedServer, sandbox: Sandbox, gate: Gate) -> None:
        super().__init__(folder, sandbox, gate, {"REDIS_URL": server.url}, handlers="reconcile_handlers", workers=1)
        self.faked = server
        self.folder = folder
        #: Seconds by which this stack is ahead of the test.
        self.passed = 0.0

    # -- time ------------------------------------------------------------------------------------------

    def pass_time(self, seconds: float, *, at_the_end: Callable[[], object] = lambda: None, **changes: str) -> None:
        """Move all clocks on while the processes are down.

        `at_the_end`: what happens then, just before they start again. `changes`: settings from then on.
        """
        self.stack.supervisor.stop()
        self.passed += seconds
        self.faked.set_offset(self.passed)
        # What becomes due on the way happens at its own time, deliveries included: nobody is there to take them.
        self.sandbox.advance(seconds)
        at_the_end()
        for child in self.stack.supervisor.children:
            child.environ = {**child.environ, **changes, **self._faked_clock()}
        self.environ |= changes
        self.stack.supervisor.start()
        self.wait(lambda: self.health("ready") == 200, 20.0, "the web process is ready again")
        self.ready()

    def wait_for_reconcile_runs(self) -> None:
        """Until they have read what there is, with nothing left to do."""
        calls = self.gate.calls()
        self.wait(lambda: self.gate.calls() > calls, 30.0, "a reconcile run calls HITL.sh")
        self.wait_until_quiet()

    def wait_until_quiet(self) -> None:
        """Until nothing is due or held, and no reconcile run makes calls."""
        calls = -1
        while calls != self.gate.calls():
            calls = self.gate.calls()
            self.pause(QUIET)
        self.wait_until_settled(20.0)

    # -- people ----------------------------------------------------------------------------------------

    def ask(self, loop: str) -> str:
        """A request of this stack, as `hitl-receiver ask` makes it; answers its id."""
        if not self.passed:
            url = callback_url(self.asking, state="kept")
            with self.asker() as client:
                return client.requests.create(
                    loop, "Pay?", boolean(), default_response=False, callback_url=url
                ).request_id
        # The clock of this process is late by now.
        told = self.run(
            "ask", "--loop", loop, "--text", "Pay?", "--type", "boolean", "--default", "false",
            "--callback-state", '"kept"', "--json",
        )  # fmt: skip
        return str(msgspec.json.decode(told)["request_id"])

    def ask_elsewhere(self, loop: str, *, key: str = API_KEY) -> str:
        """A request that this stack is told nothing of; answers its id."""
        with Client(key, base_url=self.sandbox.base_url) as client:
            return client.requests.create(
                loop, "Pay?", boolean(), default_response=False, timeout_seconds=3_600
            ).request_id

    def decide(self, request: str) -> None:
        """A person says yes, and the webhook arrives at once."""
        self.sandbox.answer(request, True)
        self.sandbox.settle()

    def run(self, *words: str) -> str:
        """What a command of this program prints, at the time that it is here."""
        environ = {**self.environ, **self._faked_clock(), "HITL_PUBLIC_URL": self.url}
        told = programs.run(*words, cwd=self.folder, environ=environ)
        assert told.returncode == 0, told.stdout + told.stderr
        return told.stdout

    def runs(self, handler: str, request: str) -> int:
        return len(self.handled_by(handler, request))

    def wait_until_paid(self, requests: list[str]) -> None:
        self.wait(lambda: all(self.runs("pay", request) for request in requests), 90.0, "each is confirmed and paid")
        self.wait_until_quiet()

    def _faked_clock(self) -> dict[str, str]:
        if not self.passed:
            return {}
        return {
            "LD_PRELOAD": str(library()),
            "FAKETIME": f"{self.passed:+.3f}",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "DONT_FAKE_MONOTONIC": "1",
            "NO_FAKE_STAT": "1",
        }


@contextmanager
def time_lapse_stack(folder: Path, **sandbox_settings: Any) -> Iterator[TimeLapseStack]:
    """A stack, up, whose first reconcile run is over."""
    keys: Mapping[str, str] = {API_KEY: "owner@example.com", OTHER_KEY: "other@example.com"}
    with (
        Sandbox(keys=keys, **sandbox_settings) as sandbox,
        Gate(int(sandbox.url.rsplit(":", 1)[1])) as gate,
        FakedServer(folder / "faked") as server,
        TimeLapseStack(folder, server, sandbox, gate) as life,
    ):
        life.ready().wait_for_a_look()
        yield life
