"""Items that a worker died with run again alone, in one worker, while others go on with healthy work."""

import asyncio
import time

import pytest
from redis import Redis
from redis.asyncio import Redis as AsyncRedis

from tests.builders import delivery, key, payload, routed, settled
from tests.workers.inbox.invariants import broken
from tests.workers.test_drain import draining, until
from workers import Decision, Router
from workers.inbox import keys
from workers.inbox.claims import ClaimedItem, Lease
from workers.inbox.queries import lookup
from workers.inbox.settlements import Done, Report
from workers.inbox.worker_inbox import LeaseKeeper, WorkerInbox

LEASE = 0.05


@pytest.fixture
def inbox(async_redis: AsyncRedis) -> WorkerInbox:
    return WorkerInbox(async_redis, retention=86_400, lease=15.0)


@pytest.fixture
def mortal(async_redis: AsyncRedis) -> WorkerInbox:
    """The inbox of workers that die: their leases expire soon."""
    return WorkerInbox(async_redis, retention=86_400, lease=LEASE)


async def die_with(mortal: WorkerInbox, names: str) -> None:
    """Let a worker die while it holds the effect `pay` of these requests."""
    await mortal.accept([delivery(payload(name)) for name in names])
    for item in (await mortal.claim(len(names))).items:
        await mortal.report([routed(item, "pay:run")])
    await asyncio.sleep(LEASE + 0.02)


async def settle(inbox: WorkerInbox, item: ClaimedItem) -> None:
    assert await inbox.report([settled(item, "done")]) == [True]


def crashes(redis: Redis, name: str) -> int:
    record = lookup.event(redis, key(payload(name)))
    assert record is not None
    return record.effects[0].crashes


async def test_one_worker_clears_suspects_and_the_other_gets_healthy_work(
    inbox: WorkerInbox, mortal: WorkerInbox, redis: Redis
) -> None:
    await die_with(mortal, "abc")
    await inbox.announce("first", 3.0)
    await inbox.announce("second", 3.0)

    [alone] = (await inbox.claim(10, claimant="first")).items
    await inbox.accept([delivery(payload("new"))])
    other = await inbox.claim(10, claimant="second")
    nothing = await inbox.claim(10, claimant="second")
    await settle(inbox, alone)
    [following] = (await inbox.claim(10, claimant="first")).items

    assert (alone.is_suspect, following.is_suspect) == (True, True)
    assert [(item.stored.event.request_id, item.is_suspect) for item in other.items] == [("new", False)]
    assert (nothing.items, other.suspects_wait, nothing.suspects_wait) == ([], False, False)
    assert following.lease.event_key != alone.lease.event_key
    assert broken(redis) == []


async def test_another_worker_clears_suspects_when_the_first_is_gone(inbox: WorkerInbox, mortal: WorkerInbox) -> None:
    await die_with(mortal, "ab")
    await inbox.announce("first", 0.1)
    [alone] = (await inbox.claim(10, claimant="first")).items
    await asyncio.sleep(0.12)

    [other] = (await inbox.claim(10, claimant="second")).items

    assert other.is_suspect
    assert other.lease.event_key != alone.lease.event_key


async def test_a_busy_worker_leaves_suspects_to_an_idle_one_for_a_while(
    inbox: WorkerInbox, mortal: WorkerInbox, redis: Redis
) -> None:
    await die_with(mortal, "a")
    at_first = await inbox.claim(10, caller="busy", claimant="first")
    redis.zincrby(keys.SUSPECTS, -5_001, next(iter(redis.zrange(keys.SUSPECTS, 0, 0))))
    later = await inbox.claim(10, caller="busy", claimant="first")
    [alone] = (await inbox.claim(10, caller="suspect", claimant="first")).items

    assert (at_first.suspects_wait, later.suspects_wait) == (False, True)
    assert alone.is_suspect


