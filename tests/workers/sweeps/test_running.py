"""A sweep against a HITL.sh that is really asked, and a ledger in a real server."""

import time
from collections.abc import Iterator
from typing import Any

import pytest
from redis import Redis

from hitlsh.api import Client, boolean
from hitlsh.callbacks import CallbackSigner
from sandbox.testing import Sandbox
from service.embedded_server import EmbeddedServer
from workers.inbox import history, keys, ledger
from workers.inbox.inbox import Callback
from workers.inbox.ledger import Asked
from workers.settings import Settings
from workers.sweeps import outlook, running
from workers.sweeps.trail import Account

KEY = "hitl_test_0123456789abcdef0123456789abcdef"
CALLBACK_KEY = "a-callback-key-of-these-tests-01"
HOUR = 3600.0


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    """Its clock stands still, two hours back; `catch_up` brings it to now."""
    with Sandbox(speed=0, start=time.time() - 2 * HOUR, rate_limit=1_000) as running_one:
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


def ask(api: Client, redis: Redis, loop: str, *, known: bool = True, **more: Any) -> str:
    created = api.requests.create(loop, "Pay?", boolean(), default_response=False, timeout_seconds=86_400, **more)
    if known:
        learn(redis, created.request_id, **more)
    return created.request_id


def learn(redis: Redis, request_id: str, callback: Callback | None = None, **_more: Any) -> None:
    created_at = time.time() - 2 * HOUR
    ledger.learn(
        redis, Asked(request_id=request_id, created_at=created_at, timeout_at=created_at + 86_400, callback=callback)
    )


def sweep(settings: Settings, redis: Redis) -> Account:
    account = running.run(settings, redis)
    assert account is not None
    return account


def test_a_decision_that_no_webhook_told_of_is_found(
    redis: Redis, sandbox: Sandbox, api: Client, loop: str, settings: Settings
) -> None:
    request = ask(api, redis, loop)
    sandbox.answer(request, True)
    sandbox.advance(2 * HOUR)

    account = sweep(settings, redis)

    assert (account.found, account.calls) == (1, 1)
    [event] = history.recent(redis)
    assert (event.key, event.trust, event.content.response) == (f"request.completed:{request}", "confirmed", True)
    assert redis.zcard(keys.CHECKS) == 0


def test_an_open_request_is_checked_and_looked_at_later(
    redis: Redis, sandbox: Sandbox, api: Client, loop: str, settings: Settings
) -> None:
    request = ask(api, redis, loop)
    sandbox.advance(2 * HOUR)

    account = sweep(settings, redis)

    assert (account.found, account.trouble) == (0, None)
    assert redis.zscore(keys.CHECKS, request) > (time.time() + 600) * 1000
    assert outlook.look(settings, redis).plan.kind == "nothing"
