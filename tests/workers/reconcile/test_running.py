"""Reconcile runs with a sandbox and a real Redis server."""

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from msgspec import structs
from redis import Redis

from hitl_sandbox.testing import Sandbox
from hitlsh.api import Client
from hitlsh.callbacks import CallbackState
from hitlsh.request_details import RequestDetails
from service.local.embedded_server import EmbeddedServer
from tests.builders import delivery, payload
from tests.inbox_records import recent
from tests.processes.proc import until
from tests.workers.reconcile.asked import HOUR, KEY, ask, reconcile, track
from workers.decision import Decision
from workers.inbox import keys, request_records, scripts
from workers.inbox.budget.redis_budget import RedisBudget
from workers.inbox.claims import Claim
from workers.inbox.store import pack
from workers.inbox.tracker import tracked_requests
from workers.inbox.tracker.reconcile_lease import LeaseLost, Note, ReconcileLease
from workers.inbox.tracker.tracked_requests import NewRequest
from workers.inbox.worker_inbox import WorkerInbox
from workers.reconcile import runner, snapshot, state
from workers.redis_clients import drain_client
from workers.settings import Settings


def test_a_decision_that_no_webhook_told_of_is_found(
    redis: Redis, sandbox: Sandbox, api: Client, loop: str, settings: Settings
) -> None:
    request = ask(api, redis, loop)
    sandbox.answer(request, True)
    sandbox.advance(2 * HOUR)

    report = reconcile(settings, redis)

    assert (report.found, report.calls) == (1, 1)
    [event] = recent(redis)
    assert (event.key, event.trust, event.content.response) == (f"request.completed:{request}", "confirmed", True)
    assert redis.zcard(keys.CHECKS) == 0


def test_an_open_request_is_checked_again_later(
    redis: Redis, sandbox: Sandbox, api: Client, loop: str, settings: Settings
) -> None:
    request = ask(api, redis, loop)
    sandbox.advance(2 * HOUR)

    report = reconcile(settings, redis)

    assert (report.found, report.trouble) == (0, None)
    assert redis.zscore(keys.CHECKS, request) > (time.time() + 600) * 1000
    assert snapshot.take(settings, redis).plan.kind == "nothing"


async def claimed_once(url: str) -> Claim:
    client = drain_client(url)
    claim = await WorkerInbox(client, retention=86_400, lease=1.0).claim(1)
    await client.aclose()
    return claim


def test_what_was_asked_through_us_keeps_its_state_and_its_default(
    redis: Redis, sandbox: Sandbox, api: Client, loop: str, settings: Settings
) -> None:
    request = ask(api, redis, loop, known=False)
    created_at = time.time() - 2 * HOUR
    callback = CallbackState(id="an-id", state={"order": 7})
    tracked_requests.track(
        redis,
        NewRequest(
            request_id=request, created_at=created_at, callback=callback, details=RequestDetails(default_response=False)
        ),
        retention=86_400,
    )
    sandbox.advance(25 * HOUR)

    reconcile(settings, redis)

    [event] = recent(redis)
    assert event.content.source == "vendor_default"
    assert event.callback == callback
    [item] = asyncio.run(claimed_once(settings.redis_url)).items
    assert Decision.from_stored(item.stored).default_response is False


@pytest.mark.slow
def test_a_request_answered_during_the_start_of_a_run_keeps_its_state(
    redis: Redis, sandbox: Sandbox, api: Client, loop: str, discovering: Settings
) -> None:
    request = ask(api, redis, loop, known=False)
    sandbox.answer(request, True)
    sandbox.fault("slow", seconds=1.0, match={"method": "GET"})

    with ThreadPoolExecutor(1) as threads:
        reconciled = threads.submit(reconcile, discovering, redis)
        until(
            lambda: redis.exists(keys.RECONCILE_LEASE) and redis.hexists(keys.RECONCILE_STATE, "started"), 5, "it asks"
        )
        track(redis, request, callback=CallbackState(id="an-id", state={"order": 7}))
        report = reconciled.result()

    [event] = recent(redis)
    assert (event.content.response, event.callback.state, report.found) == (True, {"order": 7}, 1)


