"""No request takes the calls of the others, be it over, made up, or one that HITL.sh fails to show."""

import asyncio
import time
from typing import Any

import msgspec
import pytest
from redis import Redis
from redis.asyncio import Redis as AsyncRedis

from hitlsh.api import Client
from hitlsh.callbacks import CallbackSigner
from sandbox.testing import Sandbox
from tests.builders import claimed, delivery, payload
from tests.workers.sweeps.asked import CALLBACK_KEY, HOUR, ask, learn, sweep
from tests.workers.sweeps.test_proving import Desk
from workers.inbox import history, keys
from workers.inbox.inbox import Callback
from workers.inbox.operations import discard
from workers.settings import Settings
from workers.sweeps import outlook

UNKNOWN = "66c0ffee00000000000000a1"


@pytest.fixture
def desk(redis: Redis, async_redis: AsyncRedis) -> Desk:
    return Desk(redis, async_redis)


def due(redis: Redis) -> list[Any]:
    return redis.zrange(keys.CHECKS, "-inf", time.time() * 1000, byscore=True)


async def test_two_requests_asked_with_one_callback_url_are_both_handled(
    desk: Desk, redis: Redis, sandbox: Sandbox, api: Client, loop: str, settings: Settings
) -> None:
    requests = [ask(api, redis, loop, known=False) for _ in range(2)]
    for request in requests:
        learn(redis, request, Callback(id="shared", state={"order": 7}))
        await asyncio.to_thread(sandbox.answer, request, True)
    await asyncio.to_thread(sandbox.advance, 2 * HOUR)

    await desk.post(requests[0], True, callback_id="shared", state={"order": 7})
    await asyncio.to_thread(sweep, settings, redis)
    await desk.work()

    assert sorted(decision.request_id for decision in desk.decisions) == sorted(requests)
    assert redis.zcard(keys.CHECKS) == redis.zcard(keys.OVERRULED) == 0


async def test_what_was_discarded_while_it_waited_for_proof_is_not_asked_for(
    desk: Desk, redis: Redis, sandbox: Sandbox, api: Client, loop: str, settings: Settings
) -> None:
    request = ask(api, redis, loop)
    await desk.post(request, True)

    discard(redis, [f"pay|request.completed:{request}"], reason="forged", retention=60)
    account = await asyncio.to_thread(sweep, settings, redis)

    assert (account.calls, due(redis)) == (0, [])


@pytest.mark.parametrize("asked", [True, False])
async def test_what_nobody_waits_for_any_more_is_looked_at_once_at_the_most(
    desk: Desk, redis: Redis, sandbox: Sandbox, api: Client, loop: str, settings: Settings, *, asked: bool
) -> None:
    request = ask(api, redis, loop) if asked else UNKNOWN
    await desk.post(request, True)
    redis.delete(keys.unconfirmed(request))

    account = await asyncio.to_thread(sweep, settings, redis)

    assert account.calls > 0
    assert due(redis) == []


async def test_a_forged_request_ends_as_lost_and_is_forgotten(
    desk: Desk, redis: Redis, sandbox: Sandbox, api: Client, loop: str, settings: Settings
) -> None:
    await desk.post(UNKNOWN, True)

    for _ in range(3):
        redis.hdel(keys.request(UNKNOWN), "hold")
        await asyncio.to_thread(sweep, settings, redis)

    assert history.request(redis, UNKNOWN).status == "lost"
    assert redis.ttl(keys.request(UNKNOWN)) > 0


async def test_a_request_that_says_it_is_made_in_the_future_is_checked_all_the_same(desk: Desk, redis: Redis) -> None:
    body = msgspec.json.decode(claimed())
    body["data"]["request"]["created_at"] = "2099-01-01T00:00:00Z"

    await desk.inbox.accept([delivery(msgspec.json.encode(body))])

    assert redis.zscore(keys.CHECKS, UNKNOWN) < (time.time() + HOUR) * 1000
    assert redis.zscore(keys.ASKED, UNKNOWN) < time.time() + 1


def test_discovery_that_was_switched_off_asks_for_no_more_sweeps(
    redis: Redis, sandbox: Sandbox, settings: Settings, discovering: Settings
) -> None:
    sweep(discovering, redis)
    redis.zadd(keys.CHECKS, {"*": 1})

    sweep(settings, redis)

    assert due(redis) == []


@pytest.mark.parametrize("name", ["req_abc123", ".", "a/b"])
async def test_an_id_that_hitl_sh_never_gave_stops_no_sweep(
    desk: Desk, redis: Redis, sandbox: Sandbox, api: Client, loop: str, settings: Settings, name: str
) -> None:
    request = ask(api, redis, loop)
    await asyncio.to_thread(sandbox.answer, request, True)
    await asyncio.to_thread(sandbox.advance, 2 * HOUR)
    await desk.post(name, True, callback_id="leaked")

    account = await asyncio.to_thread(sweep, settings, redis)

    assert (account.found, account.trouble) == (1, None)


async def test_a_request_that_hitl_sh_fails_to_show_keeps_no_other_from_being_proven(
    desk: Desk, redis: Redis, sandbox: Sandbox, api: Client, loop: str, settings: Settings
) -> None:
    signer = CallbackSigner([CALLBACK_KEY])
    tokens = [signer.mint(number) for number in range(2)]
    urls = [signer.url("http://127.0.0.1:9", token) for token in tokens]
    broken, whole = (ask(api, redis, loop, known=False, callback_url=url) for url in urls)
    for request, token in zip((broken, whole), tokens, strict=True):
        await asyncio.to_thread(sandbox.answer, request, True)
        await desk.post(request, True, callback_id=signer.read(token).id)
    await asyncio.to_thread(sandbox.fault, "error", times=None, match={"path": f"*{broken}*"})

    accounts = [await asyncio.to_thread(sweep, settings, redis) for _ in range(2)]
    await desk.work()

    assert [decision.request_id for decision in desk.decisions] == [whole]
    assert (accounts[0].trouble, accounts[1].calls) == (None, 0)
    assert redis.zscore(keys.CHECKS, broken) > (time.time() + 600) * 1000


async def test_a_flood_of_made_up_requests_leaves_calls_for_the_others(
    desk: Desk, redis: Redis, sandbox: Sandbox, api: Client, loop: str, settings: Settings
) -> None:
    request = ask(api, redis, loop)
    await asyncio.to_thread(sandbox.answer, request, True)
    await asyncio.to_thread(sandbox.advance, 2 * HOUR)
    await desk.inbox.accept([delivery(payload(f"{number:024x}"), callback_id="leaked") for number in range(99)])
    await desk.work()

    account = await asyncio.to_thread(sweep, settings, redis)

    assert (account.found, account.trouble) == (1, None)
    assert outlook.look(settings, redis).calls > 0


def test_an_hour_that_is_said_to_end_in_years_is_not_waited_for(
    redis: Redis, sandbox: Sandbox, api: Client, loop: str, settings: Settings
) -> None:
    ask(api, redis, loop)
    sandbox.advance(2 * HOUR)
    sandbox.fault("error", times=None, status=429)
    sandbox.advance(10 * 365 * 24 * HOUR)

    account = sweep(settings, redis)

    assert account.trouble == "rate_limited"
    assert float(redis.hget(keys.SWEEP, "rests_until")) <= time.time() + HOUR
