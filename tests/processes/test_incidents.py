"""Incidents that an operator notices with `status --check`, and repairs, with the command line alone."""

import json
import uuid
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

import httpx
import pytest
from redis import Redis

from hitlsh.signatures import headers
from service.local.embedded_server import EmbeddedServer
from service.web.app import WEBHOOKS
from tests.builders import payload
from tests.ports import free_port
from tests.processes import proc
from tests.processes.programs import Program, run
from tests.processes.stacks import SECRET
from tests.python_path import python_path
from tests.workers.alarms.json_receiver import JsonReceiver

pytestmark = pytest.mark.slow

WRONG_SECRET = "a-webhook-secret-of-these-tes"
HANDLERS = """
import os

from workers import Router
from workers.sinks import Webhook

router = Router()
router.forward(
    Webhook(os.environ["SINK"], timeout=2.0), on="request.completed", name="accounting", attempts=2, backoff=(0.1, 0.1)
)
"""
BROKEN_HANDLERS = f"import a_package_that_nobody_installed\n{HANDLERS}"


class Site:
    """An installation whose programs are started and stopped by themselves, and the commands of its operator."""

    def __init__(self, folder: Path, alerts: str) -> None:
        self.folder = folder
        self.port, self.sink_port = free_port(), free_port()
        self.server = EmbeddedServer(folder / "server")
        self.environ = {
            "REDIS_URL": self.server.url,
            "HITL_WEBHOOK_SECRETS": SECRET,
            "HITL_HANDLERS": "shop_handlers",
            "HITL_LOG_LEVEL": "WARNING",
            "HITL_ALERTS": alerts,
            "SINK": f"http://127.0.0.1:{self.sink_port}/accounting",
            "PYTHONPATH": python_path(folder),
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
        return httpx.post(f"http://127.0.0.1:{self.port}{WEBHOOKS}", content=body, headers=dict(signed)).status_code

    def check(self) -> tuple[int, set[str]]:
        """What `status --check` exits with, and the alarms that it shows."""
        result = run("status", "--check", "--json", cwd=self.folder, environ=self.environ)
        return result.returncode, {alarm["name"] for alarm in json.loads(result.stdout)["alarms"]}

    def wait_for(self, status: int, *alarms: str, seconds: float = 20.0) -> None:
        proc.until(lambda: self.check() == (status, set(alarms)), seconds, f"status --check: {alarms or 'no alarm'}")

    def command(self, *words: str) -> None:
        result = run(*words, cwd=self.folder, environ=self.environ)
        assert result.returncode == 0, result.stderr

    def _is_ready(self) -> bool:
        with suppress(httpx.TransportError):
            return httpx.get(f"http://127.0.0.1:{self.port}/health/ready").status_code == 200
        return False


@pytest.fixture(scope="module")
def told() -> Iterator[JsonReceiver]:
    """Where the people on call read their alarms."""
    with JsonReceiver() as receiver:
        yield receiver


@pytest.fixture(scope="module")
def running_site(told: JsonReceiver, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    site = Site(tmp_path_factory.mktemp("site"), told.url)
    site.server.start()
    site.deploy(HANDLERS)
    try:
        site.start("serve", "work", "clock")
        yield site
    finally:
        site.end()


@pytest.fixture
def site(running_site: Site) -> Site:
    """Without any alarm."""
    running_site.wait_for(0)
    return running_site


def test_a_sink_is_down(site: Site) -> None:
    assert site.post() == 202

    site.wait_for(1, "dead_letters")
    with JsonReceiver(port=site.sink_port) as sink:
        site.command("retry", "--handler", "accounting", "--yes")
        site.wait_for(0)

    assert len(sink.messages) == 1


def test_a_secret_is_rotated_wrongly(site: Site) -> None:
    with JsonReceiver(port=site.sink_port):
        assert site.post() == 202
        site.stop("serve")
        site.start("serve", HITL_WEBHOOK_SECRETS=WRONG_SECRET)
        assert [site.post() for _ in range(7)] == [401] * 7

        site.wait_for(1, "deliveries_refused")
        site.stop("serve")
        site.start("serve")

        proc.until(lambda: site.post() == 202 and site.check()[0] == 0, 30.0, "a verified delivery clears the alarm")


def test_redis_is_restarted_and_then_full(site: Site) -> None:
    site.server.stop()
    assert site.check() == (2, {"redis_unreachable"})
    site.server.start()
    site.wait_for(0)

    with Redis.from_url(site.server.url) as redis:
        redis.config_set("maxmemory", int(redis.info("memory")["used_memory"] / 1.05))
        site.wait_for(2, "redis_full")
        proc.until(lambda: site.post() == 503, 10.0, "deliveries are answered 503")
        redis.config_set("maxmemory", 0)

    site.wait_for(0)


def test_a_broken_handler_is_deployed(site: Site) -> None:
    site.deploy(BROKEN_HANDLERS)
    site.stop("work")
    site.start("work")
    with JsonReceiver(port=site.sink_port) as sink:
        assert site.post() == 202

        site.wait_for(2, "no_drain", seconds=30.0)
        site.deploy(HANDLERS)
        site.start("work")
        site.wait_for(0)

    assert len(sink.messages) == 1


def test_the_clock_process_is_dead(site: Site, told: JsonReceiver) -> None:
    told.messages.clear()
    site.stop("clock")

    site.wait_for(2, "clock_absent", seconds=30.0)

    # Beside it people may still be told that an earlier incident is over.
    def absences() -> list[dict[str, str]]:
        return [message for message in told.messages if "clock_absent" in message["title"]]

    proc.until(absences, 40.0, "the web process has told people")
    site.start("clock")
    site.wait_for(0)

    assert "Start `hitl-receiver clock`" in absences()[0]["message"]
