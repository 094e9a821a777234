"""Asking and waiting beside Redis: the calls of `AsyncHitl`, with the inbox in place of the web process."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from redis import Redis
from redis.asyncio import Redis as AsyncRedis

from hitl_sandbox.testing import Sandbox
from hitlsh import (
    Answered,
    AskUnknown,
    Cancelled,
    Defaulted,
    KeyConflict,
    NotAnswered,
    QuestionInvalid,
    StillOpen,
    single_select,
    whole_number,
)
from service.local.embedded_server import EmbeddedServer
from tests.workers.asking.asked import created, deliver
from workers.asking import InboxHitl
from workers.inbox import keys
from workers.redis_clients import drain_client
from workers.settings import Settings

SELECT = single_select("Approve", "Reject")
MINUTES = timedelta(minutes=10)
Ask = dict[str, Any]


@pytest.fixture
async def hitl(settings: Settings, async_redis: AsyncRedis, redis: Redis) -> AsyncIterator[InboxHitl]:
    async with InboxHitl(settings, async_redis) as running:
        yield running


@pytest.fixture
def usual(loops: dict[str, str]) -> Ask:
    return {"loop": loops["Payouts"], "answer": SELECT, "default": "Reject", "timeout": MINUTES}


async def until(holds: Callable[[], Any]) -> None:
    """Of what happens in Redis or at HITL.sh there is nothing to await."""
    async with asyncio.timeout(10):
        while not holds():  # noqa: ASYNC110 - see above
            await asyncio.sleep(0.01)


async def bound_request(sandbox: Sandbox, redis: Redis) -> str:
    """The id of the only request, once it belongs to its question."""
    await until(lambda: created(sandbox))
    request_id = str(created(sandbox)[-1]["id"])
    await until(lambda: redis.hexists(keys.request(request_id), "question"))
    return request_id


def subscriptions(redis: Redis) -> int:
    return int(redis.pubsub_numsub(keys.QUESTION_CHANGES)[0][1])


async def test_asking_waits_for_the_answer_and_knows_its_type(
    hitl: InboxHitl, async_redis: AsyncRedis, usual: Ask, sandbox: Sandbox, redis: Redis
) -> None:
    asking = asyncio.create_task(
        hitl.ask("Discount?", **usual | {"answer": whole_number(1, 5), "default": 1, "on_timeout": "raise"})
    )
    request_id = await bound_request(sandbox, redis)

    await deliver(async_redis, request_id, response=4)

    answered = await asyncio.wait_for(asking, 10)
    assert isinstance(answered, Answered)
    assert (answered.response, type(answered.response)) == (4, int)


async def test_an_answer_before_the_wait_is_returned_to_every_waiter(
    hitl: InboxHitl, async_redis: AsyncRedis, usual: Ask
) -> None:
    handle = await hitl.submit("Refund?", key="refund-1", **usual)
    await deliver(async_redis, str(handle.request.request_id))

    waited = await asyncio.gather(*(hitl.wait(handle, timeout=timedelta(seconds=5)) for _ in range(20)))

    assert {outcome.response for outcome in waited if isinstance(outcome, Answered)} == {"Approve"}
    assert await hitl.list_open() == []


async def test_many_waiters_share_one_subscription(
    hitl: InboxHitl, async_redis: AsyncRedis, usual: Ask, redis: Redis
) -> None:
    handles = [await hitl.submit(f"Refund {number}?", **usual) for number in range(3)]
    waits = [asyncio.create_task(hitl.wait(handle.id)) for handle in handles for _ in range(50)]
    await until(lambda: subscriptions(redis))
    count = subscriptions(redis)

    for handle in handles:
        await deliver(async_redis, str(handle.request.request_id), response="Reject")

    outcomes = await asyncio.wait_for(asyncio.gather(*waits), 10)
    assert {outcome.response for outcome in outcomes} == {"Reject"}
    assert count == 1


@pytest.mark.slow
async def test_a_message_that_was_lost_costs_a_recheck(
    settings: Settings, async_redis: AsyncRedis, usual: Ask, redis: Redis
) -> None:
    async with InboxHitl(settings, async_redis, recheck_seconds=0.2) as hitl:
        handle = await hitl.submit("Refund?", **usual)
        waiting = asyncio.create_task(hitl.wait(handle, on_timeout="raise"))
        await until(lambda: subscriptions(redis))
        redis.client_kill_filter(_type="pubsub")
        await deliver(async_redis, str(handle.request.request_id))

        assert (await asyncio.wait_for(waiting, 10)).response == "Approve"


@pytest.mark.slow
async def test_a_wait_goes_on_after_redis_was_restarted(settings: Settings, usual: Ask, tmp_path: Path) -> None:
    with EmbeddedServer(tmp_path / "own") as own:
        redis = drain_client(own.url)
        async with InboxHitl(settings, redis) as hitl:
            handle = await hitl.submit("Refund?", **usual)
            waiting = asyncio.create_task(hitl.wait(handle, on_timeout="raise"))
            await asyncio.sleep(0.1)
            await asyncio.to_thread(own.kill)
            await asyncio.to_thread(own.start)
            await deliver(redis, str(handle.request.request_id))

            assert (await asyncio.wait_for(waiting, 20)).response == "Approve"
        await redis.aclose()


async def test_a_wait_demands_trust_and_ends_at_its_deadline(
    hitl: InboxHitl, async_redis: AsyncRedis, usual: Ask, redis: Redis
) -> None:
    handle = await hitl.submit("Refund?", **usual)
    await deliver(async_redis, str(handle.request.request_id))

    began = time.monotonic()
    with pytest.raises(StillOpen):
        await hitl.wait(handle, trust="confirmed", timeout=timedelta(seconds=0.2))

    assert 0.2 <= time.monotonic() - began < 5
    assert redis.zscore(keys.CHECKS, str(handle.request.request_id)) is not None


async def test_a_timeout_is_an_outcome_of_its_own(hitl: InboxHitl, async_redis: AsyncRedis, usual: Ask) -> None:
    handle = await hitl.submit("Refund?", **usual)
    await deliver(async_redis, str(handle.request.request_id), "timeout")

    defaulted = await hitl.wait(handle, on_timeout="default")

    assert isinstance(defaulted, Defaulted)
    assert defaulted.response == "Reject"
    with pytest.raises(NotAnswered):
        await hitl.wait(handle, on_timeout="raise")


async def test_errors_are_those_of_the_client_of_a_receiver(hitl: InboxHitl, usual: Ask) -> None:
    await hitl.submit("Refund?", key="k", **usual)

    with pytest.raises(KeyConflict):
        await hitl.submit("Refund more?", key="k", **usual)
    with pytest.raises(QuestionInvalid):
        await hitl.submit("", **usual)
    for call in (hitl.get, hitl.cancel, hitl.wait):
        with pytest.raises(AskUnknown):
            await call("ask_nothing")


@pytest.mark.parametrize("on_cancel", ["leave", "cancel"])
async def test_a_task_that_is_cancelled_cancels_the_request_on_demand(
    hitl: InboxHitl, usual: Ask, sandbox: Sandbox, redis: Redis, on_cancel: Any
) -> None:
    asking = asyncio.create_task(hitl.ask("Refund?", on_cancel=on_cancel, **usual))
    await bound_request(sandbox, redis)
    await until(lambda: hitl._listener._events)

    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking

    assert created(sandbox)[0]["status"] == ("cancelled" if on_cancel == "cancel" else "pending")


async def test_a_request_is_cancelled(hitl: InboxHitl, usual: Ask) -> None:
    handle = await hitl.submit("Refund?", **usual)

    cancelled = await hitl.cancel(handle)

    assert isinstance(cancelled.outcome, Cancelled)
    assert (await hitl.get(handle)).status == "ended"


async def test_a_webhook_that_never_comes_makes_a_check_due_earlier(
    hitl: InboxHitl, usual: Ask, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    handle = await hitl.submit("Refund?", **usual)
    request_id = str(handle.request.request_id)
    planned = redis.zscore(keys.CHECKS, request_id)
    now: Callable[[], float] = time.time
    monkeypatch.setattr("workers.asking.inbox_hitl.time.time", lambda: now() + passed)
    passed = 0.0
    waiting = asyncio.create_task(hitl.wait(handle, timeout=timedelta(seconds=20)))
    await until(lambda: hitl._listener._events)

    passed = 301.0
    for event in hitl._listener._events[handle.id]:
        event.set()
    assert planned is not None
    await until(lambda: (redis.zscore(keys.CHECKS, request_id) or planned) < planned)

    waiting.cancel()
