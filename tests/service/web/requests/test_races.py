"""A waiter gets the outcome whenever it comes, on whichever web process, whatever happens meanwhile."""

import os
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from redis import Redis

from service.local.embedded_server import EmbeddedServer
from tests.service.conftest import wait_until
from tests.service.web.requests.conftest import Asking, AskingReceiver, Json
from workers.inbox import keys

pytestmark = pytest.mark.slow


def answer(web: AskingReceiver, request: Json, response: Any = "Approve") -> None:
    web.asking.sandbox.answer(request["request_id"], response)


def response_of(request: Json) -> Any:
    assert request["status"] == "ended", request
    assert request["outcome"]["kind"] == "answered", request
    return request["outcome"]["response"]


def test_an_answer_before_the_wait(web: AskingReceiver) -> None:
    request = web.ask()
    answer(web, request)
    web.asking.sandbox.settle()

    started = time.monotonic()
    waited = web.wait(request["id"])

    assert response_of(waited) == "Approve"
    assert time.monotonic() - started < 5.0


def test_an_answer_during_the_wait(web: AskingReceiver) -> None:
    request = web.ask()

    with web.waiting(request["id"], request["request_id"]) as replies:
        answer(web, request)

        assert [response_of(reply) for reply in replies()] == ["Approve", "Approve"]


def test_answers_that_race_with_connecting_waiters(web: AskingReceiver) -> None:
    requests = [web.ask(text=f"Question {number}") for number in range(20)]
    with ThreadPoolExecutor(20) as threads:
        waits = []
        for number, request in enumerate(requests):
            waits.append(threads.submit(web.wait, request["id"]))
            time.sleep(0.002 * number)
            answer(web, request)

        assert [response_of(wait.result(30)) for wait in waits] == ["Approve"] * 20


def test_an_answer_after_our_deadline(web: AskingReceiver) -> None:
    request = web.ask()

    first = web.wait(request["id"], 0.3)
    answer(web, request)
    second = web.wait(request["id"])

    assert (first["status"], first["outcome"]) == ("open", None)
    assert response_of(second) == "Approve"


def test_an_answer_at_the_instant_of_our_deadline_is_not_lost(web: AskingReceiver) -> None:
    for number in range(10):
        request = web.ask(text=f"Question {number}")
        timer = threading.Timer(0.18 + number * 0.005, answer, (web, request))
        timer.start()
        waited = web.wait(request["id"], 0.2)
        timer.join()

        if waited["outcome"] is None:
            waited = web.wait(request["id"])
        assert response_of(waited) == "Approve"


def test_a_timeout_at_the_vendor_is_no_answer(asking: Asking, web: AskingReceiver) -> None:
    request = web.ask(timeout_seconds=60, default_response="Reject")

    with web.waiting(request["id"]) as replies:
        asking.sandbox.advance(61)
        [waited] = replies()

    assert waited["outcome"]["kind"] == "timed_out"
    assert waited["outcome"]["default_response"] == "Reject"
    assert "response" not in waited["outcome"]


@pytest.mark.parametrize(
    ("response", "fields"),
    [
        (False, {"response_type": "boolean", "response_config": {}, "default_response": True}),
        (0, {"response_type": "number", "response_config": {"min_value": 0, "max_value": 9}, "default_response": 5}),
        ("", {"response_type": "text", "response_config": {}, "default_response": "nothing"}),
    ],
)
def test_a_falsy_answer_is_an_answer(web: AskingReceiver, response: Any, fields: Json) -> None:
    request = web.ask(**fields)

    with web.waiting(request["id"]) as replies:
        answer(web, request, response)
        [waited] = replies()

    assert response_of(waited) == response
    assert type(waited["outcome"]["response"]) is type(response)


def test_a_duplicated_delivery_changes_nothing(web: AskingReceiver) -> None:
    web.asking.sandbox.fault("duplicate", copies=3)
    request = web.ask()

    with web.waiting(request["id"]) as replies:
        answer(web, request)
        [waited] = replies()
    web.asking.sandbox.settle()

    assert web.wait(request["id"]) == waited
    assert waited["late_answers"] == []


def test_conflicting_deliveries_are_told_as_a_conflict(web: AskingReceiver, redis: Redis) -> None:
    request = web.ask()
    answer(web, request)
    waited = web.wait(request["id"])
    url, body = _callback_of(web, request)

    changed = body.replace(b"Approve", b"Reject").replace(b"approve", b"reject")
    assert changed != body
    web.receiver.client.post(url, content=changed)
    conflicted = web.read(request["id"])

    assert response_of(waited) == "Approve"
    assert conflicted["outcome"]["kind"] == "conflicted"
    assert [each["response"] for each in conflicted["outcome"]["outcomes"]] == ["Approve", "Reject"]
    assert conflicted["version"] > waited["version"]


def _callback_of(web: AskingReceiver, request: Json) -> tuple[str, bytes]:
    """Where HITL.sh posted the outcome, and what."""
    web.asking.sandbox.settle()
    [delivery] = web.asking.sandbox.deliveries(request["request_id"])
    return delivery["url"], delivery["body"].encode()


@pytest.fixture(scope="module")
def running_other(asking_and_web: tuple[Asking, AskingReceiver]) -> Iterator[AskingReceiver]:
    with asking_and_web[0].serving("other") as running:
        yield running


