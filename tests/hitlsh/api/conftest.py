"""Both clients behind one surface, against one sandbox."""

import asyncio
import inspect
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from hitl_sandbox.testing import Sandbox
from hitlsh.api import AsyncClient, Client, RetryPolicy
from hitlsh.api.descriptors import ApiListMethod, Group

KEY = "hitl_test_0123456789abcdef"


class Awaitable:
    """The blocking client with the surface of the other: its calls run in a thread, its lists are async."""

    def __init__(self, group: Group[Any]) -> None:
        self._group = group

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._group, name)
        if isinstance(found, Group):
            return Awaitable(found)
        if not callable(found):
            return found
        if isinstance(inspect.getattr_static(type(self._group), name), ApiListMethod):
            return lambda **options: _each(found(**options))
        return lambda *args, **options: asyncio.to_thread(found, *args, **options)


async def _each(items: Iterator[Any]) -> AsyncIterator[Any]:
    end = object()
    while (item := await asyncio.to_thread(next, items, end)) is not end:
        yield item


class Opener:
    """Opens clients of one kind, and closes them when the test is over."""

    def __init__(self, kind: str, sandbox: Sandbox) -> None:
        self._kind = kind
        self._sandbox = sandbox
        self._opened: list[Client | AsyncClient] = []

    def __call__(self, key: str = KEY, **options: Any) -> Any:
        usual: dict[str, Any] = {"base_url": self._sandbox.base_url, "retries": RetryPolicy(backoff=0.01)}
        kind = Client if self._kind == "Client" else AsyncClient
        client = kind(key, **usual | options)
        self._opened.append(client)
        return Awaitable(client) if isinstance(client, Client) else client

    async def close(self) -> None:
        for client in self._opened:
            closed = client.close()
            if closed is not None:
                await closed


@pytest.fixture(scope="session")
def running_sandbox() -> Iterator[Sandbox]:
    with Sandbox(seed=1) as running:
        yield running


@pytest.fixture
def sandbox(running_sandbox: Sandbox) -> Sandbox:
    """An empty sandbox."""
    running_sandbox.reset()
    return running_sandbox


@pytest.fixture(params=["Client", "AsyncClient"])
async def opened(request: pytest.FixtureRequest, sandbox: Sandbox) -> AsyncIterator[Opener]:
    """Opens a client of either kind."""
    opener = Opener(request.param, sandbox)
    yield opener
    await opener.close()


@pytest.fixture
def api(opened: Opener) -> Any:
    """Either client, with a key of the sandbox."""
    return opened()


@pytest.fixture
async def loop_id(api: Any, sandbox: Sandbox) -> str:
    """A loop with somebody in it who answers."""
    created = await api.loops.create("Refunds", "lock")
    sandbox.add_member(created.loop.id, "kim@example.org", name="Kim")
    return str(created.loop.id)
