"""What refused deliveries lead to: little, but enough for a wrong secret of ours to cost minutes only."""

import asyncio
import logging
import os
import signal
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import cast

import pytest
from redis import Redis

from hitlsh import signatures
from hitlsh.callbacks import CallbackSigner
from service.local.embedded_server import EmbeddedServer
from service.web.refused_deliveries import BURST, LARGEST
from tests.builders import payload
from tests.service.conftest import (
    CALLBACK_KEY,
    CLOSE,
    WEBHOOKS,
    Receiver,
    counters,
    raw_request,
    serving_here,
    signature_line,
    statuses,
    wait_until,
)
from workers.inbox import keys
from workers.inbox.tracker.tracked_requests import NewRequest, track

REQUEST = "66c0ffee00000000000000a1"
BODY = payload(REQUEST)
WRONG_SECRET = "whsec_of_another_webhook"
WRONG_KEY_TOKEN = CallbackSigner(["some_other_key_of_old"]).mint()
EXPIRED_TOKEN = CallbackSigner([CALLBACK_KEY], clock=lambda: time.time() - 41 * 86_400).mint()

Serving = Callable[[], AbstractContextManager[Receiver]]


@pytest.fixture
def serving(server: EmbeddedServer, redis: Redis, tmp_path: Path) -> Serving:
    """A web process that has looked at nothing yet; once it has ended, all it counted is written."""
    return lambda: serving_here(server.url, tmp_path, body_seconds=0.4, request_seconds=5.0)


def ask(redis: Redis, request_id: str = REQUEST) -> None:
    request = NewRequest(request_id=request_id, created_at=time.time(), timeout_at=time.time() + 3_600)
    track(redis, request, retention=86_400)


def due(redis: Redis) -> list[str]:
    """The requests that are worth a call to HITL.sh now."""
    found = cast("list[bytes]", redis.zrangebyscore(keys.CHECKS, 0, time.time() * 1000))
    return [member.decode() for member in found]


def looked_at(redis: Redis) -> int:
    return counters(redis).get("refused_inspected", 0)


def unconfirmed(body: bytes = BODY, *, length: int | None = None) -> bytes:
    """What a webhook with another secret sends."""
    return raw_request(body, headers=signature_line(body, WRONG_SECRET), length=length)


# -- what becomes due ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        (WEBHOOKS, signatures.headers(WRONG_SECRET, BODY)),
        (WEBHOOKS, {"X-HITL-Signature": "none"}),
        (WEBHOOKS, {}),
        ("/callbacks/x", {}),
        (f"/callbacks/{WRONG_KEY_TOKEN}", {}),
        (f"/callbacks/{EXPIRED_TOKEN}", {}),
    ],
    ids=["mismatch", "malformed", "missing", "token malformed", "token forged", "token expired"],
)
def test_a_refused_delivery_of_an_open_request_makes_it_due(
    serving: Serving, redis: Redis, path: str, headers: dict[str, str]
) -> None:
    ask(redis)
    before = due(redis)

    with serving() as receiver:
        answer = receiver.post(BODY, path=path, headers=headers)

    assert (answer.status_code, answer.content) == (401, b"")
    assert (before, due(redis)) == ([], [REQUEST])
    assert not redis.exists(keys.EVENTS)
    assert counters(redis)["refused_tracked"] == 1


def test_a_body_in_pieces_is_inspected(serving: Serving, redis: Redis) -> None:
    ask(redis)
    head = raw_request(headers=b"Transfer-Encoding: chunked\r\n", length=-1)
    pieces = [b"%x\r\n%s\r\n" % (len(piece), piece) for piece in (BODY[:50], BODY[50:], b"")]

    with serving() as receiver:
        reply = receiver.send_raw(head, *pieces, pause=0.05)

    assert statuses(reply) == [401]
    assert due(redis) == [REQUEST]


def test_an_unknown_request_is_not_tracked(serving: Serving, redis: Redis) -> None:
    with serving() as receiver:
        receiver.send_raw(unconfirmed())

    assert looked_at(redis) == 1
    # The alarms are evaluated if the process runs for five seconds, as on a busy machine.
    counts = {keys.COUNTERS, keys.CLOCK, keys.LATEST, keys.ALARMS, keys.present("web")}
    others = {key.decode() for key in redis.scan_iter()} - counts
    assert all(key.startswith(keys.recent(0)[:-1]) for key in others), others


def test_an_ended_request_is_not_changed(serving: Serving, redis: Redis) -> None:
    with serving() as receiver:
        receiver.post(payload(REQUEST, "Approve"))
        receiver.send_raw(unconfirmed(payload(REQUEST, "Reject")))

    assert looked_at(redis) == 1
    assert due(redis) == []


