"""Requests belong to an API key: a new key runs no old decision, and its 404 proves nothing for another key."""

import asyncio
import time
from dataclasses import replace

import msgspec
import pytest
from redis import Redis
from redis.asyncio import Redis as AsyncRedis

from hitl_sandbox.testing import Sandbox
from hitlsh.api import Client
from tests.builders import claimed, delivery
from tests.inbox_records import recent
from tests.workers.inbox.clock_world import World
from tests.workers.reconcile.asked import HOUR, KEY, ask, reconcile, track
from workers.inbox import keys
from workers.inbox.store import Inbox
from workers.inbox.tracker import api_keys, reconcile_state, tracked_counts, tracked_listing, tracked_requests
from workers.inbox.tracker.api_keys import api_key_hash
from workers.reconcile import runner
from workers.settings import Settings

OTHER = "hitl_test_of_another_account_0123456789abcdef"
#: Redis and HITL.sh agree on what is now, and the sandbox begins two hours ago.
SOON = 600.0


@pytest.fixture
def other(sandbox: Sandbox) -> str:
    sandbox.add_key(OTHER, email="other@example.com")
    return OTHER


def ask_elsewhere(sandbox: Sandbox, redis: Redis, api_key: str) -> str:
    with Client(api_key, base_url=sandbox.base_url) as client:
        loop = client.loops.create("Another desk", icon="key").loop
        sandbox.add_member(loop.id, "bob@example.com")
        return ask(client, redis, loop.id, known=False)


def states(redis: Redis) -> dict[str, str | None]:
    return {entry.request_id: entry.state for entry in tracked_listing.listing(redis).entries}


def test_a_new_key_runs_no_decision_of_before_its_first_start(
    redis: Redis, sandbox: Sandbox, loop: str, discovering: Settings, other: str
) -> None:
    reconcile(discovering, redis)
    old, still_open = (ask_elsewhere(sandbox, redis, other) for _ in range(2))
    sandbox.answer(old, True)
    rotated = replace(discovering, api_key=other, lookback=SOON)

    first = reconcile(rotated, redis)
    sandbox.answer(still_open, True)
    redis.hset(
        keys.request(still_open), mapping={"checked_at": time.time() - 2 * HOUR, "timeout_at": time.time() - HOUR}
    )
    second = reconcile(rotated, redis)

    assert (first.found, second.found) == (0, 1)
    assert [event.content.request_id for event in recent(redis)] == [still_open]


def test_a_new_key_has_a_horizon_and_a_pause_of_its_own(redis: Redis, discovering: Settings, other: str) -> None:
    reconcile(discovering, redis)
    before = redis.hgetall(keys.RECONCILE_STATE)

    reconcile(replace(discovering, api_key=other, lookback=SOON), redis)

    assert redis.hgetall(keys.RECONCILE_STATE) == before
    own = redis.hgetall(f"{keys.RECONCILE_STATE}:{api_key_hash(other)}")
    assert float(own[b"since"]) == pytest.approx(time.time() - SOON, abs=5)
    assert float(before[b"since"]) == pytest.approx(time.time() - discovering.lookback, abs=30)


@pytest.mark.slow
@pytest.mark.parametrize("asks_first", [False, True])
def test_a_run_with_a_new_key_after_an_outage_of_everything_delivers_nothing_from_before_it(
    redis: Redis, sandbox: Sandbox, loop: str, discovering: Settings, other: str, *, asks_first: bool
) -> None:
    reconcile(discovering, redis)
    old, own = (ask_elsewhere(sandbox, redis, other) for _ in range(2))
    for request in (old, own):
        sandbox.answer(request, True)
    world = World(redis)
    world.timekeeper().keep(redis)
    world.let_pass(10 * 24 * HOUR)
    if asks_first:
        asked = tracked_requests.NewRequest(request_id=own, created_at=time.time() - 2 * HOUR)
        tracked_requests.track(redis, asked, retention=86_400, key_hash=api_key_hash(other))
    rotated = replace(discovering, api_key=other, lookback=SOON)

    # No other process makes ticks, so this run does.
    is_due = runner.is_due(rotated, redis)
    reconcile(rotated, redis)

    assert is_due
    record = reconcile_state.read(redis, api_keys.read(redis).current)
    assert record.since == pytest.approx(time.time() - SOON, abs=10)
    routed = [event.content.request_id for event in recent(redis) if event.state != "stale"]
    assert routed == ([own] if asks_first else [])


