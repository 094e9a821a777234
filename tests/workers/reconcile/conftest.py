"""Fixtures: a sandbox and its API client."""

import time
from collections.abc import Iterator
from dataclasses import replace

import pytest

from hitl_sandbox.testing import Sandbox
from hitlsh.api import Client
from service.local.embedded_server import EmbeddedServer
from tests.workers.reconcile.asked import CALLBACK_KEY, HOUR, KEY
from workers.settings import Settings


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    """A sandbox whose clock stands still, two hours back."""
    with Sandbox(
        keys={KEY: "owner@example.com"}, speed=0, start=time.time() - 2 * HOUR, rate_limit=1_000
    ) as running_one:
        yield running_one


@pytest.fixture
def api(sandbox: Sandbox) -> Iterator[Client]:
    with Client(KEY, base_url=sandbox.base_url) as client:
        yield client


@pytest.fixture
def loop(api: Client, sandbox: Sandbox) -> str:
    made = api.loops.create("Desk", icon="key")
    sandbox.add_member(made.loop.id, "ann@example.com")
    return made.loop.id


@pytest.fixture
def settings(server: EmbeddedServer, sandbox: Sandbox) -> Settings:
    return Settings(
        redis_url=server.url, api_key=KEY, base_url=sandbox.base_url, discover=False, callback_secrets=(CALLBACK_KEY,)
    )


@pytest.fixture
def discovering(settings: Settings) -> Settings:
    return replace(settings, discover=True)
