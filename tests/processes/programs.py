"""`hitl-receiver` run as a person runs it: words, an environment, a folder, what it printed."""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self
from unittest.mock import patch

import httpx
from click.testing import CliRunner, Result

from service.cli.main import cli
from service.local.embedded_server import EmbeddedServer
from service.local.supervisor import command
from tests.ports import free_port
from tests.processes import proc
from tests.processes.observer import Observer
from tests.processes.stacks import plain_environment, settings

#: Settings with which `dev` starts neither the sandbox nor the worker of reconcile runs: a base URL and no API key.
WITHOUT_SANDBOX = {"HITL_BASE_URL": "http://127.0.0.1:1/v1"}


def run(*words: str, cwd: Path, environ: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """A command that ends by itself; nothing of the surrounding environment's settings reaches it."""
    return subprocess.run(
        command(*words),
        env=plain_environment() | dict(environ or {}),
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def invoke(*words: str, cwd: Path, environ: Mapping[str, str] | None = None) -> Result:
    """The same in this process, for commands of which the output matters and not how they start."""
    unset = dict.fromkeys(os.environ.keys() - plain_environment().keys())
    # An option may set a variable, and a command that imports handlers adds this folder to the Python path.
    with contextlib.chdir(cwd), patch.dict(os.environ), patch.object(sys, "path", list(sys.path)):
        return CliRunner().invoke(cli, words, env=unset | dict(environ or {}))


class Program:
    """A command that runs until it is stopped; its output goes to a file."""

    def __init__(self, *words: str, cwd: Path, environ: Mapping[str, str], start: Sequence[str] | None = None) -> None:
        """`start`: how the program is called, if not as it calls itself."""
        self._output = cwd / f"{words[0]}.output"
        with self._output.open("ab") as output:
            self.process = subprocess.Popen(
                command(*words) if start is None else [*start, *words],
                env=plain_environment() | dict(environ),
                cwd=cwd,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._seen: set[int] = {self.process.pid}

    @property
    def output(self) -> str:
        return self._output.read_text(errors="replace")

    def family(self) -> list[int]:
        """Whatever of it and of all it started is running."""
        self._seen.update(proc.family(self.process.pid))
        for pid in list(self._seen):
            self._seen.update(proc.family(pid))
        return proc.living(self._seen)

    def stop(self, number: signal.Signals = signal.SIGTERM, seconds: float = 20.0) -> int:
        """Answers its exit code; what is left afterwards is still there to be looked for."""
        self.family()
        self.process.send_signal(number)
        return self.process.wait(seconds)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for pid in self.family():
            proc.kill(pid)
        self.process.wait()


class Dev(Program):
    """`hitl-receiver dev` on a folder, with the handlers of these tests."""

    def __init__(self, folder: Path, *, port: int | None = None) -> None:
        self.port = port or free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.observer = Observer(folder / "observed.jsonl")
        self.redis_url = EmbeddedServer(folder / "data").url
        super().__init__("dev", "--folder", "data", "--port", str(self.port), cwd=folder, environ=settings(folder))

    def wait_until_up(self) -> Self:
        proc.until(self._answers, 20.0, f"dev is up: {self.output[-500:]}")
        return self

    def _answers(self) -> bool:
        assert self.process.poll() is None, self.output
        try:
            ready = httpx.get(f"{self.url}/health/ready", timeout=2.0).status_code == 200
        except httpx.TransportError:
            return False
        return ready and "is running" in self.output
