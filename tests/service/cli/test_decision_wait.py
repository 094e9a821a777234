"""Waiting in the inbox: for a server that is away, and beyond the time in which a decision should have come."""

import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from redis import Redis

from hitlsh.api.models.requests import CreatedRequest
from service.cli.asking.decision_wait import GRACE, read_decision, wait_for_decision
from service.local.embedded_server import EmbeddedServer
from tests.builders import delivery
from workers.inbox import keys
from workers.inbox.scripts import script
from workers.inbox.store import pack
from workers.redis_clients import command_client

REQUEST = "66c0ffee00000000000000a1"
RETENTION = 86_400


def created(*, timeout_at: datetime | None = None) -> CreatedRequest:
    return CreatedRequest(request_id=REQUEST, timeout_at=timeout_at)


def accept(redis: Redis) -> None:
    """As the receiver does."""
    script(redis, "store/accept")(
        keys=[keys.PREFIX], args=[RETENTION, keys.LONGEST_REQUEST + RETENTION, pack([delivery()])]
    )


def come_back(server: EmbeddedServer, redis: Redis, seen: threading.Event) -> None:
    time.sleep(0.5)
    server.start()
    accept(redis)
    seen.wait(60)  # the server ends with the thread that started it


def test_an_open_request_has_no_decision(redis: Redis) -> None:
    redis.hset(keys.request(REQUEST), "status", "pending")

    assert read_decision(redis, REQUEST) is None


def test_an_earlier_decision_is_returned_at_once(redis: Redis) -> None:
    accept(redis)

    decision = wait_for_decision(redis, created(), every=60)

    assert decision is not None
    assert (decision.response, decision.source, decision.trust) == ("Approve", "human", "callback")


@pytest.mark.slow
def test_an_outage_of_redis_is_waited_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with EmbeddedServer(tmp_path) as server:
        redis = command_client(server.url)
        server.kill()
        seen = threading.Event()
        back = threading.Thread(target=come_back, args=[server, redis, seen])
        back.start()

        decision = wait_for_decision(redis, created(), every=0.05)

        seen.set()
        back.join()
        redis.close()
    assert decision is not None
    assert capsys.readouterr().err == "Redis is unavailable (ConnectionError); still waiting.\n"


def test_an_overdue_outcome_is_reported_once(redis: Redis, capsys: pytest.CaptureFixture[str]) -> None:
    overdue = created(timeout_at=datetime.now(UTC) - GRACE - timedelta(seconds=1))
    threading.Timer(0.3, accept, [redis]).start()

    wait_for_decision(redis, overdue, every=0.05)

    assert capsys.readouterr().err == "Timed out; no outcome received. Do `serve`, `work` and `clock` run?\n"
