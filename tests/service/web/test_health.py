"""What a platform asks, and when the answer changes."""

import os
import signal
from pathlib import Path

import pytest
from redis import Redis

from service.local.embedded_server import EmbeddedServer
from tests.builders import payload
from tests.service.conftest import Receiver, serving, wait_until

BODY = payload()


@pytest.mark.parametrize("path", ["/health/live", "/health/ready", "/health/live/", "/health/ready/"])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_web_process_with_its_redis_is_live_and_ready(receiver: Receiver, path: str, method: str) -> None:
    assert receiver.client.request(method, path).status_code == 200


def test_health_refuses_post(receiver: Receiver) -> None:
    assert receiver.client.post("/health/live").status_code == 405


def test_readiness_follows_redis_and_liveness_does_not(tmp_path: Path) -> None:
    with EmbeddedServer(tmp_path / "server") as server, serving(server.url, tmp_path / "log") as receiver:
        server.kill()
        wait_until(lambda: receiver.client.get("/health/ready").status_code == 503)
        live = receiver.client.get("/health/live").status_code
        server.start()
        wait_until(lambda: receiver.client.get("/health/ready").status_code == 200)

        assert live == 200
        assert receiver.post(BODY).status_code == 202

    assert "WARNING hitl.receiver intake.unavailable reason=redis_unreachable" in receiver.log.read_text()


def test_a_server_that_hangs_is_503_in_time(tmp_path: Path) -> None:
    with EmbeddedServer(tmp_path / "server") as server, serving(server.url, tmp_path / "log") as receiver:
        os.kill(server.pid, signal.SIGSTOP)
        response = receiver.post(BODY)
        os.kill(server.pid, signal.SIGCONT)

    assert (response.status_code, response.headers["retry-after"]) == (503, "5")
    assert response.elapsed.total_seconds() < 5.0


def test_a_full_server_stores_nothing_until_there_is_room(tmp_path: Path) -> None:
    with EmbeddedServer(tmp_path / "server") as server, serving(server.url, tmp_path / "log") as receiver:
        redis = Redis.from_url(server.url)
        redis.config_set("maxmemory", "1mb")
        full = receiver.post(BODY)
        wait_until(lambda: receiver.client.get("/health/ready").status_code == 503)
        redis.config_set("maxmemory", "0")
        wait_until(lambda: receiver.client.get("/health/ready").status_code == 200)
        redis.close()
        roomy = receiver.post(BODY)

    assert (full.status_code, roomy.status_code) == (503, 202)
