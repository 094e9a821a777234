"""Redis unavailable, slow, read-only or full: HITL.sh is asked to retry, and everything recovers by itself."""

import os
import signal
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import pytest

from hitlsh.signatures import headers
from service.web.app import WEBHOOKS
from tests.builders import payload
from tests.processes import proc
from tests.processes.sender import Posting, Sender
from tests.processes.stacks import SECRET, LiveStack, key_of

#: Seconds in which the door must have given up on a Redis that does not answer.
DOOR_SECONDS = 2.6
#: Seconds without Redis: longer than the lease of the workers, who cannot renew it meanwhile.
AWAY = 10.0
#: Seconds in which all is well again once Redis is.
RECOVERED = 5.0


def answer(response: str) -> bytes:
    return payload(request_id=uuid.uuid4().hex, response=response)


def health(stack: LiveStack) -> tuple[int, int]:
    return stack.health("live"), stack.health("ready")


def held_event(stack: LiveStack) -> str:
    """An event whose handler runs until the gate is opened."""
    event = stack.send(answer("Hold"))
    stack.wait_for(event, "hold", "begin")
    return event


def see_that_it_recovers(stack: LiveStack) -> None:
    stack.wait(lambda: health(stack) == (200, 200), RECOVERED, "ready again")
    event = stack.send(answer("Approve"))
    stack.wait_for(event, "quick")


def see_that_it_was_settled_once(stack: LiveStack, event: str) -> None:
    stack.wait_for(event, "hold")
    stack.wait_until_settled()
    effect = stack.effect(event, "hold")
    assert (effect.state, effect.attempts, effect.crashes) == ("done", 1, 0)
    assert stack.observer.told(event, "begin")["hold"] == 1


def test_a_delivery_while_redis_is_away_is_refused_and_stored_when_repeated(stack: LiveStack) -> None:
    bodies = [answer("Approve") for _ in range(20)]
    sender, worker = Sender(), stack.pid("worker")
    stack.server.kill()
    ends = time.monotonic() + AWAY
    try:
        proc.until(lambda: health(stack) == (200, 503), 3.0, "live, not ready")
        reply = stack.post(bodies[0])
        time.sleep(ends - time.monotonic() - 3.0)
        sender.send([Posting(stack.url + WEBHOOKS, body, headers(SECRET, body)) for body in bodies])
        time.sleep(ends - time.monotonic())

        assert (reply.status_code, reply.content) == (503, b"")
        assert int(reply.headers["retry-after"]) > 0
        assert sender.answers.keys() == {503}
        see_that_it_recovers(stack)
        stack.wait(lambda: sender.finished, RECOVERED, "all are kept")
        assert set(sender.answers) <= {200, 202, 503}
        for body in bodies:
            stack.wait_for(key_of(body), "quick")
        assert stack.pid("worker") == worker, "an idle worker survives"
    finally:
        sender.close()


def test_a_redis_that_does_not_answer_is_not_waited_for(stack: LiveStack) -> None:
    with stopped(stack):
        started = time.monotonic()
        reply = stack.post(answer("Approve"))
        seconds = time.monotonic() - started

        assert reply.status_code == 503
        assert seconds < DOOR_SECONDS
        proc.until(lambda: health(stack) == (200, 503), 3.0, "live, not ready")

    see_that_it_recovers(stack)


@pytest.mark.parametrize("trouble", ["read-only", "full"])
def test_a_redis_that_takes_no_writes_is_waited_out(stack: LiveStack, trouble: str) -> None:
    children = [stack.pid(name) for name in ("web", "worker", "clock")]
    event = held_event(stack)

    with TROUBLES[trouble](stack):
        proc.until(lambda: health(stack) == (200, 503), 5.0, "live, not ready")
        reply = stack.post(answer("Approve"))
        stack.observer.open_gate()
        stack.pause(1.0)

        assert reply.status_code == 503
        assert int(reply.headers["retry-after"]) > 0

    see_that_it_recovers(stack)
    see_that_it_was_settled_once(stack, event)
    assert children == [stack.pid(name) for name in ("web", "worker", "clock")]


def test_workers_finish_what_is_there_when_redis_is_nearly_full(stack: LiveStack) -> None:
    event = held_event(stack)
    with nearly_full(stack):
        proc.until(lambda: health(stack) == (200, 503), 5.0, "live, not ready")

        stack.observer.open_gate()

        see_that_it_was_settled_once(stack, event)
        assert stack.post(answer("Approve")).status_code == 503

    see_that_it_recovers(stack)


def test_a_busy_worker_survives_ten_seconds_without_redis(stack: LiveStack) -> None:
    event = held_event(stack)
    workers = [stack.pid("worker"), stack.pid("horse")]

    stack.server.kill()
    time.sleep(AWAY / 2)
    stack.observer.open_gate()
    time.sleep(AWAY / 2)

    see_that_it_recovers(stack)
    see_that_it_was_settled_once(stack, event)
    assert workers == [stack.pid("worker"), stack.pid("horse")]


@contextmanager
def stopped(stack: LiveStack) -> Iterator[None]:
    os.kill(stack.server.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(stack.server.pid, signal.SIGCONT)


@contextmanager
def read_only(stack: LiveStack) -> Iterator[None]:
    """Make the server read-only, like a primary that was demoted in a failover."""
    stack.redis.replicaof("127.0.0.1", "1")
    try:
        yield
    finally:
        stack.redis.replicaof("NO", "ONE")


@contextmanager
def full(stack: LiveStack) -> Iterator[None]:
    stack.redis.config_set("maxmemory", "1mb")
    try:
        yield
    finally:
        stack.redis.config_set("maxmemory", 0)


@contextmanager
def nearly_full(stack: LiveStack) -> Iterator[None]:
    """Above the share at which the endpoints answer 503, below that at which writes fail."""
    stack.redis.setrange("ballast", 20 << 20, "end")
    used = int(stack.redis.info("memory")["used_memory"])
    stack.redis.config_set("maxmemory", int(used / 0.95))
    try:
        yield
    finally:
        stack.redis.config_set("maxmemory", 0)
        stack.redis.delete("ballast")


TROUBLES: dict[str, Callable[[LiveStack], AbstractContextManager[None]]] = {"read-only": read_only, "full": full}
