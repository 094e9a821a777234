"""What strangers can do with the path of test deliveries, and what no test delivery ever does."""

import secrets
import time
from typing import cast

import httpx
import msgspec
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from redis import Redis
from redis.asyncio import Redis as AsyncRedis

from hitlsh import signatures
from hitlsh.callbacks import CALLBACK_PATH, CallbackSigner
from service.proofs.challenges import QUERY_PARAMETER, Challenge, Challenger, ChallengeVerifier, Channel, ProofOutcome
from service.proofs.proof_deliveries import Case, ProofDelivery, ProofDeliveryBuilder
from service.web.endpoints import PROOF_BODY, PROOF_HEADER
from tests.builders import payload
from tests.service.conftest import CALLBACK_KEY, MAX_BODY, OLD_SECRET, SECRET, WEBHOOKS, Receiver, counters, wait_until
from tests.service.proofs.test_prove import inbox_keys
from workers.inbox import keys
from workers.inbox.operations import proofs

SECRETS: dict[Channel, str] = {"webhook": SECRET, "callback": CALLBACK_KEY}
CHANNELS = tuple(SECRETS)


@pytest.fixture
def nonce(redis: Redis) -> str:
    """Of a proof that was begun."""
    begun = secrets.token_urlsafe(16)
    proofs.begin(redis, begun)
    return begun


def deliveries(channel: Channel, nonce: str, secret: str | None = None) -> dict[Case, ProofDelivery]:
    builder = ProofDeliveryBuilder(channel, secret or SECRETS[channel], nonce, max_body=MAX_BODY)
    valid = builder.valid()
    return {one.case: one for one in (valid, *builder.following(valid))}


def post(receiver: Receiver, delivery: ProofDelivery) -> httpx.Response:
    return receiver.post(delivery.body, path=delivery.path, headers=delivery.headers)


def proof_fields(redis: Redis, nonce: str) -> dict[bytes, bytes]:
    return cast("dict[bytes, bytes]", redis.hgetall(keys.proof(nonce)))


# -- forged, repeated, late ----------------------------------------------------------------------------


@pytest.mark.parametrize("channel", CHANNELS)
def test_a_stranger_is_answered_as_without_a_challenge(
    channel: Channel, receiver: Receiver, redis: Redis, nonce: str
) -> None:
    for delivery in deliveries(channel, nonce, "a-secret-of-a-stranger").values():
        reply = post(receiver, delivery)

        assert reply.status_code == (413 if channel == "webhook" and delivery.case == "oversized" else 401)
        assert reply.content == b""
    assert proof_fields(redis, nonce) == {b"begun": b"1"}
    assert inbox_keys(redis) == set()


@pytest.mark.parametrize("channel", CHANNELS)
def test_a_delivery_without_a_record_changes_nothing(channel: Channel, receiver: Receiver, redis: Redis) -> None:
    delivery = deliveries(channel, "never-begun")["valid"]

    replies = [post(receiver, delivery) for _ in range(3)]

    answers = [Challenger(channel, SECRETS[channel]).read_answer(reply.text, delivery.challenge) for reply in replies]
    assert [answer and answer.times for answer in answers] == [0, 0, 0]
    assert not list(redis.scan_iter(keys.proof("*")))
    assert inbox_keys(redis) == set()


def test_an_expired_challenge_is_refused_without_a_word(receiver: Receiver, redis: Redis, nonce: str) -> None:
    old = CallbackSigner([SECRET], purpose="proof.challenge.webhook", clock=lambda: time.time() - 301)
    token = old.mint({"nonce": nonce, "case": "webhook.valid"})
    body = deliveries("webhook", nonce)["valid"].body

    reply = receiver.post(body, path=f"{WEBHOOKS}?{QUERY_PARAMETER}={token}")

    assert (reply.status_code, reply.content) == (401, b"")
    assert "proof.expired" in receiver.log.read_text()
    assert proof_fields(redis, nonce) == {b"begun": b"1"}
    assert inbox_keys(redis) == set()


@pytest.mark.parametrize("body", [PROOF_BODY + b'"text":1}', PROOF_BODY + b'"cut":'])
def test_a_body_of_a_proof_is_never_stored(body: bytes, receiver: Receiver, redis: Redis) -> None:
    assert receiver.post(body).status_code == 401
    assert receiver.call_back(body).status_code == 401
    assert inbox_keys(redis) == set()


def test_the_token_of_a_test_delivery_is_no_callback_url(receiver: Receiver, redis: Redis, nonce: str) -> None:
    path = deliveries("callback", nonce)["valid"].path.partition("?")[0]

    assert receiver.post(payload(), path=path, headers={}).status_code == 401
    assert inbox_keys(redis) == set()


@pytest.mark.parametrize("channel", CHANNELS)
def test_a_challenge_is_valid_for_its_own_channel_only(channel: Channel, receiver: Receiver, nonce: str) -> None:
    token = deliveries(channel, nonce)["valid"].headers[PROOF_HEADER.decode()]
    other = f"{CALLBACK_PATH}{CallbackSigner(['x' * 20]).mint()}" if channel == "webhook" else WEBHOOKS

    reply = receiver.post(b"{}", path=f"{other}?{QUERY_PARAMETER}={token}", headers={})

    assert (reply.status_code, reply.content) == (401, b"")


