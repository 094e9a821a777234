"""The web process before a server that tests stop."""

from collections.abc import Iterator

import pytest

from service.local.embedded_server import EmbeddedServer
from tests.service.conftest import Receiver, serving, wait_until


@pytest.fixture(scope="module")
def shared_own_receiver(
    shared_own_server: EmbeddedServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Receiver]:
    with serving(shared_own_server.url, tmp_path_factory.mktemp("own-receiver") / "log") as running:
        yield running


@pytest.fixture
def own_receiver(shared_own_receiver: Receiver, own_server: EmbeddedServer) -> Receiver:
    """The web process before that server, ready."""
    assert own_server.poll() is None
    wait_until(lambda: shared_own_receiver.client.get("/health/ready").status_code == 200)
    return shared_own_receiver
