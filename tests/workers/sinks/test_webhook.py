"""Sending to a real target that succeeds or fails; test_hook.py tests that its URL stays secret."""

import asyncio
import base64
import json
import re
from typing import Any

import pytest
import standardwebhooks

from tests.workers.sinks.target import Script, Target, cut_short, hang_up, mumble, reply, stall, trickle
from workers.errors import GiveUp, NotDelivered, RetryLater, RouteInvalid
from workers.sinks import Webhook
from workers.testing import completed, timed_out

SECRET = "whsec_" + base64.b64encode(b"k" * 32).decode()
OTHER = "whsec_" + base64.b64encode(b"o" * 32).decode()


async def test_a_decision_is_posted_as_json(hook: Target) -> None:
    await Webhook(f"{hook.url}/catch/1?x=2").send(completed("Approve", state={"invoice": 7}))

    received = hook.received[0]
    assert received.path == "/catch/1?x=2"
    assert received.headers["content-type"] == "application/json"
    assert (received.json()["response"], received.json()["state"]) == ("Approve", {"invoice": 7})


@pytest.mark.parametrize("answer", [False, 0, "", []])
async def test_a_falsy_answer_arrives_as_it_is(hook: Target, answer: Any) -> None:
    await Webhook(hook.url).send(completed(answer))

    assert json.dumps(hook.received[0].json()["response"]) == json.dumps(answer)


async def test_a_whole_number_arrives_without_a_fraction(hook: Target) -> None:
    await Webhook(hook.url).send(completed(0.0))

    assert json.dumps(hook.received[0].json()["response"]) == "0"


# -- the scheme ---------------------------------------------------------------------------------------


async def test_a_receiver_of_the_scheme_accepts_the_signature(hook: Target) -> None:
    await Webhook(hook.url, SECRET).send(completed("Zustimmung für später"))

    received = hook.received[0]
    verified = standardwebhooks.Webhook(SECRET).verify(received.body, received.headers)
    assert verified["id"] == received.headers["webhook-id"]
    with pytest.raises(standardwebhooks.WebhookVerificationError):
        standardwebhooks.Webhook(OTHER).verify(received.body, received.headers)


async def test_with_two_secrets_a_receiver_of_either_accepts(hook: Target) -> None:
    await Webhook(hook.url, [SECRET, OTHER]).send(completed())

    received = hook.received[0]
    for secret in (SECRET, OTHER):
        assert standardwebhooks.Webhook(secret).verify(received.body, received.headers)


async def test_without_a_secret_there_is_an_id_and_no_signature(hook: Target) -> None:
    await Webhook(hook.url).send(completed())

    assert {"webhook-id", "webhook-timestamp"} <= hook.received[0].headers.keys()
    assert "webhook-signature" not in hook.received[0].headers


async def test_the_id_is_equal_on_every_attempt_and_the_body_too(hook: Target) -> None:
    hook.answer(reply(503))
    decision = completed()

    with pytest.raises(NotDelivered):
        await Webhook(hook.url, SECRET).send(decision)
    await Webhook(hook.url, SECRET).send(completed(attempt=2))

    first, second = hook.received
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    assert first.body == second.body


async def test_another_decision_and_another_sink_have_another_id(hook: Target) -> None:
    await Webhook(hook.url).send(completed())
    await Webhook(hook.url).send(timed_out())
    await Webhook(f"{hook.url}/b").send(completed())

    assert len({received.headers["webhook-id"] for received in hook.received}) == 3


async def test_custom_headers_are_sent(hook: Target) -> None:
    await Webhook(hook.url, headers={"Authorization": "Bearer k", "User-Agent": "mine"}).send(completed())

    assert hook.received[0].headers["authorization"] == "Bearer k"
    assert hook.received[0].headers["user-agent"] == "mine"


# -- answers ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("script", [reply(200), reply(202, b""), reply(204, b""), cut_short(200)])
async def test_any_2xx_is_success_whatever_follows_it(hook: Target, script: Script) -> None:
    hook.answer(script)

    await Webhook(hook.url).send(completed())


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504, 599])
async def test_what_is_temporary_is_tried_again(hook: Target, status: int) -> None:
    hook.answer(reply(status, b"later"))

    with pytest.raises(NotDelivered, match=rf"127\.0\.0\.1:\d+ answered {status}.*: later"):
        await Webhook(hook.url).send(completed())