def test_real_deliveries_pass_with_any_query(receiver: Receiver, redis: Redis) -> None:
    body = payload()
    queries = [
        "a=1",
        f"{QUERY_PARAMETER}=nonsense",
        f"{QUERY_PARAMETER}=",
        "&".join("a=1" for _ in range(50)),
        "%ff=%fe",
    ]

    statuses = [receiver.post(body, path=f"{WEBHOOKS}?{query}").status_code for query in queries]
    headers = signatures.headers(SECRET, body) | {PROOF_HEADER.decode(): "nonsense"}

    assert statuses == [202, 200, 200, 200, 200]
    assert receiver.post(body, headers=headers).status_code == 200
    assert redis.exists(keys.event("request.completed:66c0ffee00000000000000a1"))


async def test_a_record_takes_a_bounded_number_of_cases(redis: Redis, async_redis: AsyncRedis, nonce: str) -> None:
    for number in range(200):
        await proofs.record(async_redis, nonce, f"webhook.{number}", b"{}")

    assert len(proof_fields(redis, nonce)) < 110
    assert 0 < redis.ttl(keys.proof(nonce)) <= proofs.LIFE


# -- the messages --------------------------------------------------------------------------------------


def test_an_answer_is_valid_for_its_challenge_only() -> None:
    challenger, other = Challenger("webhook", SECRET), Challenger("webhook", OLD_SECRET)
    challenge = Challenge(nonce="n", case="webhook.valid")
    verified = ChallengeVerifier("webhook", [OLD_SECRET, SECRET]).read(challenger.challenge(challenge))
    assert verified is not None

    text = verified.answer(ProofOutcome(status=202, reason="accepted"), 1)

    assert challenger.read_answer(text, challenge) is not None
    assert challenger.read_answer(text, Challenge(nonce="n", case="webhook.forged")) is None
    assert other.read_answer(text, challenge) is None
    assert Challenger("callback", SECRET).read_answer(text, challenge) is None
    assert challenger.read_answer(challenger.challenge(challenge), challenge) is None
    assert ChallengeVerifier("webhook", [SECRET]).read(text) is None


@pytest.mark.parametrize("state", [None, 1, {}, {"nonce": "n"}, {"nonce": "", "case": "c"}, {"nonce": "é", "case": "c"},
                                   {"nonce": "n", "case": "c" * 65}, {"nonce": 1, "case": 2}])  # fmt: skip
def test_a_signed_state_that_is_no_challenge(state: object) -> None:
    token = CallbackSigner([SECRET], purpose="proof.challenge.webhook").mint(state)

    assert ChallengeVerifier("webhook", [SECRET]).read(token) is None


# -- any sequence --------------------------------------------------------------------------------------


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One POST of a sequence."""

    channel: Channel
    case: Case
    #: A proof that was begun, one that was not, or one that has ended.
    proof: str
    repeated: int


STEPS = st.builds(
    Step,
    channel=st.sampled_from(CHANNELS),
    case=st.sampled_from(["valid", "repeated", "forged", "late", "malformed", "largest", "oversized"]),
    proof=st.sampled_from(["begun", "unknown", "ended"]),
    repeated=st.integers(1, 3),
)


def snapshot(redis: Redis) -> dict[bytes, object]:
    return {key: redis.dump(key) for key in inbox_keys(redis)}


def wait_until_counted(redis: Redis) -> None:
    """Whatever was posted before is in the counters, which the web process writes with each beat."""
    beats = counters(redis).get("beats", 0)
    wait_until(lambda: counters(redis).get("beats", 0) > beats + 1)


@pytest.mark.slow
def test_no_sequence_of_test_deliveries_changes_the_inbox(receiver: Receiver, redis: Redis) -> None:
    assert receiver.post(payload()).status_code == 202
    assert receiver.post(b"not json").status_code == 400
    assert receiver.post(b"{}", headers={}).status_code == 401
    wait_until_counted(redis)
    before, counted = snapshot(redis), counters(redis)
    assert len(before) > 5

    @hypothesis_settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.lists(STEPS, min_size=1, max_size=8))
    def run(steps: list[Step]) -> None:
        nonces = {name: secrets.token_urlsafe(16) for name in ("begun", "unknown", "ended")}
        for name in ("begun", "ended"):
            proofs.begin(redis, nonces[name])
        proofs.end(redis, nonces["ended"])
        for step in steps:
            delivery = deliveries(step.channel, nonces[step.proof]).get(step.case)
            for _ in range(step.repeated if delivery is not None else 0):
                assert delivery is not None
                reply = post(receiver, delivery)
                answer = Challenger(step.channel, SECRETS[step.channel]).read_answer(reply.text, delivery.challenge)
                assert answer is not None
                assert answer.outcome.status == reply.status_code
                assert (answer.times > 0) == (step.proof == "begun")
        assert snapshot(redis) == before
        assert {key.decode() for key in redis.scan_iter(keys.proof("*"))} == {keys.proof(nonces["begun"])}
        proofs.end(redis, nonces["begun"])

    run()

    wait_until_counted(redis)
    assert {name: count for name, count in counters(redis).items() if name != "beats"} == {
        name: count for name, count in counted.items() if name != "beats"
    }
    assert snapshot(redis) == before