@pytest.fixture
def other(running_other: AskingReceiver, web: AskingReceiver) -> AskingReceiver:
    """Another web process before the same server."""
    return running_other


def test_an_answer_that_arrives_at_another_process(web: AskingReceiver, other: AskingReceiver) -> None:
    request = web.ask()

    with other.waiting(request["id"], request["request_id"]) as replies:
        answer(web, request)

        assert [response_of(reply) for reply in replies()] == ["Approve", "Approve"]


def test_a_killed_process_loses_neither_its_waiters_nor_its_answers(asking: Asking, web: AskingReceiver) -> None:
    request = web.ask()
    with asking.serving("killed") as killed:
        asked_there = killed.ask(text="Answered while its process is away?")
        pid = killed.pid()
        with ThreadPoolExecutor(1) as threads:
            wait = threads.submit(killed.wait, request["id"])
            time.sleep(0.3)
            os.kill(pid, signal.SIGKILL)
            assert isinstance(wait.exception(10), httpx.TransportError)

    with web.waiting(request["id"]) as replies:
        answer(web, request)

        assert [response_of(reply) for reply in replies()] == ["Approve"]

    answer(web, asked_there)
    asking.reconcile()

    assert response_of(web.wait(asked_there["id"])) == "Approve"


def test_an_answer_after_redis_was_restarted(own_web: AskingReceiver, own_server: EmbeddedServer) -> None:
    request = own_web.ask()
    before = own_web.receiver.log.stat().st_size
    with own_web.waiting(request["id"]) as replies:
        own_server.kill()
        wait_until(lambda: "waits.unsubscribed" in own_web.log()[before:])
        own_server.start()
        wait_until(lambda: own_web.receiver.client.get("/health/ready").status_code == 200)
        answer(own_web, request)

        assert [response_of(reply) for reply in replies()] == ["Approve"]


def test_an_answer_whose_message_was_lost_while_the_subscription_was_down(
    web: AskingReceiver, other: AskingReceiver
) -> None:
    request = other.ask()
    with web.waiting(request["id"]) as replies, Redis.from_url(web.asking.redis_url) as redis:
        subscriptions = len(redis.client_list(_type="pubsub"))
        # Nobody hears the message: the subscription ends at the moment of the answer, again and again.
        for _ in range(20):
            redis.client_kill_filter(_type="pubsub")
        answer(other, request)
        redis.client_kill_filter(_type="pubsub")

        assert [response_of(reply) for reply in replies()] == ["Approve"]
        wait_until(lambda: len(redis.client_list(_type="pubsub")) == subscriptions)


def test_an_outcome_that_a_reconcile_run_reads(asking: Asking, web: AskingReceiver) -> None:
    asking.sandbox.fault("drop", times=None)
    request = web.ask(timeout_seconds=60)

    with web.waiting(request["id"], seconds=30.0) as replies:
        answer(web, request)
        _make_checks_due(web)
        asking.reconcile()
        [waited] = replies()

    assert response_of(waited) == "Approve"
    assert waited["outcome"]["trust"] == "confirmed"


def _make_checks_due(web: AskingReceiver) -> None:
    """As if the pauses between checks were over."""
    with Redis.from_url(web.asking.redis_url) as redis:
        for name in redis.zrange(f"{keys.PREFIX}checks", 0, -1):
            redis.zadd(f"{keys.PREFIX}checks", {name: 1})
            redis.hdel(keys.request(name.decode()), "hold")


def test_a_forged_answer_is_not_given_to_who_demands_more_trust(asking: Asking, web: AskingReceiver) -> None:
    """Somebody who knows the callback URL posts to it, before the reviewer answers."""
    asking.sandbox.fault("drop", times=None)
    request = web.ask(trust="confirmed")

    with web.waiting(request["id"], seconds=20.0) as replies:
        _forge(asking, web, request, "Approve")
        asking.reconcile()
        still_open = web.read(request["id"])
        answer(web, request, "Reject")
        _make_checks_due(web)
        asking.reconcile()
        [waited] = replies()

    assert (still_open["status"], still_open["outcome"]) == ("open", None)
    assert (response_of(waited), waited["outcome"]["trust"]) == ("Reject", "confirmed")


def test_a_waiter_may_demand_more_trust_than_who_asked(asking: Asking, web: AskingReceiver) -> None:
    request = web.ask()

    with web.waiting(request["id"], trust="confirmed") as replies:
        answer(web, request)
        asking.sandbox.settle()
        told = web.wait(request["id"])
        waits = web.read(request["id"], trust="confirmed")
        asking.reconcile()
        [confirmed] = replies()

    assert (response_of(told), told["outcome"]["trust"]) == ("Approve", "callback")
    assert (waits["status"], waits["outcome"]) == ("open", None)
    assert (response_of(confirmed), confirmed["outcome"]["trust"]) == ("Approve", "confirmed")


def _forge(asking: Asking, web: AskingReceiver, request: Json, response: str) -> None:
    """Post an answer to the callback URL of a request, as HITL.sh would."""
    model = web.ask(text="Model")
    answer(web, model, response)
    _, body = _callback_of(web, model)
    [url] = [each["callback_url"] for each in _records(asking) if each["id"] == request["request_id"]]
    forged = body.replace(model["request_id"].encode(), request["request_id"].encode())
    assert httpx.post(url, content=forged).status_code == 202


def _records(asking: Asking) -> list[Json]:
    return list(asking.sandbox.state()["requests"])
