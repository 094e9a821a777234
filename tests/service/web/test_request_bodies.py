"""What comes through the receiver: every documented form, odd JSON, too much, too slow, or nothing at all."""

import asyncio
import gzip
import json
import select
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from redis import Redis

from hitlsh import signatures
from hitlsh.events import Event, Unreadable
from hitlsh.webhooks.parsing import parse
from service.local.embedded_server import EmbeddedServer
from tests.builders import key, payload
from tests.inbox_records import recent
from tests.service.conftest import (
    CLOSE,
    MAX_BODY,
    SECRET,
    Receiver,
    counters,
    raw_request,
    serving,
    serving_here,
    signature_line,
    statuses,
    wait_until,
)
from workers.inbox import keys
from workers.inbox.queries import lookup

SAMPLES = sorted(
    file for file in (Path(__file__).parents[2] / "samples").glob("*.*.json") if not file.name.startswith("index")
)
BODY = payload()


def chunked(*pieces: bytes) -> bytes:
    return b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in (*pieces, b""))


def raw_chunked(*pieces: bytes, headers: bytes = b"") -> bytes:
    lines = b"Transfer-Encoding: chunked\r\n" + signature_line(b"".join(pieces)) + headers + CLOSE
    return raw_request(headers=lines, length=-1) + chunked(*pieces)


# -- forms -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda file: file.name)
def test_every_documented_form_is_stored_unchanged(receiver: Receiver, redis: Redis, sample: Path) -> None:
    body = sample.read_bytes()

    response = receiver.post(body)

    assert response.status_code == 202
    record = lookup.event(redis, key(body))
    assert record is not None
    assert record.body == body


def test_one_outcome_in_three_forms_is_one_event(receiver: Receiver, redis: Redis) -> None:
    flat = payload("66c0ffee00000000000000c3", "Approve")
    nested = json.dumps(
        {
            "event": "request.completed",
            "data": {"request": {"id": "66c0ffee00000000000000c3", "status": "completed", "response_data": "Approve"}},
        }
    ).encode()
    intro = json.dumps(
        {
            "event": "request.completed",
            "request_id": "66c0ffee00000000000000c3",
            "status": "completed",
            "response_data": "approve",
            "response_by": "ada@example.com",
        }
    ).encode()

    answers = [receiver.post(nested), receiver.post(intro), receiver.call_back(flat)]

    assert [answer.status_code for answer in answers] == [202, 200, 200]
    assert redis.zcard(keys.EVENTS) == 1


def test_a_second_answer_to_one_request_is_stored_as_a_conflict(receiver: Receiver, redis: Redis) -> None:
    receiver.post(payload(response="Approve"))

    response = receiver.post(payload(response="Reject"))

    assert response.status_code == 202
    assert redis.zcard(keys.EVENTS) == 2


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b" ", 400),
        (b"{", 400),
        (b"\xff\xfe{\x00}\x00", 400),
        (b'{"a": NaN}', 400),
        (b"{'a': 1}", 400),
        (b"\x00", 400),
        (b"null", 202),
        (b"false", 202),
        (b"0", 202),
        (b'""', 202),
        (b"[]", 202),
        (b"{}", 202),
        (b"1e999", 202),
        (b"9" * 5_000, 202),
        (b"[" * 90_000 + b"]" * 90_000, 202),
        (b'{"a":' * 9_000 + b"1" + b"}" * 9_000, 202),
        (b'{"event":"request.completed","request_id":"\\ud800","status":"completed"}', 202),
        (b'{"event":"request.completed","request_id":"a|b\\r\\n","status":"completed"}', 202),
        (b'{"event":"request.completed","request_id":"a","status":"completed","response_data":1e999}', 202),
        (b'{"event":"request.completed","request_id":"a","status":"completed","response_at":"0001-01-01"}', 202),
        (b'{"event":"x.\\u0000","request_id":"\\u0000","status":"\\u0000"}', 202),
        (b'{"event":"request.timeout","request_id":"' + b"x" * 100_000 + b'","status":"timeout"}', 202),
        (b'\xef\xbb\xbf{"event":"request.cancelled","request_id":"a","status":"cancelled"}', 202),
    ],
    ids=range(24),
)
def test_every_verified_body_is_stored(receiver: Receiver, redis: Redis, body: bytes, status: int) -> None:
    response = receiver.post(body)

    assert response.status_code == status
    content = parse(body)
    record = lookup.event(redis, content.key)
    assert record is not None
    assert (record.body, record.content) == (body, content)
    assert (record.state == "quarantined") == isinstance(content, Unreadable)


