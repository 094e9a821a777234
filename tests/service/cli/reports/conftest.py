"""Decisions in an inbox, and commands that read them."""

from collections.abc import Callable
from typing import Any

import pytest
from click.testing import CliRunner, Result
from redis import Redis
from redis.asyncio import Redis as AsyncRedis

from service.cli.main import cli
from service.local.embedded_server import EmbeddedServer
from tests.builders import delivery, payload, routed, settled
from workers.inbox.worker_inbox import WorkerInbox

Run = Callable[..., Result]


@pytest.fixture
def run(server: EmbeddedServer, redis: Redis) -> Run:
    """Runs a command with the server, empty at first, in its environment."""

    def invoke(*words: str) -> Result:
        env = {"REDIS_URL": server.url, "HITL_HANDLERS": "tests.service.cli.inbox_handlers"}
        return CliRunner().invoke(cli, words, env=env, catch_exceptions=False)

    return invoke


@pytest.fixture
def inbox(async_redis: AsyncRedis) -> WorkerInbox:
    return WorkerInbox(async_redis, retention=86_400, lease=15.0)


async def decide(inbox: WorkerInbox, *bodies: bytes, **ends: str) -> None:
    """Accept these, route each to the handlers and settle each effect so: ``pay="failed"``."""
    await inbox.accept([delivery(body) for body in bodies])
    for item in (await inbox.claim(1_000)).items:
        await inbox.report([routed(item, *ends)])
        for handler, end in ends.items():
            await inbox.report(
                [settled(item, end, handler, error="Traceback\nValueError: no" if end == "failed" else "")]
            )


def answered(request_id: str, response: Any = "Approve", **more: Any) -> bytes:
    return payload(request_id, response, **more)
