"""Redis full: processes wait and go on, and one callback URL takes no room from what is signed."""

import logging
import uuid
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.builders import payload
from tests.processes.stacks import LiveStack, key_of
from workers.inbox import keys

logger = logging.getLogger(__name__)

EVENTS = 400


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[LiveStack]:
    with LiveStack(tmp_path, {"HITL_HANDLERS": "tests.processes.full_handlers"}) as running:
        yield running


def used(stack: LiveStack) -> int:
    return int(stack.redis.info("memory")["used_memory"])


def answer(size: int = 3_000) -> bytes:
    return payload(request_id=uuid.uuid4().hex, response="Approve", pad="x" * size)


def handled(stack: LiveStack) -> Counter[str]:
    return Counter(one.event for one in stack.observer.happenings() if one.what == "end")


def test_a_full_redis_is_waited_out_and_everything_is_handled_once(stack: LiveStack) -> None:
    limit = used(stack) + (8 << 20)
    stack.redis.config_set("maxmemory", limit)
    stack.pause(2.5)  # the reserve is made
    taken = [event for event in (_posted(stack) for _ in range(EVENTS)) if event]
    stack.pause(5.0)  # the handlers fail, again and again
    peak = used(stack)
    limit = int(used(stack) / 1.05)
    stack.redis.config_set("maxmemory", limit)
    workers = stack.pid("worker")
    stack.pause(4.0)
    assert stack.post(answer()).status_code == 503
    assert stack.pid("worker") == workers

    stack.kill("worker")
    stack.pause(3.0)
    stack.kill("server")
    stack.pause(3.0)
    stack.redis.config_set("maxmemory", limit)
    workers = stack.pid("worker")
    stack.pause(5.0)
    assert stack.pid("worker") == workers
    stack.observer.open_gate()
    stack.wait(lambda: len(handled(stack)) == len(taken), 60.0, "everything is handled")
    stack.wait_until_settled(20.0)

    logger.info("peak=%d limit=%d now=%d taken=%d", peak, limit, used(stack), len(taken))
    assert handled(stack) == Counter(taken)
    assert used(stack) < limit


def _posted(stack: LiveStack) -> str | None:
    body = answer()
    return key_of(body) if stack.post(body).status_code == 202 else None


def test_a_leaked_callback_url_takes_no_room_from_what_is_signed(stack: LiveStack) -> None:
    stack.observer.open_gate()
    stack.redis.config_set("maxmemory", used(stack) + (40 << 20))
    stack.pause(1.5)
    leaked = stack.callback_path()

    flood = Counter(stack.post_to(leaked, answer(900_000)).status_code for _ in range(100))
    noise = Counter(stack.post_to(leaked, b'["%d"]' % number + b" " * 900_000).status_code for number in range(50))

    assert set(flood) | set(noise) <= {200, 202}
    assert stack.redis.zcard(keys.EVENTS) <= 40
    event = stack.send(answer())
    stack.wait_for(event, "forward")


def test_many_leaked_urls_stop_before_what_is_signed(stack: LiveStack) -> None:
    stack.observer.open_gate()
    stack.redis.config_set("maxmemory", used(stack) + (40 << 20))
    stack.pause(1.5)

    flood = Counter(stack.post_to(stack.callback_path(), answer(900_000)).status_code for _ in range(100))

    assert flood[503] > 0
    event = stack.send(answer())
    stack.wait_for(event, "forward")
