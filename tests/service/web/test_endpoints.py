"""The endpoint of account webhooks: what is accepted, and how everything else is answered."""

import re
from pathlib import Path

import httpx
import pytest
from redis import Redis

from hitlsh import signatures
from service.local.embedded_server import EmbeddedServer
from tests.builders import key, payload
from tests.service.conftest import (
    CLOSE,
    OLD_SECRET,
    SECRET,
    WEBHOOKS,
    Receiver,
    counters,
    raw_request,
    read_all,
    serving,
    signature_line,
    statuses,
    wait_until,
)
from workers.inbox import keys
from workers.inbox.queries import lookup

BODY = payload()
HEX = signatures.sign(SECRET, BODY)


def test_a_signed_delivery_is_stored_before_it_is_acknowledged(receiver: Receiver, redis: Redis) -> None:
    response = receiver.post(BODY)

    assert (response.status_code, response.content) == (202, b"")
    record = lookup.event(redis, key(BODY))
    assert record is not None
    assert (record.body, record.trust, record.deliveries) == (BODY, "signed", 1)


def test_a_duplicate_is_acknowledged_and_counted(receiver: Receiver, redis: Redis) -> None:
    receiver.post(BODY)

    response = receiver.post(BODY)

    assert (response.status_code, response.content) == (200, b"")
    record = lookup.event(redis, key(BODY))
    assert record is not None
    assert record.deliveries == 2


@pytest.mark.parametrize("name", ["X-HITL-Signature-256", "X-HITL-Signature", "x-hitl-signature"])
@pytest.mark.parametrize(
    "value", [HEX, HEX.upper(), f"sha256={HEX}", f"SHA256={HEX}"], ids=["hex", "HEX", "sha256=hex", "SHA256=hex"]
)
def test_a_signature_counts_in_every_documented_spelling(receiver: Receiver, name: str, value: str) -> None:
    assert receiver.post(BODY, headers={name: value}).status_code == 202


def test_blanks_around_a_signature_are_ignored(receiver: Receiver) -> None:
    line = b"X-HITL-Signature:  \t" + HEX.encode() + b" \t\r\n"

    assert statuses(receiver.send_raw(raw_request(BODY, headers=line + CLOSE))) == [202]


def test_a_signature_under_both_names_counts_when_both_fit(receiver: Receiver) -> None:
    both = {"X-HITL-Signature": HEX, "X-HITL-Signature-256": f"sha256={HEX}"}

    assert receiver.post(BODY, headers=both).status_code == 202
    assert receiver.post(BODY, headers=both | {"X-HITL-Signature": "0" * 64}).status_code == 401


def test_the_secret_before_the_last_rotation_still_verifies(receiver: Receiver) -> None:
    assert receiver.post(BODY, headers=signatures.headers(OLD_SECRET, BODY)).status_code == 202


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"X-HITL-Signature:\r\n",
        b"X-HITL-Signature: \xff\xfe\xe9\r\n",
        b"X-HITL-Signature: " + "\N{ARABIC-INDIC DIGIT ONE}".encode() * 64 + b"\r\n",
        b"X-HITL-Signature: " + HEX[:-1].encode() + b"\r\n",
        b"X-HITL-Signature: " + HEX.encode() + b"0\r\n",
        b"X-HITL-Signature: " + HEX.encode() * 1_000 + b"\r\n",
        b"X-HITL-Signature: sha1=" + HEX.encode() + b"\r\n",
        b"X-HITL-Signature: sha256=\r\n",
        b"X-HITL-Signature: " + HEX.encode() + b", " + HEX.encode() + b"\r\n",
        b"X-HITL-Signature: g" + HEX[1:].encode() + b"\r\n",
        b"X_HITL_Signature: " + HEX.encode() + b"\r\n",
        signature_line(BODY, "whsec_of_somebody_else"),
        signature_line(BODY + b" "),
        signature_line(BODY) * 2,
        signature_line(BODY) + signature_line(BODY, "whsec_of_somebody_else"),
    ],
    ids=lambda line: f"{len(line)} bytes",
)
def test_an_unverified_delivery_is_401(receiver: Receiver, redis: Redis, line: bytes) -> None:
    reply = receiver.send_raw(raw_request(BODY, headers=line))

    assert statuses(reply) == [401]
    assert reply.endswith(b"\r\n\r\n"), "an unverified sender gets no body"
    assert not redis.exists(keys.EVENTS)