@pytest.mark.parametrize("status", [408, 425, 429, 500, 503])
async def test_a_target_that_says_when_is_tried_then(hook: Target, status: int) -> None:
    hook.answer(reply(status, Retry_After="120"))

    with pytest.raises(RetryLater) as raised:
        await Webhook(hook.url).send(completed())

    assert raised.value.delay == pytest.approx(120, abs=1)
    assert raised.value.counts


@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 410, 413, 422])
async def test_a_4xx_ends_the_attempts_and_its_text_is_the_reason(hook: Target, status: int) -> None:
    hook.answer(reply(status, b"no\r\n\x1b[31msuch \x00hook" + b"x" * 50_000))

    with pytest.raises(GiveUp, match=rf"answered {status} .*: no \[31msuch hookx+$") as raised:
        await Webhook(hook.url).send(completed())
    assert len(raised.value.reason) < 280


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_not_followed(hook: Target, status: int) -> None:
    hook.answer(reply(status, Location=f"{hook.url}/elsewhere"))

    with pytest.raises(GiveUp, match=f"answered {status}.*a redirect"):
        await Webhook(hook.url).send(completed())
    assert len(hook.received) == 1


@pytest.mark.parametrize("script", [hang_up, mumble])
async def test_a_target_that_hangs_up_is_tried_again(hook: Target, script: Script) -> None:
    hook.answer(script)

    with pytest.raises(NotDelivered, match=r"127\.0\.0\.1:\d+: RemoteProtocolError"):
        await Webhook(hook.url).send(completed())


@pytest.mark.parametrize("script", [stall, trickle])
async def test_a_slow_target_is_abandoned_after_the_timeout(hook: Target, script: Script) -> None:
    hook.answer(script)

    with pytest.raises(NotDelivered, match=r"did not answer within 0\.3 s|ReadTimeout"):
        await asyncio.wait_for(Webhook(hook.url, timeout=0.3).send(completed()), timeout=2)


async def test_an_unreachable_target_is_retried(hook: Target) -> None:
    with pytest.raises(NotDelivered, match=r"127\.0\.0\.1:1: ConnectError"):
        await Webhook("http://127.0.0.1:1/secret").send(completed())


async def test_a_stalled_post_does_not_delay_the_next(hook: Target) -> None:
    hook.answer(stall)
    sink = Webhook(hook.url, timeout=5)

    slow = asyncio.create_task(sink.send(completed()))
    await asyncio.sleep(0.05)
    await asyncio.wait_for(asyncio.gather(*(sink.send(timed_out()) for _ in range(20))), timeout=2)

    assert not slow.done()
    slow.cancel()


# -- mistakes -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "secret", ["", "whsec_", "too short", "whsec_c2hvcnQ=", "not base64 at all, not at all!!!!", 7, [], [SECRET, ""]]
)
def test_an_invalid_secret_is_refused_and_not_shown(secret: Any) -> None:
    with pytest.raises(RouteInvalid, match="secret") as refused:
        Webhook("https://hooks.example.com", secret)
    assert not isinstance(secret, str) or len(secret) < 8 or secret not in str(refused.value)


@pytest.mark.parametrize("secret", [SECRET, SECRET.removeprefix("whsec_"), SECRET.rstrip("=")])
async def test_a_secret_may_lack_its_prefix_or_padding(hook: Target, secret: str) -> None:
    await Webhook(hook.url, secret).send(completed())

    assert standardwebhooks.Webhook(SECRET).verify(hook.received[0].body, hook.received[0].headers)


@pytest.mark.parametrize(
    "headers",
    [{"X Bad": "v"}, {"X": "a\r\nb"}, {"X": 3}, {"Content-Type": "text/plain"}, {"webhook-id": "1"}, {1: "x"}, "X: y"],
)
def test_headers_that_could_not_be_sent_are_refused(headers: Any) -> None:
    with pytest.raises(RouteInvalid, match="headers"):
        Webhook("https://hooks.example.com", headers=headers)


@pytest.mark.parametrize("timeout", [0, -1, True, "5", None, float("inf"), float("nan")])
def test_an_invalid_timeout_is_refused(timeout: Any) -> None:
    with pytest.raises(RouteInvalid, match=re.escape("give seconds")):
        Webhook("https://hooks.example.com", timeout=timeout)
