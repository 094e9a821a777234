"""A request that offers another protocol is read as plain HTTP/1.1, with its body."""

import shutil
import subprocess
from pathlib import Path

import pytest
from redis import Redis

from hitlsh.callbacks import CallbackSigner
from tests.builders import key, payload
from tests.service.conftest import (
    CALLBACK_KEY,
    CLOSE,
    WEBHOOKS,
    Receiver,
    raw_request,
    signature_line,
    statuses,
)
from workers.inbox import keys
from workers.inbox.queries import lookup

BODY = payload()
H2C = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n"
WEBSOCKET = (
    b"Connection: keep-alive, Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
)
OFFERS = [
    H2C,
    WEBSOCKET,
    b"connection: upgrade\r\nupgrade: TLS/1.3, IRC/6.9\r\n",
    b"Upgrade: h2c\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n",
]
SIGNED = signature_line(BODY)


def kept_body(redis: Redis, body: bytes) -> bytes | None:
    record = lookup.event(redis, key(body))
    return None if record is None else record.body


def body_after(connection_lines: bytes, body: bytes = BODY) -> bytes:
    return raw_request(body, headers=signature_line(body) + connection_lines)


@pytest.mark.parametrize("offer", OFFERS, ids=["h2c", "websocket", "others", "twice"])
def test_the_body_of_a_signed_delivery_with_an_offer_is_stored(receiver: Receiver, redis: Redis, offer: bytes) -> None:
    reply = receiver.send_raw(body_after(offer), raw_request(headers=CLOSE))

    assert statuses(reply) == [202, 401]
    assert kept_body(redis, BODY) == BODY


@pytest.mark.parametrize("offer", OFFERS, ids=["h2c", "websocket", "others", "twice"])
def test_the_body_of_a_callback_with_an_offer_is_stored(receiver: Receiver, redis: Redis, offer: bytes) -> None:
    path = "/callbacks/" + CallbackSigner([CALLBACK_KEY]).mint()

    reply = receiver.send_raw(raw_request(BODY, path=path, headers=offer), raw_request(headers=CLOSE))

    assert statuses(reply) == [202, 401]
    assert kept_body(redis, BODY) == BODY


def test_a_chunked_body_with_an_offer_is_stored(receiver: Receiver, redis: Redis) -> None:
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in (BODY[:50], BODY[50:], b""))
    head = raw_request(headers=SIGNED + H2C + b"Transfer-Encoding: chunked\r\n", length=-1)

    reply = receiver.send_raw(head + chunks + raw_request(headers=CLOSE))

    assert statuses(reply) == [202, 401]
    assert kept_body(redis, BODY) == BODY


def test_an_offer_in_single_bytes_is_read(receiver: Receiver, redis: Redis) -> None:
    request = body_after(H2C) + raw_request(headers=CLOSE)

    reply = receiver.send_raw(*[bytes([byte]) for byte in request])

    assert statuses(reply) == [202, 401]
    assert kept_body(redis, BODY) == BODY


@pytest.mark.parametrize("size", [1, 7, 64, 1_000])
def test_requests_before_and_after_an_offer_are_answered_in_order(receiver: Receiver, redis: Redis, size: int) -> None:
    bodies = [payload(f"66c0ffee{number:016x}") for number in range(6)]
    offers = [b"", H2C, WEBSOCKET, b"", H2C, CLOSE]
    stream = b"".join(body_after(offer, body) for offer, body in zip(offers, bodies, strict=True))

    reply = receiver.send_raw(*[stream[begin : begin + size] for begin in range(0, len(stream), size)])

    assert statuses(reply) == [202] * 6
    assert [kept_body(redis, body) for body in bodies] == bodies


def test_an_offer_does_not_change_when_the_connection_ends(receiver: Receiver) -> None:
    reply = receiver.send_raw(raw_request(BODY, headers=SIGNED + b"Connection: close, Upgrade\r\nUpgrade: h2c\r\n"))

    assert statuses(reply) == [202]
    assert b"connection: close" in reply


def test_an_offer_with_expect_gets_100_continue(receiver: Receiver) -> None:
    lines = SIGNED + H2C + b"Expect: 100-continue\r\n"

    reply = receiver.send_raw(raw_request(headers=lines, length=len(BODY)), BODY, raw_request(headers=CLOSE), pause=0.1)

    assert statuses(reply) == [100, 202, 401]


def test_an_offer_does_not_replace_a_signature(receiver: Receiver, redis: Redis) -> None:
    assert statuses(receiver.send_raw(raw_request(BODY, headers=H2C))) == [401]
    assert not redis.exists(keys.EVENTS)


def test_a_request_smuggled_in_an_offer_is_a_body(receiver: Receiver, redis: Redis) -> None:
    smuggled = body_after(b"")
    lines = signature_line(smuggled) + H2C

    reply = receiver.send_raw(raw_request(smuggled, headers=lines), raw_request(headers=CLOSE))

    assert statuses(reply) == [400, 401]
    assert kept_body(redis, BODY) is None


@pytest.mark.parametrize(
    "broken",
    [
        raw_request(headers=H2C + b"Transfer-Encoding: chunked\r\n", length=5) + b"0\r\n\r\n",
        raw_request(headers=H2C + b"Content-Length: x\r\n", length=-1),
        b"CONNECT hooks.test:443 HTTP/1.1\r\nHost: hooks.test\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0",
    ],
    ids=["two lengths", "no length", "connect", "http/2"],
)
def test_an_invalid_request_is_refused(receiver: Receiver, broken: bytes) -> None:
    assert statuses(receiver.send_raw(broken)) == [400]
    assert receiver.post(BODY).status_code == 202


def test_health_is_answered_without_another_protocol(receiver: Receiver) -> None:
    asked = raw_request(method="GET", path="/health/live", headers=WEBSOCKET, length=-1)

    reply = receiver.send_raw(asked + raw_request(headers=CLOSE))

    assert statuses(reply) == [200, 401]


def test_an_offer_logs_no_warning(receiver: Receiver) -> None:
    before = receiver.log.stat().st_size

    receiver.send_raw(body_after(H2C), raw_request(headers=CLOSE))

    assert "upgrade" not in receiver.log.read_text()[before:].lower()


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
@pytest.mark.parametrize("more", [[], ["--header", "Transfer-Encoding: chunked"]], ids=["length", "chunked"])
def test_curl_with_http2_delivers_its_body(receiver: Receiver, redis: Redis, tmp_path: Path, more: list[str]) -> None:
    (tmp_path / "body").write_bytes(BODY)
    signature = SIGNED.decode().strip()

    told = subprocess.run(
        ["curl", "--silent", "--http2", "--write-out", "%{http_code}", "--header", signature, "--data-binary",
         f"@{tmp_path / 'body'}", "--header", "Content-Type: application/json", *more,
         f"http://127.0.0.1:{receiver.port}{WEBHOOKS}"],
        capture_output=True, text=True, timeout=20, check=True,
    )  # fmt: skip

    assert told.stdout == "202"
    assert kept_body(redis, BODY) == BODY