@pytest.mark.parametrize(
    "line", [b"X-HITL-Signature: a\x00b\r\n", b"X-HITL-Signature: a\rb\r\n", b"X-HITL-Signature: a\r\n b\r\n"]
)
def test_an_invalid_header_is_refused_before_the_endpoint(receiver: Receiver, line: bytes) -> None:
    assert statuses(receiver.send_raw(raw_request(BODY, headers=line))) == [400]


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS"])
@pytest.mark.parametrize("path", [WEBHOOKS, f"{WEBHOOKS}/", "/callbacks/x"])
def test_an_endpoint_accepts_only_post(receiver: Receiver, method: str, path: str) -> None:
    response = receiver.client.request(method, path)

    assert (response.status_code, response.headers["allow"], response.content) == (405, "POST", b"")


@pytest.mark.parametrize("path", ["/", "/webhooks", "//webhooks/hitl", "/webhooks/hitl/x", "/callbacks/", "/callbacks"])
def test_other_paths_are_404(receiver: Receiver, path: str) -> None:
    reply = receiver.send_raw(raw_request(BODY, path=path, headers=signature_line(BODY) + CLOSE))

    assert statuses(reply) == [404]
    assert reply.endswith(b"\r\n\r\n")


def test_options_of_everything_is_not_found(receiver: Receiver) -> None:
    assert statuses(receiver.send_raw(raw_request(method="OPTIONS", path="*", headers=CLOSE))) == [404]


def test_a_trailing_slash_works_without_a_redirect(receiver: Receiver) -> None:
    assert receiver.post(BODY, path=f"{WEBHOOKS}/").status_code == 202


def test_a_query_changes_nothing(receiver: Receiver) -> None:
    assert receiver.post(BODY, path=f"{WEBHOOKS}?source=proxy").status_code == 202


def test_an_answer_says_nothing_of_the_server(receiver: Receiver) -> None:
    assert set(receiver.post(BODY).headers) == {"content-length"}


def test_a_connection_stays_open_after_an_answer_to_a_verified_body(receiver: Receiver) -> None:
    broken = raw_request(b"{", headers=signature_line(b"{"))
    unknown = raw_request(b"[]", headers=signature_line(b"[]"))
    elsewhere = raw_request(path="/nowhere")
    confirmed = raw_request(BODY, headers=signature_line(BODY))

    reply = receiver.send_raw(confirmed + broken + unknown + elsewhere + confirmed[:30], confirmed[30:] + raw_request())

    assert statuses(reply) == [202, 400, 202, 404, 200, 401]


def test_no_request_is_read_after_an_unverified_one_on_a_connection(receiver: Receiver, redis: Redis) -> None:
    reply = receiver.send_raw(raw_request(BODY) + raw_request(BODY, headers=signature_line(BODY)))

    assert statuses(reply) == [401]
    assert not redis.exists(keys.EVENTS)


def test_a_signed_request_with_expect_gets_100_continue(receiver: Receiver) -> None:
    lines = signature_line(BODY) + b"Expect: 100-continue\r\n" + CLOSE

    reply = receiver.send_raw(raw_request(headers=lines, length=len(BODY)), BODY, pause=0.05)

    assert statuses(reply) == [100, 202]


def test_an_unsigned_request_with_expect_gets_no_100_continue(receiver: Receiver) -> None:
    lines = b"Expect: 100-continue\r\n"

    assert statuses(receiver.send_raw(raw_request(headers=lines, length=100_000))) == [401]


def test_a_request_smuggled_behind_two_lengths_is_refused(receiver: Receiver, redis: Redis) -> None:
    lines = signature_line(b"") + b"Transfer-Encoding: chunked\r\n"
    smuggled = raw_request(BODY, headers=signature_line(BODY))

    reply = receiver.send_raw(raw_request(b"0\r\n\r\n" + smuggled, headers=lines, length=5))

    assert statuses(reply) == [400]
    assert not redis.exists(keys.EVENTS)


def settled_counters(redis: Redis) -> dict[str, int]:
    """Two beats from now: whatever was answered until now is among them."""
    beats = counters(redis).get("beats", 0)
    wait_until(lambda: counters(redis).get("beats", 0) >= beats + 2)
    return counters(redis)