def test_odd_bodies_do_not_affect_others_of_their_batch(receiver: Receiver, redis: Redis) -> None:
    odd = [b"{", b"[]", b'{"event":"\\ud800.x","request_id":"b","status":"\\udfff"}', b"1e999"]
    fine = [payload(f"66c0ffee{number:016x}") for number in range(40)]

    replies = asyncio.run(post_all(receiver, [*odd, *fine]))

    assert replies == [400, 202, 202, 202] + [202] * 40
    assert redis.zcard(keys.EVENTS) == 44


@pytest.mark.parametrize("declared", ["application/json", "Application/JSON; charset=utf-8", "text/json", "a/b+json"])
def test_every_media_type_of_json_is_accepted(receiver: Receiver, declared: str) -> None:
    given = signatures.headers(SECRET, BODY) | {"Content-Type": declared, "Content-Encoding": "identity"}

    assert receiver.post(BODY, headers=given).status_code == 202


@pytest.mark.parametrize(
    "declared",
    [{"Content-Type": "application/x-www-form-urlencoded"}, {"Content-Type": "x"}, {"Content-Encoding": "gzip"}],
)
def test_another_media_type_is_415_and_stored_raw(receiver: Receiver, redis: Redis, declared: dict[str, str]) -> None:
    body = gzip.compress(BODY)

    response = receiver.post(body, headers=signatures.headers(SECRET, body) | declared)

    assert response.status_code == 415
    [kept] = recent(redis)
    assert (kept.body, kept.state) == (body, "quarantined")


# -- size --------------------------------------------------------------------------------------------


def padded(size: int) -> bytes:
    return BODY + b" " * (size - len(BODY))


def test_a_body_of_the_largest_size_is_accepted_with_a_length_and_chunked(receiver: Receiver) -> None:
    largest = padded(MAX_BODY)

    assert receiver.post(largest).status_code == 202
    assert statuses(receiver.send_raw(raw_chunked(largest[:70_000], largest[70_000:]))) == [200]


def test_a_body_declared_too_large_is_refused_before_it_is_sent(receiver: Receiver, redis: Redis) -> None:
    lines = signature_line(BODY)

    for length in (MAX_BODY + 1, 10**12, 10**18 - 1, 2**63):
        assert statuses(receiver.send_raw(raw_request(headers=lines, length=length))) == [413]
    assert not redis.exists(keys.EVENTS)


@pytest.mark.parametrize("length", [b"-1", b"99999999999999999999999", b"1e3", b"0x10", b"", b"5, 5", b"+5"])
def test_an_invalid_content_length_is_refused(receiver: Receiver, length: bytes) -> None:
    lines = signature_line(BODY) + b"Content-Length: " + length + b"\r\n"

    assert statuses(receiver.send_raw(raw_request(headers=lines, length=-1))) == [400]


def test_a_chunked_body_is_cut_off_where_it_becomes_too_large(receiver: Receiver, redis: Redis) -> None:
    # One byte too many and no end: an answer can only mean that nobody waits for the rest.
    endless = raw_chunked(padded(MAX_BODY), b"x").removesuffix(b"0\r\n\r\n")

    assert statuses(receiver.send_raw(endless)) == [413]
    assert not redis.exists(keys.EVENTS)


