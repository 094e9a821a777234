"""An installation and its operator, who has the command line alone."""

import json
import time
import uuid
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx

from hitlsh.signatures import headers
from service.local.embedded_server import EmbeddedServer
from service.web.app import WEBHOOKS
from tests.builders import payload
from tests.json_server import JsonReceiver
from tests.ports import free_port
from tests.processes import proc
from tests.processes.programs import Program, invoke
from tests.processes.stacks import SECRET
from tests.python_path import python_path

HANDLERS = """
import os

from workers import Router
from workers.sinks import Webhook

router = Router()
router.forward(
    Webhook(os.environ["SINK"], timeout=2.0), on="request.completed", name="accounting", attempts=2, backoff=(0.1, 0.1)
)
"""


class Site:
    """An installation whose programs are started and stopped by themselves, and the commands of its operator."""

    def __init__(self, folder: Path, alerts: str, **environ: str) -> None:
        self.folder = folder
        self.port, self.sink_port = free_port(), free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.server = EmbeddedServer(folder / "server")
        self.environ = {
            "REDIS_URL": self.server.url,
            "HITL_WEBHOOK_SECRETS": SECRET,
            "HITL_HANDLERS": "shop_handlers",
            "HITL_LOG_LEVEL": "WARNING",
            "HITL_ALERTS": alerts,
            "SINK": f"http://127.0.0.1:{self.sink_port}/accounting",
            "PYTHONPATH": python_path(folder),
            **environ,
        }
        self._words = {"serve": ["--port", str(self.port)], "work": [], "clock": []}
        self._programs: dict[str, Program] = {}

    def deploy(self, handlers: str) -> None:
        (self.folder / "shop_handlers.py").write_text(handlers)

    def start(self, *names: str, **changes: str) -> None:
        for name in names:
            if name in self._programs:  # it ended by itself
                self._end(name)
            self._programs[name] = Program(name, *self._words[name], cwd=self.folder, environ=self.environ | changes)
        if "serve" in names:
            proc.until(self._is_ready, 20.0, "the web process is ready")

    def stop(self, name: str) -> None:
        self._programs.pop(name).stop()

    def end(self) -> None:
        for name in list(self._programs):
            self._end(name)
        self.server.stop()

    def _end(self, name: str) -> None:
        self._programs.pop(name).__exit__(None, None, None)

    def post(self, secret: str = SECRET) -> int:
        """HITL.sh posts a decision; returns the status of the answer."""
        body = payload(request_id=uuid.uuid4().hex)
        signed: Mapping[str, str] = headers(secret, body)
        return httpx.post(f"{self.url}{WEBHOOKS}", content=body, headers=dict(signed)).status_code

    def status(self) -> dict[str, Any]:
        shown: dict[str, Any] = json.loads(self.command("status", "--json"))
        return shown

    def check(self) -> tuple[int, set[str]]:
        """What `status --check` exits with, and the alarms that it shows."""
        result = invoke("status", "--check", "--json", cwd=self.folder, environ=self.environ)
        return result.exit_code, {alarm["name"] for alarm in json.loads(result.stdout)["alarms"]}

    def wait_for(self, status: int, *alarms: str, seconds: float = 20.0) -> None:
        proc.until(
            lambda: self.check() == (status, set(alarms)), seconds, f"status --check: {alarms or 'no alarm'}",
            meanwhile=lambda: time.sleep(0.2),
        )  # fmt: skip

    def wait_until_at_rest(self) -> None:
        """Until every delivery is handled."""

        def open_work() -> tuple[int, int]:
            shown = self.status()
            return shown["due"], shown["running"]

        proc.until(lambda: open_work() == (0, 0), 20.0, "nothing is due or running")

    def command(self, *words: str, status: int = 0) -> str:
        """What the command prints; `status`: what it exits with."""
        result = invoke(*words, cwd=self.folder, environ=self.environ)
        assert result.exit_code == status, result.output
        return result.stdout

    def _is_ready(self) -> bool:
        with suppress(httpx.TransportError):
            return httpx.get(f"{self.url}/health/ready").status_code == 200
        return False


def messages(told: JsonReceiver, alarm: str) -> list[dict[str, str]]:
    """Those about this alarm: people may still be told that an earlier incident is over."""
    return [message for message in told.messages if alarm in message["title"]]
