"""The hub with a real inbox, and times that tests can wait for."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis as AsyncRedis

from hitl_sandbox.testing import Sandbox
from hitlsh.api.questions.new_question import NewQuestion
from hitlsh.asking.asked_request import AskedRequest
from service.local.embedded_server import EmbeddedServer
from service.web.requests.problems import RequestProblem
from service.web.requests.waiting_hub import WaitingHub
from tests.service.web.requests.conftest import API_KEY
from workers.asking.asking_service import AskingService
from workers.inbox import keys
from workers.inbox.questions.question_waits import QuestionWaits
from workers.redis_clients import receiver_client
from workers.settings import Settings


@pytest.fixture
async def service(sandbox: Sandbox, server: EmbeddedServer, async_redis: AsyncRedis) -> AsyncIterator[AskingService]:
    settings = Settings(
        redis_url=server.url,
        api_key=API_KEY,
        base_url=sandbox.base_url,
        callback_secrets=("callback_key_for_tests",),
        public_url="http://127.0.0.1:1",
    )
    redis = receiver_client(server.url)
    async with AskingService(settings, redis) as running:
        yield running
    await redis.aclose()


async def ask(service: AskingService, text: str = "Refund?") -> AskedRequest:
    question = NewQuestion(
        text=text, loop="Payouts", response_type="boolean", default_response=False, timeout_seconds=600
    )
    return (await service.submit(question)).request


async def test_a_lost_message_costs_no_more_than_a_recheck(service: AskingService, async_redis: AsyncRedis) -> None:
    request = await ask(service)
    hub = WaitingHub(service, QuestionWaits(async_redis), recheck_seconds=0.3)
    hub.start()
    with hub.watching(request.id) as watch:
        await watch.read()
        # A change without a message, as if it had been lost.
        await async_redis.hincrby(keys.question(request.id), "version", 1)

        newer = await watch.next_version(5.0)
    await hub.close()

    assert newer is not None
    assert newer.version == request.version + 1


async def test_a_message_wakes_at_once(service: AskingService, async_redis: AsyncRedis) -> None:
    request = await ask(service)
    hub = WaitingHub(service, QuestionWaits(async_redis), recheck_seconds=60.0)
    hub.start()
    with hub.watching(request.id) as watch:
        await watch.read()
        waiting = asyncio.create_task(watch.next_version(10.0))
        await asyncio.sleep(0.2)
        await service.cancel(request.id)

        newer = await asyncio.wait_for(waiting, 5.0)
    await hub.close()

    assert newer is not None
    assert newer.status == "ended"


async def test_a_version_that_came_between_two_waits_is_not_missed(
    service: AskingService, async_redis: AsyncRedis
) -> None:
    request = await ask(service)
    hub = WaitingHub(service, QuestionWaits(async_redis), recheck_seconds=60.0)
    hub.start()
    with hub.watching(request.id) as watch, hub.watching(request.id) as other:
        await watch.read()
        await other.read()
        waiting = asyncio.create_task(other.next_version(10.0))
        await asyncio.sleep(0.2)
        await service.cancel(request.id)
        await waiting  # the hub has read the new version; `watch` did not wait then

        newer = await watch.next_version(10.0)
    await hub.close()

    assert newer is not None
    assert newer.status == "ended"


@pytest.mark.slow
async def test_a_waited_request_is_checked_sooner_where_its_webhook_may_be_lost(
    service: AskingService, async_redis: AsyncRedis
) -> None:
    request = await ask(service)
    idle = await ask(service, "Nobody waits for this one")
    assert request.asked_at is not None
    now = request.asked_at.timestamp()
    hub = WaitingHub(service, QuestionWaits(async_redis), recheck_seconds=0.1, clock=lambda: now)
    hub.start()
    with hub.watching(request.id) as watch:
        await watch.read()
        scheduled = await _check_time(async_redis, request)
        await asyncio.sleep(0.3)
        unchanged = await _check_time(async_redis, request)
        now += 301
        await asyncio.sleep(0.3)
        expedited = await _check_time(async_redis, request)
    await hub.close()

    assert unchanged == scheduled
    assert expedited < scheduled - 200
    assert await _check_time(async_redis, idle) > expedited + 200


async def test_a_hub_closes_at_whatever_moment(service: AskingService, async_redis: AsyncRedis) -> None:
    async def run(seconds: float) -> None:
        hub = WaitingHub(service, QuestionWaits(async_redis), recheck_seconds=0.01)
        hub.start()
        await asyncio.sleep(seconds)
        await hub.close()

    async with asyncio.timeout(10):
        await asyncio.gather(*(run(number / 500) for number in range(30)))


async def _check_time(redis: AsyncRedis, request: AskedRequest) -> float:
    assert request.request_id is not None
    score = await redis.zscore(f"{keys.PREFIX}checks", request.request_id)
    assert score is not None
    return float(score) / 1000


async def test_what_was_checked_a_moment_ago_is_not_checked_again(
    service: AskingService, async_redis: AsyncRedis
) -> None:
    request = await ask(service)
    assert request.request_id is not None
    seconds, _ = await async_redis.time()
    await async_redis.hset(keys.request(request.request_id), "checked_at", str(seconds - 10))
    waits = QuestionWaits(async_redis)

    rested = await waits.expedite_checks([request.request_id])
    await async_redis.hset(keys.request(request.request_id), "checked_at", str(seconds - 120))

    assert (rested, await waits.expedite_checks([request.request_id])) == (0, 1)
    assert await waits.expedite_checks(["unknown"]) == 0


async def test_waits_beyond_the_most_are_refused(service: AskingService, async_redis: AsyncRedis) -> None:
    hub = WaitingHub(service, QuestionWaits(async_redis), max_waits=1)

    with hub.watching("ask_1"), pytest.raises(RequestProblem) as refused, hub.watching("ask_1"):
        pass
    with hub.watching("ask_2"):
        assert len(hub) == 1
    await hub.close()

    assert (refused.value.problem.status, len(hub)) == (503, 0)


async def test_closing_ends_all_waits_and_lets_no_new_one_begin(
    service: AskingService, async_redis: AsyncRedis
) -> None:
    request = await ask(service)
    hub = WaitingHub(service, QuestionWaits(async_redis))
    hub.start()
    with hub.watching(request.id) as watch:
        await watch.read()
        waiting = asyncio.create_task(watch.next_version(30.0))
        await asyncio.sleep(0.1)
        hub.end_waits()

        assert await asyncio.wait_for(waiting, 1.0) is None
        assert await asyncio.wait_for(watch.next_version(30.0), 1.0) is None
        assert await watch.read() == request
    await hub.close()


@pytest.mark.slow
async def test_a_record_that_cannot_be_read_keeps_no_other_from_its_waiters(
    service: AskingService, async_redis: AsyncRedis
) -> None:
    request, broken = await ask(service), await ask(service, "Of another version?")
    hub = WaitingHub(service, QuestionWaits(async_redis), recheck_seconds=0.2)
    hub.start()
    with hub.watching(request.id) as watch, hub.watching(broken.id) as other:
        await watch.read()
        await other.read()
        await async_redis.hset(keys.question(broken.id), "record", "{}")
        await async_redis.hincrby(keys.question(broken.id), "version", 1)
        assert await other.next_version(0.5) is None

        with pytest.raises(RequestProblem) as failed:
            await other.read()
        waiting = asyncio.create_task(watch.next_version(10.0))
        await service.cancel(request.id)
        newer = await asyncio.wait_for(waiting, 5.0)
    await hub.close()

    assert failed.value.problem.status == 500
    assert newer is not None
    assert newer.status == "ended"
