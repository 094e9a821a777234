"""Incidents that an operator notices with `status --check`, and repairs, with the command line alone."""

import json
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
from redis import Redis

from hitl_sandbox.testing import Sandbox
from hitlsh.api import Client, boolean
from hitlsh.signatures import headers
from service.local.embedded_server import EmbeddedServer
from service.web.app import WEBHOOKS
from tests.builders import payload
from tests.json_server import JsonReceiver
from tests.ports import free_port
from tests.processes import proc
from tests.processes.programs import Program, invoke, run
from tests.processes.stacks import SECRET
from tests.python_path import python_path

pytestmark = pytest.mark.slow

API_KEY = "hitl_test_0123456789abcdef0123456789abcdef"
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

    def command(self, *words: str, status: int = 0) -> str:
        """What the command prints; `status`: what it exits with."""
        result = invoke(*words, cwd=self.folder, environ=self.environ)
        assert result.exit_code == status, result.output
        return result.stdout

    def _is_ready(self) -> bool:
        with suppress(httpx.TransportError):
            return httpx.get(f"{self.url}/health/ready").status_code == 200
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
    shown = run("status", "--check", cwd=site.folder, environ=site.environ)  # as a monitor starts it
    assert (shown.returncode, shown.stdout.partition(":")[0].split()) == (1, ["WARNING", "dead_letters"])
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

        proc.until(
            lambda: site.post() == 202 and site.check()[0] == 0, 30.0, "verified deliveries clear the alarm",
            meanwhile=lambda: time.sleep(0.2),
        )  # fmt: skip


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


def test_redis_refuses_writes(site: Site) -> None:
    with Redis.from_url(site.server.url) as redis:
        redis.config_set("min-replicas-to-write", 1)
        site.wait_for(2, "redis_refuses_writes")
        assert site.post() == 503
        redis.config_set("min-replicas-to-write", 0)

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

    proc.until(lambda: messages(told, "clock_absent"), 40.0, "the web process has told people")
    site.start("clock")
    site.wait_for(0)

    assert "Start `hitl-receiver clock`" in messages(told, "clock_absent")[0]["message"]


def test_webhooks_are_blocked(told: JsonReceiver, tmp_path: Path) -> None:
    """The URL of the webhook at HITL.sh leads nowhere, since it was set up."""
    told.messages.clear()
    with (
        Sandbox(keys={API_KEY: "owner@example.com"}, rate_limit=10_000) as hitl,
        blocked_site(tmp_path, hitl, told) as site,
        JsonReceiver(port=site.sink_port) as sink,
    ):
        wrong_url = f"http://127.0.0.1:{free_port()}{WEBHOOKS}"
        hitl.add_webhook(wrong_url, SECRET)
        decide(hitl)

        proc.until(lambda: sink.messages, 20.0, "a reconcile run has found the decision")
        site.wait_for(2, "webhooks_silent")
        assert f"{wrong_url.removesuffix(WEBHOOKS)} does not answer" in site.command(
            "doctor", "--prove", wrong_url, status=2
        )
        site.command("doctor", "--prove", site.url)
        proc.until(lambda: messages(told, "webhooks_silent"), 20.0, "people are told")
        hitl.add_webhook(f"{site.url}{WEBHOOKS}", SECRET)
        decide(hitl)
        site.wait_for(0, seconds=5.0)
        proc.until(lambda: len(sink.messages) == 2, 10.0, "both decisions are handled, once")

    assert "doctor --prove" in messages(told, "webhooks_silent")[0]["message"]


def messages(told: JsonReceiver, alarm: str) -> list[dict[str, str]]:
    """Those about this alarm: people may still be told that an earlier incident is over."""
    return [message for message in told.messages if alarm in message["title"]]


@contextmanager
def blocked_site(folder: Path, hitl: Sandbox, told: JsonReceiver) -> Iterator[Site]:
    """A new site, whose reconcile runs are as quick as can be, after its first one."""
    site = Site(folder, told.url, HITL_API_KEY=API_KEY, HITL_BASE_URL=hitl.base_url, HITL_CHECK_WITHIN="1s")
    site.server.start()
    site.deploy(HANDLERS)
    try:
        site.start("serve", "work", "clock")
        proc.until(lambda: site.status()["reconciliation"]["last_run"], 20.0, "the first reconcile run is over")
        yield site
    finally:
        site.end()


def decide(hitl: Sandbox) -> None:
    """Somebody asks a question elsewhere, and a person answers it."""
    with Client(API_KEY, base_url=hitl.base_url) as client:
        loop = client.loops.create("Desk", icon="key").loop
        hitl.add_member(loop.id, "ann@example.com")
        asked = client.requests.create(loop.id, "Pay it?", boolean(), default_response=False, timeout_seconds=3_600)
    hitl.answer(asked.request_id, True)
