"""The waits of one web process: what they cost Redis and HITL.sh, and how they end."""

import os
import signal
import threading
import time

import httpx
import pytest
from redis import Redis

from tests.service.conftest import wait_until
from tests.service.web.requests.conftest import TOKEN, Asking, AskingReceiver
from workers.inbox import keys


@pytest.mark.slow
def test_any_number_of_waits_has_one_subscription_and_makes_no_call(web: AskingReceiver, redis: Redis) -> None:
    ids = [web.ask(text=f"Question {number}")["id"] for number in range(30)]
    calls = len(web.asking.calls())

    with web.waiting(*ids, *ids, seconds=2.0) as replies:
        subscribers = dict(redis.pubsub_numsub(keys.QUESTION_CHANGES))
        statuses = {reply["status"] for reply in replies()}

    assert subscribers == {keys.QUESTION_CHANGES.encode(): 1}
    assert statuses == {"open"}
    assert len(web.asking.calls()) == calls


@pytest.mark.slow
def test_sigterm_ends_waits_with_a_reply_that_makes_the_client_come_again(asking: Asking) -> None:
    with asking.serving() as web:
        request = web.ask()
        with httpx.Client(base_url=web.url, headers={"authorization": f"Bearer {TOKEN}"}) as client:
            started = time.monotonic()
            threading.Timer(0.5, os.kill, (web.pid(), signal.SIGTERM)).start()
            reply = client.get(f"/requests/{request['id']}", params={"wait": 30}, timeout=30)

        wait_until(lambda: "Finished server process" in web.log())
        seconds = time.monotonic() - started

    assert (reply.status_code, reply.json()) == (200, request)
    assert (reply.headers["retry-after"], reply.headers["connection"]) == ("0", "close")
    assert seconds < 5.0
    assert "waits.ended waits=1" in web.log()


def test_an_ordinary_end_of_a_wait_has_no_retry_after(web: AskingReceiver) -> None:
    request = web.ask()

    reply = web.client.get(f"/requests/{request['id']}", params={"wait": 0.2})

    assert "retry-after" not in reply.headers


def test_a_request_whose_record_is_gone_ends_its_wait(web: AskingReceiver, redis: Redis) -> None:
    request = web.ask()

    with httpx.Client(base_url=web.url, headers={"authorization": f"Bearer {TOKEN}"}) as client:
        redis.delete(keys.question(request["id"]))
        reply = client.get(f"/requests/{request['id']}", params={"wait": 5})

    assert reply.status_code == 404
