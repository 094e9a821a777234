"""No request uses up the calls of others, even if it has ended, is forged, or is withheld by HITL.sh."""

import asyncio
import time
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from redis import Redis
from redis.asyncio import Redis as AsyncRedis

from hitl_sandbox.testing import Sandbox
from hitlsh.api import Client
from hitlsh.callbacks import CallbackSigner, CallbackState
from tests.builders import claimed, delivery, payload
from tests.workers.reconcile.asked import CALLBACK_KEY, HOUR, KEY, ask, reconcile, track
from tests.workers.reconcile.test_confirming import Desk
from workers.inbox import keys, request_records
from workers.inbox.budget.redis_budget import RedisBudget
from workers.inbox.operations.failures import discard
from workers.inbox.tracker import tracked_requests
from workers.reconcile import snapshot
from workers.settings import Settings

UNKNOWN = "66c0ffee00000000000000a1"


@pytest.fixture
def desk(redis: Redis, async_redis: AsyncRedis) -> Desk:
    return Desk(redis, async_redis)


def overdue_claim(request: str) -> bytes:
    """A claim of a request that, as it says, timed out an hour ago."""
    body = msgspec.json.decode(claimed(request))
    moment = datetime.fromtimestamp(time.time() - HOUR, UTC).isoformat()
    body["data"]["request"] |= {"created_at": moment, "timeout_at": moment}
    return msgspec.json.encode(body)


def due(redis: Redis) -> list[Any]:
    return redis.zrange(keys.CHECKS, "-inf", time.time() * 1000, byscore=True)


async def test_two_requests_asked_with_one_callback_url_are_both_handled(
    desk: Desk, redis: Redis, sandbox: Sandbox, api: Client, loop: str, settings: Settings
) -> None:
    requests = [ask(api, redis, loop, known=False) for _ in range(2)]
    for request in requests:
        track(redis, request, CallbackState(id="shared", state={"order": 7}))
        await asyncio.to_thread(sandbox.answer, request, True)
    await asyncio.to_thread(sandbox.advance, 2 * HOUR)

    await desk.post(requests[0], True, callback_id="shared", state={"order": 7})
    await asyncio.to_thread(reconcile, settings, redis)
    await desk.work()

    assert sorted(decision.request_id for decision in desk.decisions) == sorted(requests)
    assert redis.zcard(keys.CHECKS) == redis.zcard(keys.OVERRULED) == 0


async def test_what_was_discarded_while_it_waited_for_proof_is_not_asked_for(
    desk: Desk, redis: Redis, sandbox: Sandbox, api: Client, loop: str, settings: Settings
) -> None:
    request = ask(api, redis, loop)
    await desk.post(request, True)

    discard(redis, [f"pay|request.completed:{request}"], reason="forged", retention=60)
    report = await asyncio.to_thread(reconcile, settings, redis)

    assert (report.calls, due(redis)) == (0, [])


@pytest.mark.slow
@pytest.mark.parametrize("asked", [True, False])
async def test_a_request_without_waiting_effects_is_checked_once_at_most(
    desk: Desk, redis: Redis, sandbox: Sandbox, api: Client, loop: str, settings: Settings, *, asked: bool
) -> None:
    request = ask(api, redis, loop) if asked else UNKNOWN
    await desk.post(request, True)
    redis.delete(keys.unconfirmed(request))

    report = await asyncio.to_thread(reconcile, settings, redis)

    assert report.calls > 0
    assert due(redis) == []


async def test_a_forged_request_ends_as_lost_and_is_forgotten(
    desk: Desk, redis: Redis, sandbox: Sandbox, api: Client, loop: str, settings: Settings
) -> None:
    await desk.post(UNKNOWN, True)
    accounts = [await asyncio.to_thread(reconcile, settings, redis)]

    await desk.inbox.accept([delivery(claimed(UNKNOWN))])
    accounts.append(await asyncio.to_thread(reconcile, settings, redis))

    # One call, and one that tells a request that is gone from a key that may see nothing.
    assert ([report.calls for report in accounts], accounts[0].overruled) == ([2, 0], 1)
    assert request_records.read(redis, UNKNOWN).status != "completed"
    assert redis.ttl(keys.request(UNKNOWN)) > 0
    assert redis.zcard(keys.CHECKS) == redis.zcard(keys.LOST) == 0


async def test_a_request_that_says_it_is_made_in_the_future_is_checked_all_the_same(desk: Desk, redis: Redis) -> None:
    body = msgspec.json.decode(claimed())
    body["data"]["request"]["created_at"] = "2099-01-01T00:00:00Z"

    await desk.inbox.accept([delivery(msgspec.json.encode(body))])

    assert redis.zscore(keys.CHECKS, UNKNOWN) < (time.time() + HOUR) * 1000
    assert redis.zscore(keys.UNVERIFIED, UNKNOWN) < time.time() + 1


def test_discovery_that_was_switched_off_asks_for_no_more_runs(
    redis: Redis, sandbox: Sandbox, settings: Settings, discovering: Settings
) -> None:
    reconcile(discovering, redis)
    redis.zadd(keys.CHECKS, {"*": 1})

    reconcile(settings, redis)

    assert due(redis) == []


