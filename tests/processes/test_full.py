"""Redis full: processes wait and go on, and one callback URL takes no room from what is signed."""

import os
import uuid
from collections import Counter
from collections.abc import Iterator

import pytest
from redis.exceptions import RedisError

from tests.builders import payload
from tests.processes import proc
from tests.processes.stacks import LiveStack, key_of

EVENTS = 200


@pytest.fixture(scope="module")
def shared_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveStack]:
    with LiveStack(tmp_path_factory.mktemp("full"), {"HITL_HANDLERS": "tests.processes.full_handlers"}) as running:
        yield running


@pytest.fixture
def stack(shared_stack: LiveStack) -> Iterator[LiveStack]:
    """The module's stack, with an empty Redis; its handlers fail until the gate is opened."""
    shared_stack.observer.close_gate()
    yield shared_stack
    shared_stack.observer.open_gate()
    dead = [shared_stack.kill(name) for name in ("horse", "worker")]
    proc.until(lambda: not proc.living(dead), 10.0, "the drain and its worker are dead")
    shared_stack.redis.config_set("maxmemory", 0)
    shared_stack.redis.flushall()
    os.truncate(shared_stack.observer.path, 0)


def used(stack: LiveStack) -> int:
    return int(stack.redis.info("memory")["used_memory"])


def answer(size: int = 3_000) -> bytes:
    return payload(request_id=uuid.uuid4().hex, response="Approve", pad="x" * size)


def handled(stack: LiveStack) -> Counter[str]:
    return Counter(one.event for one in stack.observer.happenings() if one.what == "end")


def test_failing_handlers_do_not_keep_redis_full(stack: LiveStack) -> None:
    stack.redis.config_set("maxmemory", used(stack) + (12 << 20))
    taken = [event for event in (_posted(stack) for _ in range(EVENTS)) if event]
    stack.pause(5.0)  # the handlers fail, again and again
    limit = int(used(stack) / 1.05)
    stack.redis.config_set("maxmemory", limit)

    stack.wait(lambda: used(stack) < 0.9 * limit, 15.0, "tracebacks are dropped")
    stack.observer.open_gate()

    stack.wait(lambda: len(handled(stack)) == len(taken), 60.0, "everything is handled")
    stack.wait_until_settled(20.0)
    assert handled(stack) == Counter(taken)
    assert used(stack) < limit


def test_restarts_while_redis_is_full_lose_nothing(stack: LiveStack) -> None:
    taken = [event for event in (_posted(stack) for _ in range(EVENTS)) if event]
    stack.redis.setrange("ballast", 20 << 20, "end")
    limit = int(used(stack) / 1.3)
    stack.redis.config_set("maxmemory", limit)
    stack.wait(lambda: stack.health("ready") == 503, 5.0, "not ready")

    stack.kill("worker")
    stack.pause(3.0)
    stack.kill("server")
    stack.wait(lambda: _limited(stack, limit), 10.0, "the server is back, and full")
    children = [stack.pid(name) for name in ("web", "worker", "clock")]
    stack.pause(8.0)
    assert stack.post(answer()).status_code == 503
    assert children == [stack.pid(name) for name in ("web", "worker", "clock")]

    stack.redis.delete("ballast")
    stack.observer.open_gate()
    stack.wait(lambda: len(handled(stack)) == len(taken), 60.0, "everything is handled")
    stack.wait_until_settled(20.0)
    assert handled(stack) == Counter(taken)
    assert children == [stack.pid(name) for name in ("web", "worker", "clock")]
    assert used(stack) < limit


def _limited(stack: LiveStack, limit: int) -> bool:
    try:
        return bool(stack.redis.config_set("maxmemory", limit))
    except RedisError:
        return False


def _posted(stack: LiveStack) -> str | None:
    body = answer()
    return key_of(body) if stack.post(body).status_code == 202 else None


def test_a_leaked_callback_url_takes_no_room_from_what_is_signed(stack: LiveStack) -> None:
    stack.observer.open_gate()
    stack.redis.config_set("maxmemory", used(stack) + (40 << 20))
    stack.pause(1.5)
    leaked = stack.callback_path()

    flood = Counter(stack.post_to(leaked, answer(900_000)).status_code for _ in range(50))
    noise = Counter(stack.post_to(leaked, b'["%d"]' % number + b" " * 900_000).status_code for number in range(50))

    assert (flood[202], flood[503]) == (10, 40)  # eight MiB a day, then HITL.sh is told to come again
    assert noise == {202: 50}  # unreadable, over its quota: only the fact is kept
    event = stack.send(answer())
    stack.wait_for(event, "forward")


def test_many_leaked_urls_stop_before_what_is_signed(stack: LiveStack) -> None:
    stack.observer.open_gate()
    stack.redis.config_set("maxmemory", used(stack) + (20 << 20))
    stack.pause(1.5)

    flood = Counter(stack.post_to(stack.callback_path(), answer(900_000)).status_code for _ in range(50))

    assert flood[503] > 0
    stack.pause(2.0)  # the web process measures again
    late = [stack.post_to(stack.callback_path(), answer(900_000)).status_code for _ in range(10)]
    assert late[-1] == 503
    event = stack.send(answer())
    stack.wait_for(event, "forward")