async def test_the_neighbours_of_the_one_that_kills_alone_are_healthy(
    inbox: WorkerInbox, mortal: WorkerInbox, redis: Redis
) -> None:
    await die_with(mortal, "abcd")

    [poison] = (await mortal.claim(10, caller="suspect")).items  # and dies again
    await asyncio.sleep(LEASE + 0.02)
    await mortal.claim(10, caller="busy")
    rejoined = await inbox.claim(10, caller="busy")
    [again] = (await inbox.claim(10, caller="suspect")).items

    assert [(item.is_suspect, item.attempt, item.crashes) for item in rejoined.items] == [(False, 2, 1)] * 3
    assert (again.lease.event_key, again.is_suspect, again.crashes) == (poison.lease.event_key, True, 2)
    assert broken(redis) == []


async def test_what_two_workers_died_with_stays_alone(inbox: WorkerInbox, mortal: WorkerInbox, redis: Redis) -> None:
    await die_with(mortal, "ab")
    for name in "ab":
        redis.hset(keys.event(key(payload(name))), "pay:crashes", 1)

    [poison] = (await mortal.claim(10, caller="suspect")).items
    await asyncio.sleep(LEASE + 0.02)
    await mortal.claim(10, caller="busy")
    nothing = await inbox.claim(10, caller="busy")
    [other] = (await inbox.claim(10, caller="suspect")).items

    assert nothing.items == []
    assert other.is_suspect
    assert other.lease.event_key != poison.lease.event_key


async def test_a_worker_that_was_only_slow_keeps_what_it_has_until_it_is_claimed(
    inbox: WorkerInbox, mortal: WorkerInbox, redis: Redis
) -> None:
    await die_with(mortal, "a")
    member, token = next(iter(redis.hgetall(keys.LEASES).items()))

    await inbox.claim(10, caller="busy")
    lost = LeaseKeeper(redis, lease=15.0).renew([(member.decode(), int(token))])
    nothing = await inbox.claim(10, caller="suspect")
    lease = Lease(handler="pay", event_key=key(payload("a")), token=int(token))
    accepted = await inbox.report([Report(lease, Done())])

    assert (lost, nothing.items, accepted) == ([], [], [True])
    assert (crashes(redis, "a"), redis.zcard(keys.SUSPECTS)) == (0, 0)
    assert broken(redis) == []


async def test_many_suspects_hide_no_healthy_work(inbox: WorkerInbox, mortal: WorkerInbox) -> None:
    await die_with(mortal, "abcdefghij")
    await inbox.accept([delivery(payload("new"))])

    claims = [await inbox.claim(3, caller="busy") for _ in range(5)]

    assert [item.stored.event.request_id for claim in claims for item in claim.items] == ["new"]


@pytest.mark.slow
async def test_a_lone_worker_goes_on_with_healthy_work_between_suspects(
    inbox: WorkerInbox, mortal: WorkerInbox, redis: Redis
) -> None:
    router, order, now, most = Router(), [], [0], [0]

    @router.on("request.completed")
    async def pay(decision: Decision) -> None:
        order.append("suspect")
        now[0] += 1
        await asyncio.sleep(0.3)
        now[0] -= 1

    @router.on("request.cancelled")
    async def fast(decision: Decision) -> None:
        order.append("fast")
        most[0] = max(most[0], now[0])

    await die_with(mortal, "abcd")
    waits = []
    async with draining(inbox, redis, router):
        for n in range(6):
            count, sent = order.count("fast"), time.monotonic()
            await inbox.accept([delivery(payload(f"fast{n}", status="cancelled"))])
            await until(lambda count=count: order.count("fast") > count)  # type: ignore[misc]
            waits.append(time.monotonic() - sent)
            await asyncio.sleep(0.1)
        await until(lambda: order.count("suspect") == 4 and redis.zcard(keys.DUE) == 0)

    assert max(waits) < 1.0, "no longer than one suspect"
    assert order.index("fast") < 2, order
    assert most == [0], "a suspect runs alone"
