"""A clock that serves metrics, and handlers that end in different ways."""

from collections.abc import Iterator

import pytest
from redis import Redis

from service.local.embedded_server import EmbeddedServer
from tests.ports import free_port
from tests.processes import proc
from tests.processes.programs import Program
from tests.python_path import python_path
from tests.service.conftest import Receiver, serving
from tests.service.metrics.scraping import answers

HANDLERS = """
from workers import RetryLater, Router

router = Router()


@router.on("request.completed")
async def pay_out(decision):
    pass


@router.on("request.completed", attempts=1)
def fail(decision):
    raise ValueError


@router.on("request.completed")
def wait(decision):
    raise RetryLater(3600)
"""


TOKEN = "metrics-token-of-these-tests"


@pytest.fixture(scope="module")
def environ(server: EmbeddedServer, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("handlers")
    (folder / "metric_handlers.py").write_text(HANDLERS)
    return {
        "REDIS_URL": server.url,
        "HITL_HANDLERS": "metric_handlers",
        "HITL_METRICS_PORT": str(free_port()),
        "PYTHONPATH": python_path(folder),
    }


@pytest.fixture(scope="module")
def running_clock(environ: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    port = int(environ["HITL_METRICS_PORT"])
    with Program("clock", cwd=tmp_path_factory.mktemp("clock"), environ=environ) as clock:
        proc.until(lambda: answers(port), 20.0, clock.output)
        yield port


@pytest.fixture
def port(running_clock: int, redis: Redis) -> int:
    """Of a running clock that serves the metrics of an empty server."""
    return running_clock


@pytest.fixture(scope="module")
def running_receiver(server: EmbeddedServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Receiver]:
    """One that serves metrics too."""
    log = tmp_path_factory.mktemp("receiver") / "log"
    with serving(server.url, log, HITL_METRICS_TOKEN=TOKEN) as running:
        yield running