@pytest.mark.parametrize("name", ["req_abc123", ".", "a/b"])
async def test_an_id_that_hitl_sh_never_gave_stops_no_reconcile_run(
    desk: Desk, redis: Redis, sandbox: Sandbox, api: Client, loop: str, settings: Settings, name: str
) -> None:
    request = ask(api, redis, loop)
    await asyncio.to_thread(sandbox.answer, request, True)
    await asyncio.to_thread(sandbox.advance, 2 * HOUR)
    await desk.post(name, True, callback_id="leaked")

    report = await asyncio.to_thread(reconcile, settings, redis)

    assert (report.found, report.trouble) == (1, None)


@pytest.mark.slow
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

    accounts = [await asyncio.to_thread(reconcile, settings, redis) for _ in range(2)]
    await desk.work()

    assert [decision.request_id for decision in desk.decisions] == [whole]
    assert (accounts[0].trouble, accounts[1].calls) == (None, 0)
    assert redis.zscore(keys.CHECKS, broken) > (time.time() + 600) * 1000


@pytest.mark.slow
async def test_a_flood_of_made_up_requests_leaves_calls_for_the_others(
    desk: Desk, redis: Redis, sandbox: Sandbox, api: Client, loop: str, settings: Settings
) -> None:
    request = ask(api, redis, loop)
    await asyncio.to_thread(sandbox.answer, request, True)
    await asyncio.to_thread(sandbox.advance, 2 * HOUR)
    await desk.inbox.accept([delivery(payload(f"{number:024x}"), callback_id="leaked") for number in range(99)])
    await desk.work()

    report = await asyncio.to_thread(reconcile, settings, redis)

    assert (report.found, report.trouble) == (1, None)
    assert snapshot.take(settings, redis).calls > 0


@pytest.mark.slow
async def test_made_up_requests_cost_no_more_than_their_cap_and_wait_for_the_next_hour(
    desk: Desk, redis: Redis, sandbox: Sandbox, loop: str, settings: Settings
) -> None:
    await desk.inbox.accept([delivery(overdue_claim(f"{number:024x}"), callback_id="leaked") for number in range(150)])

    accounts = [await asyncio.to_thread(reconcile, settings, redis) for _ in range(3)]

    # A tenth of the thousand that the sandbox allows.
    assert sum(report.calls for report in accounts) == 100
    assert [report.trouble for report in accounts] == [None] * 3
    assert due(redis) == []
    assert snapshot.read_state(redis).silent_since is None


async def test_a_request_that_only_a_callback_url_speaks_of_moves_no_other_in_the_list(
    desk: Desk, redis: Redis, sandbox: Sandbox, api: Client, loop: str, settings: Settings
) -> None:
    request = ask(api, redis, loop)
    await desk.inbox.accept([delivery(claimed(f"{number:024x}"), callback_id="leaked") for number in range(99)])

    assert tracked_requests.read(redis, [request])[request].request.newer == 0


async def test_a_request_that_a_callback_url_told_of_counts_like_others_once_hitl_sh_shows_it(
    desk: Desk, redis: Redis, sandbox: Sandbox, api: Client, loop: str, settings: Settings
) -> None:
    request = ask(api, redis, loop, known=False)
    await desk.inbox.accept([delivery(overdue_claim(request))])
    assert tracked_requests.load(redis)[request].unverified

    await asyncio.to_thread(reconcile, settings, redis)

    assert not tracked_requests.load(redis)[request].unverified
    assert redis.zscore(keys.ASKED, request) is not None
    assert redis.zcard(keys.UNVERIFIED) == 0


async def test_refused_deliveries_are_looked_into_within_the_cap_and_take_nothing_from_what_is_due(
    desk: Desk, redis: Redis, sandbox: Sandbox, api: Client, loop: str, settings: Settings
) -> None:
    requests = [ask(api, redis, loop) for _ in range(2)]
    await desk.inbox.expedite_checks(requests)
    for request in requests:
        redis.hset(keys.request(request), "timeout_at", time.time() - HOUR)
    budget = RedisBudget(redis, KEY, rules=snapshot.rules(settings), purpose="unverified")
    while budget.spend() == 0:
        pass
    spent = budget.read().unverified
    sandbox.answer(requests[0], True)

    report = await asyncio.to_thread(reconcile, settings, redis)

    assert report.found == 1
    assert budget.read().unverified == spent


def test_an_hour_that_is_said_to_end_in_years_is_not_waited_for(
    redis: Redis, sandbox: Sandbox, api: Client, loop: str, settings: Settings
) -> None:
    ask(api, redis, loop)
    sandbox.advance(2 * HOUR)
    sandbox.fault("error", times=None, status=429)
    sandbox.advance(10 * 365 * 24 * HOUR)

    report = reconcile(settings, redis)

    assert report.trouble == "rate_limited"
    assert float(redis.hget(keys.RECONCILE_STATE, "rests_until")) <= time.time() + HOUR
