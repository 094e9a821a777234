"""A server that tests stop, and the web process before it."""

from collections.abc import Iterator

import pytest
from redis import Redis

from service.local.embedded_server import EmbeddedServer
from tests.service.conftest import Receiver, serving, wait_until


@pytest.fixture(scope="package")
def shared_own_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedServer]:
    with EmbeddedServer(tmp_path_factory.mktemp("own") / "server") as running:
        yield running


@pytest.fixture(scope="package")
def shared_own_receiver(
    shared_own_server: EmbeddedServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Receiver]:
    with serving(shared_own_server.url, tmp_path_factory.mktemp("own-receiver") / "log") as running:
        yield running


@pytest.fixture
def own_server(shared_own_server: EmbeddedServer) -> Iterator[EmbeddedServer]:
    """An empty server, which a test may stop."""
    with Redis.from_url(shared_own_server.url) as redis:
        redis.flushall()
    yield shared_own_server
    if shared_own_server.poll() is not None:
        shared_own_server.start()


@pytest.fixture
def own_receiver(shared_own_receiver: Receiver, own_server: EmbeddedServer) -> Receiver:
    """The web process before that server, ready."""
    assert own_server.poll() is None
    wait_until(lambda: shared_own_receiver.client.get("/health/ready").status_code == 200)
    return shared_own_receiver