def test_a_chunked_body_in_single_bytes_is_put_together(receiver: Receiver, redis: Redis) -> None:
    pieces = [bytes([byte]) for byte in BODY]

    assert statuses(receiver.send_raw(raw_chunked(*pieces))) == [202]
    record = lookup.event(redis, key(BODY))
    assert record is not None
    assert record.body == BODY


@pytest.mark.parametrize(
    "broken", [b"zz\r\nx\r\n0\r\n\r\n", b"5;\r\x00\nhello\r\n", b"-1\r\n\r\n", b"f" * 17 + b"\r\n"]
)
def test_a_broken_chunk_closes_only_its_connection(receiver: Receiver, broken: bytes) -> None:
    lines = b"Transfer-Encoding: chunked\r\n" + signature_line(BODY)

    reply = receiver.send_raw(raw_request(headers=lines, length=-1) + broken)

    assert statuses(reply)[-1:] in ([400], [])
    assert receiver.post(BODY).status_code == 202


# -- patience ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def impatient_receiver(server: EmbeddedServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Receiver]:
    folder = tmp_path_factory.mktemp("impatient")
    with serving_here(server.url, folder, body_seconds=0.3, request_seconds=0.6) as running:
        yield running


@pytest.fixture
def impatient(impatient_receiver: Receiver, redis: Redis) -> Receiver:
    return impatient_receiver


@pytest.mark.parametrize("pieces", [[], [b"{"], [b"{"] * 3], ids=["never", "stops", "trickles"])
def test_a_body_that_takes_too_long_is_408(impatient: Receiver, pieces: list[bytes]) -> None:
    lines = signature_line(BODY)

    reply = impatient.send_raw(raw_request(headers=lines, length=1_000), *pieces, pause=0.08)

    assert statuses(reply) == [408]
    assert b"connection: close" in reply


@pytest.mark.slow
@pytest.mark.parametrize(
    "beginning",
    [
        b"",
        b"\r\n",
        b"POST /webh",
        b"POST /webhooks/hitl HTTP/1.1\r\nHost: x\r\nX-HITL-Sig",
        raw_request(path="/nowhere", length=1_000),
    ],
    ids=["nothing", "blank", "line", "header", "body nobody waits for"],
)
def test_a_connection_without_a_complete_request_is_closed(impatient: Receiver, beginning: bytes) -> None:
    started = time.monotonic()

    impatient.send_raw(beginning)

    assert time.monotonic() - started < 2.0


@pytest.mark.slow
def test_a_slow_head_gets_no_extra_time_for_each_byte(impatient: Receiver) -> None:
    pieces = (b"P", b"O", b"S", b"T", b" ", b"/")

    reply = impatient.send_raw(*pieces, pause=0.07, seconds=0.5)

    assert reply == b""


@pytest.mark.slow
def test_the_time_limit_begins_anew_for_each_request(impatient: Receiver) -> None:
    confirmed = raw_request(BODY, headers=signature_line(BODY))

    reply = impatient.send_raw(confirmed, confirmed + b"POST /web", pause=0.1, seconds=2.0)

    assert statuses(reply) == [202, 200]


@pytest.mark.slow
def test_an_idle_connection_stays_open_for_the_next_delivery(impatient: Receiver) -> None:
    confirmed = raw_request(BODY, headers=signature_line(BODY))

    reply = impatient.send_raw(confirmed, confirmed.replace(b"\r\n\r\n", b"\r\n" + CLOSE + b"\r\n", 1), pause=1.0)

    assert statuses(reply) == [202, 200]


def test_an_endless_head_is_refused(receiver: Receiver) -> None:
    reply = b""
    with receiver.connect() as connection:
        connection.sendall(b"POST /webhooks/hitl HTTP/1.1\r\nX: ")
        for _ in range(40):
            time.sleep(0.005)
            try:
                connection.sendall(b"x" * 10_000)
            except OSError:
                break
        else:
            reply = connection.recv(100)

    assert reply == b"" or statuses(reply) == [400]


