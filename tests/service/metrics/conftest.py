"""A clock that serves metrics, and handlers that end in different ways."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from redis import Redis

from service.local.embedded_server import EmbeddedServer
from tests.ports import free_port
from tests.processes import proc
from tests.processes.programs import Program
from tests.python_path import python_path
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


@pytest.fixture
def environ(server: EmbeddedServer, redis: Redis, tmp_path: Path) -> dict[str, str]:
    (tmp_path / "metric_handlers.py").write_text(HANDLERS)
    return {
        "REDIS_URL": server.url,
        "HITL_HANDLERS": "metric_handlers",
        "HITL_METRICS_PORT": str(free_port()),
        "PYTHONPATH": python_path(tmp_path),
    }


@pytest.fixture
def port(environ: dict[str, str], tmp_path: Path) -> Iterator[int]:
    """Of a running clock that serves metrics."""
    found = int(environ["HITL_METRICS_PORT"])
    with Program("clock", cwd=tmp_path, environ=environ) as clock:
        proc.until(lambda: answers(found), 20.0, clock.output)
        yield found
