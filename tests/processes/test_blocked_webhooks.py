"""An incident of webhooks that do not arrive: people are told, and `doctor --prove` shows where it is."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from hitl_sandbox.testing import Sandbox
from hitlsh.api import Client, boolean
from service.web.app import WEBHOOKS
from tests.json_server import JsonReceiver
from tests.ports import free_port
from tests.processes import proc
from tests.processes.site import HANDLERS, Site, messages
from tests.processes.stacks import SECRET

pytestmark = pytest.mark.slow

API_KEY = "hitl_test_0123456789abcdef0123456789abcdef"


def test_webhooks_are_blocked(tmp_path: Path) -> None:
    """The URL of the webhook at HITL.sh leads nowhere, since it was set up."""
    with (
        JsonReceiver() as told,
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