def test_a_reconcile_run_and_a_webhook_of_one_decision_are_one_event(
    redis: Redis, sandbox: Sandbox, api: Client, loop: str, settings: Settings
) -> None:
    request = ask(api, redis, loop)
    sandbox.answer(request, True)
    sandbox.advance(2 * HOUR)
    reconcile(settings, redis)

    track(redis, request)
    again = reconcile(settings, redis)

    assert (again.found, again.calls) == (0, 0)
    assert redis.zcard(keys.EVENTS) == 1


def test_a_request_that_hitl_sh_does_not_know_is_lost_only_when_that_is_certain(
    redis: Redis, sandbox: Sandbox, api: Client, loop: str, settings: Settings
) -> None:
    request = ask(api, redis, loop)
    api.loops.delete(loop)
    sandbox.advance(2 * HOUR)

    first = reconcile(settings, redis)
    assert (first.lost, redis.zcard(keys.LOST)) == (0, 0)
    redis.hset(keys.request(request), mapping={"missing": time.time() - 400, "hold": (time.time() - 1) * 1000})
    second = reconcile(settings, redis)

    assert (second.lost, redis.zscore(keys.CHECKS, request)) == (1, None)
    assert request_records.read(redis, request).status == "lost"


def test_a_lost_request_whose_decision_arrives_is_lost_no_more(
    redis: Redis, sandbox: Sandbox, api: Client, loop: str, settings: Settings
) -> None:
    request = ask(api, redis, loop)
    redis.zadd(keys.LOST, {request: 1})
    redis.hset(keys.request(request), mapping={"refused": 1, "status": "lost"})
    sandbox.answer(request, True)
    sandbox.advance(2 * HOUR)

    reconcile(settings, redis)

    assert redis.zcard(keys.LOST) == 0
    assert request_records.read(redis, request).outcome == "completed"


def test_requests_asked_elsewhere_are_discovered(
    redis: Redis, sandbox: Sandbox, api: Client, loop: str, discovering: Settings
) -> None:
    ended, still_open = ask(api, redis, loop, known=False), ask(api, redis, loop, known=False)
    sandbox.answer(ended, False)
    sandbox.advance(2 * HOUR)

    report = reconcile(discovering, redis)

    assert (report.found, report.discovered) == (1, 2)
    assert [event.content.response for event in recent(redis)] == [False]
    assert tracked_requests.load(redis)[still_open].request.learned == "listing"


def test_the_very_first_reconcile_run_delivers_nothing_older_than_the_lookback(
    redis: Redis, sandbox: Sandbox, api: Client, loop: str, discovering: Settings
) -> None:
    old = ask(api, redis, loop, known=False)
    sandbox.answer(old, True)
    still_open = ask(api, redis, loop, known=False)
    sandbox.advance(2 * HOUR)
    late = ask(api, redis, loop, known=False)
    sandbox.answer(late, True)

    reconcile(replace(discovering, lookback=HOUR), redis)

    assert [event.content.request_id for event in recent(redis)] == [late]
    assert still_open in tracked_requests.load(redis)


def test_nothing_is_discovered_where_that_is_off(
    redis: Redis, sandbox: Sandbox, api: Client, loop: str, settings: Settings
) -> None:
    known, unknown = ask(api, redis, loop), ask(api, redis, loop, known=False)
    for request in (known, unknown):
        sandbox.answer(request, True)
    sandbox.advance(2 * HOUR)

    report = reconcile(settings, redis)

    assert (report.found, report.discovered) == (1, 0)
    assert [event.content.request_id for event in recent(redis)] == [known]


def test_a_key_that_is_refused_stops_the_reconcile_run_and_loses_nothing(
    redis: Redis, sandbox: Sandbox, api: Client, loop: str, settings: Settings
) -> None:
    request = ask(api, redis, loop)
    sandbox.advance(2 * HOUR)

    sandbox.fault("error", times=None, status=401)

    report = reconcile(settings, redis)

    assert report.trouble == "key_refused"
    assert time.time() * 1000 < redis.zscore(keys.CHECKS, request) < (time.time() + 60) * 1000