@pytest.mark.slow
def test_each_answer_is_counted_by_its_reason(receiver: Receiver, redis: Redis) -> None:
    before = settled_counters(redis)
    refused = {"X-HITL-Signature": HEX[1:]}

    receiver.post(BODY)
    receiver.post(BODY)
    receiver.post(b"{}")
    receiver.post(b"{")
    receiver.post(BODY, headers={})
    receiver.post(BODY, headers=refused)
    receiver.client.get(WEBHOOKS)

    after = settled_counters(redis)
    # How many refused bodies are inspected depends on how many were refused just before.
    others = {"beats", "refused_inspected"}
    new = {reason: count - before.get(reason, 0) for reason, count in after.items() if reason not in others}
    assert {reason: count for reason, count in new.items() if count} == {
        "accepted": 1,
        "duplicate": 1,
        "unknown_shape": 1,
        "not_json": 1,
        "signature_missing": 1,
        "signature_malformed": 1,
        "method_not_allowed": 1,
    }


def test_a_refusal_is_logged_by_its_reason_alone(receiver: Receiver) -> None:
    injected = "delivery.refused status=202 reason=forged"
    before = receiver.log.stat().st_size

    receiver.post(BODY, headers={"X-HITL-Signature": injected}, path=f"{WEBHOOKS}?x=%0d%0a{injected}")
    receiver.client.post(f"/callbacks/%0d%0a{injected}")
    receiver.client.post(f"/%0d%0a{injected}")

    logged = receiver.log.read_text()[before:]
    reasons = re.findall(r"INFO hitl.receiver delivery.refused status=(\d+) reason=(\w+)$", logged, re.MULTILINE)
    assert reasons == [("401", "signature_malformed"), ("401", "callback_malformed"), ("404", "not_found")]
    assert injected not in logged


def test_without_a_token_for_metrics_there_is_no_such_path(receiver: Receiver) -> None:
    assert receiver.client.get("/metrics").status_code == 404


def test_without_tokens_the_paths_of_requests_do_not_exist(receiver: Receiver) -> None:
    for path in ("/requests", "/requests/ask_x", "/requests/ask_x/events", "/openapi.json"):
        reply = receiver.client.get(path)
        assert (reply.status_code, reply.content) == (404, b"")


@pytest.mark.slow
def test_without_redis_an_unverified_delivery_is_still_401(own_server: EmbeddedServer, own_receiver: Receiver) -> None:
    own_server.kill()

    forged = own_receiver.post(BODY, headers=signatures.headers("whsec_of_somebody_else", BODY))
    confirmed = own_receiver.post(BODY)
    ready = own_receiver.client.get("/health/ready")

    assert forged.status_code == 401
    assert (confirmed.status_code, confirmed.headers["retry-after"], confirmed.content) == (503, "5", b"")
    assert ready.status_code == 503


@pytest.mark.slow
def test_one_delivery_at_two_processes_at_once_is_accepted_once(
    server: EmbeddedServer, redis: Redis, tmp_path: Path
) -> None:
    one = raw_request(BODY, headers=signature_line(BODY) + CLOSE)

    with serving(server.url, tmp_path / "log", "--processes", "2") as receiver:
        connections = [receiver.connect() for _ in range(40)]
        for connection in connections:
            connection.sendall(one)
        replies = [read_all(connection) for connection in connections]
        for connection in connections:
            connection.close()

    assert sorted(status for reply in replies for status in statuses(reply)) == [200] * 39 + [202]
    record = lookup.event(redis, key(BODY))
    assert record is not None
    assert record.deliveries == 40
    # Both took their part, and both log as one process does.
    assert len(set(re.findall(r"Started server process \[(\d+)\]", receiver.log.read_text()))) == 2
    assert receiver.log.read_text().count("INFO hitl.receiver intake.ready") == 2


def test_a_chunked_body_of_httpx_is_verified(receiver: Receiver) -> None:
    pieces = (bytes([byte]) for byte in BODY)

    response = httpx.post(
        f"{receiver.client.base_url}{WEBHOOKS}", content=pieces, headers=signatures.headers(SECRET, BODY)
    )

    assert response.status_code == 202
