"""The endpoint of callback URLs: the token in the path verifies a delivery, and is a secret."""

import time

import pytest
from itsdangerous import TimestampSigner
from redis import Redis

from hitlsh.callbacks import LARGEST_STATE, CallbackSigner
from service.local.embedded_server import EmbeddedServer
from tests.builders import key, payload
from tests.inbox_records import recent
from tests.service.conftest import (
    CALLBACK_KEY,
    CLOSE,
    SECRET,
    Receiver,
    raw_request,
    serving,
    signature_line,
    statuses,
)
from workers.decision import Decision
from workers.inbox import keys
from workers.inbox.queries import lookup
from workers.inbox.worker_inbox import WorkerInbox
from workers.redis_clients import drain_client

BODY = payload()
TOKEN = CallbackSigner([CALLBACK_KEY]).mint({"order": 17})
EXPIRED = CallbackSigner([CALLBACK_KEY], clock=lambda: time.time() - 41 * 86_400).mint()


@pytest.mark.parametrize("ending", ["", "/", "?from=proxy"])
def test_a_callback_url_needs_no_signature(receiver: Receiver, redis: Redis, ending: str) -> None:
    response = receiver.post(BODY, path=f"/callbacks/{TOKEN}{ending}", headers={})

    assert (response.status_code, response.content) == (202, b"")
    record = lookup.event(redis, key(BODY))
    assert record is not None
    assert (record.body, record.trust) == (BODY, "callback")


@pytest.mark.parametrize("state", [None, False, 0, "", [], {"order": {"lines": [1, 2]}}, "x" * (LARGEST_STATE - 2)])
async def test_the_state_of_the_callback_url_arrives(receiver: Receiver, server: EmbeddedServer, state: object) -> None:
    receiver.call_back(BODY, state)

    client = drain_client(server.url)
    [item] = (await WorkerInbox(client, retention=86_400, lease=1.0).claim(1)).items
    await client.aclose()
    decision = Decision.from_stored(item.stored)
    assert decision.state == state
    assert type(decision.state) is type(state)


def test_a_callback_and_an_account_webhook_of_one_outcome_are_one_event(receiver: Receiver, redis: Redis) -> None:
    assert receiver.call_back(BODY).status_code == 202

    assert receiver.post(BODY).status_code == 200
    record = lookup.event(redis, key(BODY))
    assert record is not None
    assert (record.trust, record.deliveries) == ("signed", 2)


PAYLOAD, MINTED, SEAL = TOKEN.split(".")
FORGERIES = {
    "changed payload": f"{'B' if PAYLOAD[0] == 'A' else 'A'}{TOKEN[1:]}",
    "changed time": f"{PAYLOAD}.{'A' * len(MINTED)}.{SEAL}",
    "changed seal": f"{PAYLOAD}.{MINTED}.{'A' * len(SEAL)}",
    "cut": TOKEN[:-1],
    "longer": f"{TOKEN}A",
    "no seal": f"{PAYLOAD}.{MINTED}",
    "wrong key": CallbackSigner(["some_other_key_of_old"]).mint(),
    "wrong salt": TimestampSigner(CALLBACK_KEY, salt=b"session").sign(b"e30").decode(),
    "expired": EXPIRED,
    "endless": "A" * 50_000,
    "not ASCII": "%ff%fe%C3%A9",
    "line break": f"{TOKEN}%0d%0a",
    "nothing": ".",
}


@pytest.mark.parametrize("token", FORGERIES.values(), ids=FORGERIES)
def test_a_token_that_is_not_ours_is_401(receiver: Receiver, redis: Redis, token: str) -> None:
    reply = receiver.send_raw(raw_request(BODY, path=f"/callbacks/{token}", headers=CLOSE))

    assert statuses(reply) == [401]
    assert reply.endswith(b"\r\n\r\n")
    assert not redis.exists(keys.EVENTS)


def test_a_signature_does_not_make_up_for_a_token(receiver: Receiver) -> None:
    reply = receiver.send_raw(raw_request(BODY, path="/callbacks/x", headers=signature_line(BODY)))

    assert statuses(reply) == [401]


def test_a_token_is_verified_before_the_body_is_requested(receiver: Receiver) -> None:
    lines = b"Expect: 100-continue\r\n"

    assert statuses(receiver.send_raw(raw_request(path="/callbacks/x", headers=lines, length=100_000))) == [401]


def test_a_broken_callback_body_is_stored_and_400(receiver: Receiver, redis: Redis) -> None:
    assert receiver.call_back(b"{").status_code == 400

    [kept] = recent(redis)
    assert (kept.body, kept.trust, kept.state) == (b"{", "callback", "quarantined")


def test_no_token_is_ever_logged(receiver: Receiver) -> None:
    for token in (TOKEN, EXPIRED, f"{TOKEN}A"):
        receiver.post(b"{", path=f"/callbacks/{token}", headers={})
        receiver.client.get(f"/callbacks/{token}")
        receiver.client.post(f"/callbacks/{token}/x")
        receiver.send_raw(raw_request(path=f"/callbacks/{token}", headers=b"Content-Length: 1\r\n"))

    # The receiver's log is at its most talkative level, and holds the answers to all of these.
    logged = receiver.log.read_text()
    assert "callback_expired" in logged
    assert not [word for word in (*TOKEN.split("."), *EXPIRED.split(".")) if word in logged]
    assert SECRET not in logged
    assert CALLBACK_KEY not in logged


@pytest.mark.slow
def test_without_callback_secrets_there_is_no_callback_endpoint(
    server: EmbeddedServer, redis: Redis, tmp_path_factory: pytest.TempPathFactory
) -> None:
    log = tmp_path_factory.mktemp("no_callbacks") / "log"

    with serving(server.url, log, HITL_CALLBACK_SECRETS="") as receiver:
        assert receiver.post(BODY, path=f"/callbacks/{TOKEN}").status_code == 404
        assert receiver.post(BODY).status_code == 202
