"""A real server for every test that needs one."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from redis import Redis
from redis.asyncio import Redis as AsyncRedis

from service.local.embedded_server import EmbeddedServer
from workers.redis_clients import command_client, drain_client


# First: in a worker, the hook of pytest-xdist that reads the groups is called before those of a conftest.
@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Distribute the tests over the workers of pytest-xdist: by file, the slow ones first and each by itself.

    Tests that share a fixture of their module stay together.
    """
    items.sort(key=lambda item: "processes" not in item.path.parts)
    for item in items:
        shares_fixture = any(
            fixture.scope in {"module", "class"}
            for fixtures in getattr(item, "_fixtureinfo").name2fixturedefs.values()  # noqa: B009 - it has no public name
            for fixture in fixtures
        )
        if shares_fixture or "processes" not in item.path.parts:
            item.add_marker(pytest.mark.xdist_group(str(item.path)))


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedServer]:
    folder: Path = tmp_path_factory.mktemp("server")
    with EmbeddedServer(folder) as running:
        yield running


@pytest.fixture
def redis(server: EmbeddedServer) -> Iterator[Redis]:
    """An empty server."""
    client = command_client(server.url)
    client.flushall()
    yield client
    client.close()


@pytest.fixture
async def async_redis(redis: Redis, server: EmbeddedServer) -> AsyncIterator[AsyncRedis]:
    client = drain_client(server.url)
    yield client
    await client.aclose()
