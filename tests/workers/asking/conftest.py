"""Fixtures: an asking service with a sandbox."""

from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
from redis import Redis
from redis.asyncio import Redis as AsyncRedis

from hitl_sandbox.testing import Sandbox
from hitlsh.api import Client
from hitlsh.api.questions.new_question import NewQuestion
from service.local.embedded_server import EmbeddedServer
from tests.workers.asking.asked import KEY, SECRET, WEBHOOK_SECRET
from workers.asking import AskingService
from workers.settings import Settings


@pytest.fixture(scope="module")
def running_sandbox() -> Iterator[Sandbox]:
    with Sandbox(seed=3, rate_limit=100_000) as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(running_sandbox: Sandbox) -> Sandbox:
    running_sandbox.reset()
    return running_sandbox


@pytest.fixture
def settings(server: EmbeddedServer, sandbox: Sandbox) -> Settings:
    return Settings(
        redis_url=server.url,
        api_key=KEY,
        base_url=sandbox.base_url,
        callback_secrets=(SECRET,),
        webhook_secrets=(WEBHOOK_SECRET,),
        # Nobody listens there: a test delivers what it wants delivered.
        public_url="http://127.0.0.1:9",
        discover=False,
    )


@pytest.fixture
def loops(sandbox: Sandbox) -> dict[str, str]:
    """Loop ids by name."""
    names = ("Payouts", "On call", "Directors")
    with Client(KEY, base_url=sandbox.base_url) as client:
        made = {name: client.loops.create(name, "lock").loop.id for name in names}
    for number, loop_id in enumerate(made.values()):
        sandbox.add_member(loop_id, f"kim{number}@example.org", name="Kim")
    return made


@pytest.fixture
def question(loops: dict[str, str]) -> Callable[..., NewQuestion]:
    def build(**fields: Any) -> NewQuestion:
        usual: dict[str, Any] = {
            "text": "Refund 120 EUR?",
            "loop": loops["Payouts"],
            "response_type": "single_select",
            "response_config": {"options": ["Approve", "Reject"]},
            "default_response": "Reject",
            "timeout_seconds": 600,
            "key": "refund-42",
        }
        return NewQuestion(**usual | fields)

    return build


@pytest.fixture
async def service(settings: Settings, async_redis: AsyncRedis, redis: Redis) -> AsyncIterator[AskingService]:
    async with AskingService(settings, async_redis) as running:
        yield running