@pytest.mark.parametrize("body", [b"{", b"[]", b"{}", b"\xff", b"[" * 30_000, payload("x" * 1_000)])
def test_a_body_without_a_request_changes_nothing(serving: Serving, redis: Redis, body: bytes) -> None:
    ask(redis)

    with serving() as receiver:
        reply = receiver.send_raw(unconfirmed(body))

    assert statuses(reply) == [401]
    assert looked_at(redis) == 1
    assert due(redis) == []


def test_the_answer_does_not_show_which_requests_are_tracked(serving: Serving, redis: Redis) -> None:
    ask(redis)

    with serving() as receiver:
        known = receiver.send_raw(unconfirmed())
        unknown = receiver.send_raw(unconfirmed(payload("66c0ffee00000000000000ff")))

    assert known == unknown


def test_a_warning_is_logged_without_the_body(serving: Serving, redis: Redis, caplog: pytest.LogCaptureFixture) -> None:
    ask(redis)
    caplog.set_level(logging.DEBUG)

    with serving() as receiver:
        receiver.send_raw(unconfirmed())

    assert "refusal.tracked requests=1: " in caplog.text
    assert REQUEST not in caplog.text


# -- what an unverified sender cannot cause --------------------------------------------------------------


def test_a_body_over_64_kib_is_not_inspected(serving: Serving, redis: Redis) -> None:
    ask(redis)
    large = BODY + b" " * LARGEST
    endless = raw_request(headers=b"Transfer-Encoding: chunked\r\n", length=-1) + b"%x\r\n%s" % (1 << 20, large)

    with serving() as receiver:
        replies = [receiver.send_raw(raw) for raw in (unconfirmed(large), raw_request(large), endless)]

    assert [statuses(reply) for reply in replies] == [[401]] * 3
    assert looked_at(redis) == 0
    assert due(redis) == []


@pytest.mark.parametrize("line", [b"Content-Type: text/html\r\n", b"Content-Encoding: gzip\r\n"])
def test_a_body_of_an_unsupported_form_is_not_inspected(serving: Serving, redis: Redis, line: bytes) -> None:
    with serving() as receiver:
        receiver.send_raw(raw_request(BODY, headers=line))

    assert looked_at(redis) == 0


@pytest.mark.slow
def test_a_missing_body_is_not_waited_for_long(serving: Serving, redis: Redis) -> None:
    with serving() as receiver:
        started = time.monotonic()
        reply = receiver.send_raw(raw_request(BODY[:20], length=len(BODY)))
        took = time.monotonic() - started

    assert statuses(reply) == [401]
    assert took < 2.0
    assert looked_at(redis) == 0


def test_a_sender_that_disconnects_early_changes_nothing(serving: Serving, redis: Redis) -> None:
    with serving() as receiver:
        for _ in range(5):
            with receiver.connect() as connection:
                connection.sendall(raw_request(BODY[:20], length=len(BODY)))
        reply = receiver.send_raw(raw_request(BODY, headers=signature_line(BODY) + CLOSE))

    assert statuses(reply) == [202]
    assert counters(redis)["signature_missing"] == 5
    assert looked_at(redis) == 0


@pytest.mark.slow
async def test_a_flood_of_500_is_answered_and_few_are_inspected(serving: Serving, redis: Redis) -> None:
    bodies = [payload(f"66c0ffee{number:016x}") for number in range(500)]

    with serving() as receiver:
        started = time.monotonic()
        replies = await asyncio.gather(*(post(receiver.port, body) for body in bodies))
        took = time.monotonic() - started

    assert replies == [401] * 500
    assert BURST <= looked_at(redis) <= BURST + 10 * took + 1


async def post(port: int, body: bytes) -> int:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(unconfirmed(body))
    reply = await reader.read()
    writer.close()
    await writer.wait_closed()
    [status] = statuses(reply)
    return status


# -- Redis in trouble ------------------------------------------------------------------------------------


@pytest.mark.slow
def test_without_redis_the_answer_is_the_same(own_server: EmbeddedServer, tmp_path: Path) -> None:
    with serving_here(own_server.url, tmp_path, body_seconds=0.4, request_seconds=5.0) as receiver:
        own_server.kill()
        reply = receiver.send_raw(unconfirmed())
        own_server.start()
        wait_until(lambda: receiver.client.get("/health/ready").status_code == 200)
    with Redis.from_url(own_server.url) as redis:
        found = counters(redis)

    assert statuses(reply) == [401]
    assert found["refused_inspected"] == 1


def test_a_hanging_redis_does_not_delay_a_refusal(own_server: EmbeddedServer, tmp_path: Path) -> None:
    with serving_here(own_server.url, tmp_path, body_seconds=0.4, request_seconds=5.0) as receiver:
        os.kill(own_server.pid, signal.SIGSTOP)
        started = time.monotonic()
        replies = [receiver.send_raw(unconfirmed()) for _ in range(5)]
        took = time.monotonic() - started
        os.kill(own_server.pid, signal.SIGCONT)

    assert [statuses(reply) for reply in replies] == [[401]] * 5
    assert took < 1.0