def test_an_old_key_that_is_listed_is_still_polled(
    redis: Redis, sandbox: Sandbox, api: Client, loop: str, settings: Settings, other: str
) -> None:
    request = ask(api, redis, loop)
    sandbox.answer(request, True)
    sandbox.advance(2 * HOUR)

    report = reconcile(replace(settings, api_key=other, earlier_api_keys=(KEY,)), redis)

    assert (report.found, report.trouble) == (1, None)
    assert states(redis) == {request: "completed"}


def test_requests_of_a_key_that_is_gone_are_unreachable_and_never_lost(
    redis: Redis, sandbox: Sandbox, api: Client, loop: str, settings: Settings, other: str
) -> None:
    request = ask(api, redis, loop)
    sandbox.answer(request, True)
    sandbox.advance(2 * HOUR)

    accounts = [reconcile(replace(settings, api_key=other), redis) for _ in range(3)]

    assert [report.lost for report in accounts] == [0, 0, 0]
    assert states(redis) == {request: "unreachable"}
    counts = tracked_counts.counts(redis)
    assert (counts.open, counts.unreachable, counts.lost) == (0, 1, 0)
    [listed] = tracked_listing.listing(redis, "unreachable").entries
    assert (listed.request_id, listed.next_check) == (request, None)

    assert reconcile(settings, redis).found == 1


async def test_a_request_that_a_webhook_told_of_is_looked_for_with_every_key(
    redis: Redis, async_redis: AsyncRedis, sandbox: Sandbox, api: Client, loop: str, settings: Settings, other: str
) -> None:
    both = replace(settings, api_key=other, earlier_api_keys=(KEY,))
    await asyncio.to_thread(reconcile, both, redis)
    request = ask(api, redis, loop, known=False)
    await asyncio.to_thread(sandbox.answer, request, True)
    await asyncio.to_thread(sandbox.advance, 2 * HOUR)
    body = msgspec.json.decode(claimed(request))
    body["data"]["request"] |= {"created_at": "2026-01-01T00:00:00Z", "timeout_at": "2026-01-02T00:00:00Z"}
    await Inbox(async_redis, retention=86_400).accept([delivery(msgspec.json.encode(body), trust="signed")])
    assert list(tracked_requests.load(redis, api_keys.read(redis).current)) == [request]

    accounts = [await asyncio.to_thread(reconcile, both, redis) for _ in range(2)]

    assert sum(report.found for report in accounts) == 1
    assert redis.zcard(keys.LOST) == 0


def test_what_was_known_before_any_key_belongs_to_the_first(
    redis: Redis, sandbox: Sandbox, api: Client, loop: str, settings: Settings, other: str
) -> None:
    request = ask(api, redis, loop, known=False)
    asked_before = tracked_requests.NewRequest(request_id=request, created_at=time.time() - 2 * HOUR)
    tracked_requests.track(redis, asked_before, retention=86_400)

    reconcile(settings, redis)
    reconcile(replace(settings, api_key=other), redis)

    assert states(redis) == {request: "unreachable"}


def test_no_api_key_is_stored_in_redis(
    redis: Redis, sandbox: Sandbox, api: Client, loop: str, discovering: Settings, other: str
) -> None:
    track(redis, ask(api, redis, loop))
    reconcile(replace(discovering, api_key=other, earlier_api_keys=(KEY,)), redis)

    kept = b"".join(redis.dump(name) or b"" for name in redis.scan_iter()) + b"".join(redis.scan_iter())
    assert KEY.encode() not in kept
    assert OTHER.encode() not in kept
