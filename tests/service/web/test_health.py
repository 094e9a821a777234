"""What a platform asks, and when the answer changes."""

import os
import signal

import pytest
from redis import Redis

from service.local.embedded_server import EmbeddedServer
from tests.builders import payload
from tests.service.conftest import Receiver, wait_until

BODY = payload()


@pytest.mark.parametrize("path", ["/health/live", "/health/ready", "/health/live/", "/health/ready/"])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_web_process_with_its_redis_is_live_and_ready(receiver: Receiver, path: str, method: str) -> None:
    assert receiver.client.request(method, path).status_code == 200


def test_health_refuses_post(receiver: Receiver) -> None:
    assert receiver.client.post("/health/live").status_code == 405


@pytest.mark.slow
def test_readiness_follows_redis_and_liveness_does_not(own_server: EmbeddedServer, own_receiver: Receiver) -> None:
    before = own_receiver.log.stat().st_size

    own_server.kill()
    wait_until(lambda: own_receiver.client.get("/health/ready").status_code == 503)
    live = own_receiver.client.get("/health/live").status_code
    own_server.start()
    wait_until(lambda: own_receiver.client.get("/health/ready").status_code == 200)

    assert live == 200
    assert own_receiver.post(BODY).status_code == 202
    logged = own_receiver.log.read_text()[before:]
    assert "WARNING hitl.receiver intake.unavailable reason=redis_unreachable" in logged


@pytest.mark.slow
def test_a_server_that_hangs_is_503_in_time(own_server: EmbeddedServer, own_receiver: Receiver) -> None:
    os.kill(own_server.pid, signal.SIGSTOP)
    response = own_receiver.post(BODY)
    os.kill(own_server.pid, signal.SIGCONT)

    assert (response.status_code, response.headers["retry-after"]) == (503, "5")
    assert response.elapsed.total_seconds() < 5.0


@pytest.mark.slow
def test_a_full_server_stores_nothing_until_there_is_room(own_server: EmbeddedServer, own_receiver: Receiver) -> None:
    with Redis.from_url(own_server.url) as redis:
        redis.config_set("maxmemory", "1mb")
        full = own_receiver.post(BODY)
        wait_until(lambda: own_receiver.client.get("/health/ready").status_code == 503)
        redis.config_set("maxmemory", "0")
        wait_until(lambda: own_receiver.client.get("/health/ready").status_code == 200)
    roomy = own_receiver.post(BODY)

    assert (full.status_code, roomy.status_code) == (503, 202)