def test_the_pause_after_errors_doubles_until_a_run_succeeds(
    redis: Redis, sandbox: Sandbox, api: Client, loop: str, settings: Settings
) -> None:
    ask(api, redis, loop)
    sandbox.advance(2 * HOUR)

    rests = []
    for refusals in (1, 1, 0):
        sandbox.clear_faults()
        sandbox.fault("error", times=refusals, status=401)
        redis.zadd(keys.CHECKS, dict.fromkeys(redis.zrange(keys.CHECKS, 0, -1), 0))
        reconcile(settings, redis)
        rests.append(float(redis.hget(keys.RECONCILE_STATE, "rests_until")) - time.time())

    assert 10 < rests[0] <= 15 < rests[1] <= 30
    assert rests[2] < 0


def test_an_exhausted_limit_is_counted_and_waited_out(
    redis: Redis, sandbox: Sandbox, api: Client, loop: str, settings: Settings
) -> None:
    request = ask(api, redis, loop)
    sandbox.advance(2 * HOUR)
    sandbox.fault("rate_limit", times=2)

    report = reconcile(settings, redis)

    assert report.trouble == "rate_limited"
    assert redis.hget(keys.COUNTERS, "api_429") == b"1"
    assert redis.zscore(keys.CHECKS, request) > time.time() * 1000


def test_of_two_runs_only_one_is_active(redis: Redis, settings: Settings) -> None:
    redis.set(keys.RECONCILE_LEASE, 99, px=5_000)

    assert runner.run(settings, redis) is None


@pytest.mark.slow
def test_a_run_continues_where_a_dead_one_stopped(
    redis: Redis, sandbox: Sandbox, api: Client, loop: str, settings: Settings
) -> None:
    for _ in range(3):
        sandbox.answer(ask(api, redis, loop), True)
    sandbox.advance(2 * HOUR)
    redis.set(keys.RECONCILE_LEASE, 99, px=300)

    deadline = time.monotonic() + 5
    while (report := runner.run(settings, redis)) is None and time.monotonic() < deadline:
        time.sleep(0.05)

    assert report is not None
    assert report.found == 3


@pytest.mark.slow
def test_a_list_that_grows_while_it_is_read_hides_nothing(
    redis: Redis, sandbox: Sandbox, api: Client, loop: str, discovering: Settings
) -> None:
    asked = [ask(api, redis, loop, known=number % 2 == 0) for number in range(250)]
    for request in asked:
        sandbox.answer(request, True)
    sandbox.advance(2 * HOUR)
    sandbox.fault("drift", rows=7, times=None)

    for _ in range(5):
        reconcile(discovering, redis)

    assert {event.content.request_id for event in recent(redis, 300)} >= set(asked)


def test_a_reconcile_run_that_lost_its_lease_writes_nothing(redis: Redis, settings: Settings) -> None:
    lease = ReconcileLease(redis, seconds=5, retention=60)
    lease.acquire()
    redis.set(keys.RECONCILE_LEASE, lease.token + 1)

    with pytest.raises(LeaseLost):
        lease.write([Note("open", "r1", "1", "2")], began=time.time())

    assert redis.zcard(keys.CHECKS) == 0


def test_overdue_requests_borrow_calls_when_discovery_has_none(
    redis: Redis, sandbox: Sandbox, api: Client, loop: str, discovering: Settings
) -> None:
    reconcile(discovering, redis)
    request = ask(api, redis, loop)
    redis.hset(keys.request(request), "timeout_at", time.time() - HOUR)
    sandbox.answer(request, True)
    starved = replace(discovering, reconcile_share=0.01)
    budget = RedisBudget(redis, KEY, rules=snapshot.rules(starved), purpose="reconcile")
    while budget.spend() == 0:
        pass
    trail_left = snapshot.read_state(redis)
    is_starved = structs.replace(trail_left, horizon=structs.replace(trail_left.horizon, discovered_at=1.0))
    redis.hset(keys.RECONCILE_STATE, "state", state.encode(is_starved))

    report = reconcile(starved, redis)

    assert report.found == 1


def test_a_signed_webhook_brings_the_state_of_what_was_asked(redis: Redis, server: EmbeddedServer) -> None:
    callback = CallbackState(id="an-id", state={"order": 7})
    tracked_requests.track(
        redis, NewRequest(request_id="r1", created_at=time.time(), callback=callback), retention=86_400
    )

    batch = pack([delivery(payload("r1"), trust="signed")])
    scripts.script(redis, "store/accept")(keys=[keys.PREFIX], args=[60, 120, batch])

    [event] = recent(redis)
    assert event.callback == callback
