"""The inspector of refused bodies: how often it parses one, and how often it calls Redis."""

import asyncio
from collections.abc import Callable, Collection

import pytest
from redis.exceptions import ConnectionError as RedisGone

from service.web.refused_deliveries import BURST, Inspector
from tests.builders import payload

BODY = payload()


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class ExpediteCalls:
    """Takes the place of `Inbox.refused`; returns when `released` is set."""

    def __init__(self, error: Exception | None = None) -> None:
        self.calls: list[set[str]] = []
        self.released = asyncio.Event()
        self._error = error

    async def __call__(self, request_ids: Collection[str]) -> int:
        self.calls.append(set(request_ids))
        await self.released.wait()
        if self._error is not None:
            raise self._error
        return 0


@pytest.fixture
def counted() -> dict[str, int]:
    return {}


@pytest.fixture
def count(counted: dict[str, int]) -> Callable[[str, int], None]:
    return lambda reason, times: counted.update({reason: counted.get(reason, 0) + times})


async def test_there_are_ten_inspections_a_second(count: Callable[[str, int], None]) -> None:
    clock = Clock()
    inspector = Inspector(ExpediteCalls(), count=count, clock=clock)

    at_once = [inspector.may_inspect() for _ in range(12)]
    clock.now += 0.5
    later = [inspector.may_inspect() for _ in range(12)]

    assert (sum(at_once), sum(later)) == (10, 5)


async def test_a_slow_body_uses_up_several_inspections(count: Callable[[str, int], None]) -> None:
    clock = Clock()
    inspector = Inspector(ExpediteCalls(), count=count, clock=clock)
    slow = b'{"event":"a.b","half":"\\ud800","data":[' + b",".join([b"[" * 58 + b"]" * 58] * 270) + b"]}"

    taken = 0
    while inspector.may_inspect():
        inspector.inspect(slow)
        taken += 1

    assert taken < BURST / 2


async def test_requests_that_arrive_during_a_call_are_in_the_next_call(count: Callable[[str, int], None]) -> None:
    expedite = ExpediteCalls()
    inspector = Inspector(expedite, count=count)

    for request_id in ("a", "b", "c", "b"):
        inspector.inspect(payload(request_id))
        await asyncio.sleep(0)
    before = list(expedite.calls)
    expedite.released.set()
    await inspector.close()

    assert before == [{"a"}]
    assert expedite.calls == [{"a"}, {"b", "c"}]


async def test_nothing_is_inspected_after_closing(count: Callable[[str, int], None]) -> None:
    expedite = ExpediteCalls()
    inspector = Inspector(expedite, count=count)
    await inspector.close()

    inspector.inspect(BODY)

    assert not inspector.may_inspect()
    assert expedite.calls == []


async def test_an_error_of_redis_is_counted_and_not_retried(
    count: Callable[[str, int], None], counted: dict[str, int]
) -> None:
    expedite = ExpediteCalls(RedisGone("gone"))
    expedite.released.set()
    inspector = Inspector(expedite, count=count)

    inspector.inspect(BODY)
    await inspector.close()

    assert counted == {"refused_inspected": 1, "refused_not_expedited": 1}