@pytest.mark.slow
def test_a_disconnect_leaves_no_traceback_and_no_unfinished_body(receiver: Receiver, redis: Redis) -> None:
    wait_until(lambda: counters(redis).get("beats"))
    before = counters(redis).get("client_disconnected", 0)
    started = raw_request(BODY[:20], headers=signature_line(BODY), length=len(BODY))

    for _ in range(50):
        with receiver.connect() as connection:
            connection.sendall(started)

    wait_until(lambda: counters(redis).get("client_disconnected", 0) >= before + 50)
    assert receiver.post(BODY).status_code == 202


def test_a_delivery_is_stored_though_its_sender_does_not_wait(receiver: Receiver, redis: Redis) -> None:
    with receiver.connect() as connection:
        connection.sendall(raw_request(BODY, headers=signature_line(BODY)))

    wait_until(lambda: redis.zcard(keys.EVENTS) == 1)


@pytest.mark.slow
def test_unfinished_bodies_have_a_memory_limit(redis: Redis, server: EmbeddedServer, tmp_path: Path) -> None:
    beginning = raw_request(b" " * 7_000_000, headers=signature_line(b""), length=7_000_001)

    with serving(server.url, tmp_path / "log", HITL_MAX_BODY=str(8 << 20)) as receiver, ExitStack() as open_ones:
        connections = [open_ones.enter_context(receiver.connect()) for _ in range(12)]
        for connection in connections:
            connection.sendall(beginning)
        refused, _, _ = select.select(connections, [], [], 5.0)
        replies = [statuses(connection.recv(1_000)) for connection in refused]
        others = receiver.post(BODY)

    assert 1 <= len(replies) < 12
    assert all(reply == [503] for reply in replies)
    assert others.status_code == 202


# -- many at once ------------------------------------------------------------------------------------


async def post(port: int, body: bytes) -> int:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(raw_request(body, headers=signature_line(body) + CLOSE))
    reply = await reader.read()
    writer.close()
    await writer.wait_closed()
    [status] = statuses(reply)
    return status


async def post_all(receiver: Receiver, bodies: list[bytes]) -> list[int]:
    """Each over a connection of its own, all at once."""
    return await asyncio.gather(*(post(receiver.port, body) for body in bodies))


@pytest.mark.slow
async def test_each_delivery_of_a_burst_is_answered_and_stored_once(receiver: Receiver, redis: Redis) -> None:
    bodies = [payload(f"66c0ffee{number:016x}") for number in range(300)]

    replies = await post_all(receiver, bodies)

    assert replies == [202] * 300
    kept = {record.key: record for record in recent(redis, 1_000)}
    assert kept.keys() == {key(body) for body in bodies}
    assert all(isinstance(record.content, Event) and record.deliveries == 1 for record in kept.values())


@pytest.mark.slow
async def test_an_acknowledged_delivery_survives_the_death_of_the_server(
    own_server: EmbeddedServer, own_receiver: Receiver
) -> None:
    bodies = [payload(f"66c0ffee{number:016x}") for number in range(300)]

    first = await post_all(own_receiver, bodies[:20])
    posting = asyncio.create_task(post_all(own_receiver, bodies[20:]))
    with Redis.from_url(own_server.url) as redis:
        while redis.zcard(keys.EVENTS) <= 20:  # noqa: ASYNC110 - Redis has no event of ours to wait for
            await asyncio.sleep(0)
    own_server.kill()
    replies = first + await posting
    own_server.start()
    with Redis.from_url(own_server.url) as redis:
        kept = {record.key for record in recent(redis, 1_000)}
    wait_until(lambda: own_receiver.client.get("/health/ready").status_code == 200)
    again = await post_all(own_receiver, bodies)

    assert set(replies) == {202, 503}
    assert {key(body) for body, status in zip(bodies, replies, strict=True) if status == 202} <= kept
    # What was kept although its reply was lost is a duplicate the second time; everything else is new.
    assert [status == 200 for status in again] == [key(body) in kept for body in bodies]
