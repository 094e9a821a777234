"""Quotas of a callback URL and of the quarantine: a flood is counted, and leaves room for other deliveries."""

import time

import pytest
from redis import Redis
from redis.asyncio import Redis as AsyncRedis

from tests.builders import ago, claimed, delivery, payload
from tests.inbox_clock import advance
from workers.inbox import keys
from workers.inbox.operations.failures import discard
from workers.inbox.queries import lookup
from workers.inbox.queries.search import Filter
from workers.inbox.store import Inbox, accept
from workers.inbox.values import Delivery

RETENTION = 3_600


@pytest.fixture
def inbox(async_redis: AsyncRedis) -> Inbox:
    return Inbox(async_redis, retention=RETENTION)


def unreadable(number: int, size: int = 1_000, **changes: object) -> Delivery:
    return delivery(b"[%d]" % number + b" " * size, **changes)


def bind(redis: Redis, callback_id: str, request_id: str) -> None:
    """Bind a callback URL to a request, as asking does."""
    redis.set(f"{keys.PREFIX}token:{callback_id}", request_id)


async def test_the_url_of_a_request_has_forty_events_kept(inbox: Inbox, redis: Redis) -> None:
    bind(redis, "leaked", "r1")
    flood = [delivery(claimed("r1", at=ago(number)), callback_id="leaked") for number in range(50)]

    verdicts, _ = await inbox.accept(flood)

    assert (verdicts.count("accepted"), verdicts.count("over_quota")) == (40, 10)
    assert redis.zcard(keys.EVENTS) == 40


async def test_deliveries_over_the_quota_cause_one_check_in_five_minutes(inbox: Inbox, redis: Redis) -> None:
    """Each reconcile run that reads the request would else be followed by the next."""
    bind(redis, "leaked", "r1")
    await inbox.accept([delivery(claimed("r1", at=ago(number)), callback_id="leaked") for number in range(40)])
    due = []
    for number in range(4):
        redis.zadd(keys.CHECKS, {"r1": 1e15})
        verdicts, _ = await inbox.accept([delivery(payload("r1", response=f"{number}"), callback_id="leaked")])
        assert verdicts == ["over_quota"]
        due.append(redis.zscore(keys.CHECKS, "r1") < 1e15)
        if due[-1]:  # a reconcile run finds it open
            redis.hdel(keys.request("r1"), "refused")
            redis.hset(keys.request("r1"), "checked_at", time.time() + 140 * number)
        advance(redis, 140)

    assert due == [True, False, False, True]


@pytest.mark.slow
async def test_it_has_a_quarter_of_a_mebibyte_kept_and_one_large_body(inbox: Inbox, redis: Redis) -> None:
    bind(redis, "leaked", "r1")
    large = [payload("r1", response=f"{number}", pad="x" * 1_000_000) for number in range(20)]

    verdicts, _ = await inbox.accept([delivery(body, callback_id="leaked") for body in large])

    assert verdicts == ["accepted"] + ["over_quota"] * 19


async def test_a_url_of_many_requests_is_busy_until_the_next_day(inbox: Inbox, redis: Redis) -> None:
    flood = [delivery(payload(f"r{number}", pad="x" * 900_000), callback_id="shared") for number in range(12)]

    verdicts, _ = await inbox.accept(flood)
    advance(redis, 86_400)
    later, _ = await inbox.accept(flood[-1:])

    assert (verdicts.count("accepted"), verdicts[-1], later) == (10, "busy", ["accepted"])


async def test_another_url_and_signed_deliveries_have_their_own_room(inbox: Inbox) -> None:
    await inbox.accept(
        [delivery(payload(f"r{number}", pad="x" * 900_000), callback_id="leaked") for number in range(12)]
    )

    verdicts, _ = await inbox.accept(
        [delivery(payload("x"), callback_id="other"), delivery(payload("y"), trust="signed")]
    )

    assert verdicts == ["accepted", "accepted"]


async def test_a_duplicate_uses_no_quota(inbox: Inbox) -> None:
    verdicts, _ = await inbox.accept([delivery(callback_id="one")] * 60)

    assert verdicts == ["accepted"] + ["duplicate"] * 59


async def test_unreadable_bodies_of_callbacks_leave_room_for_signed_ones(inbox: Inbox, redis: Redis) -> None:
    flood = [unreadable(number, 60_000, callback_id=f"t{number}") for number in range(100)]

    verdicts, _ = await inbox.accept(flood)
    signed, _ = await inbox.accept([unreadable(1_000, trust="signed")])

    assert verdicts.count("accepted") * 60_000 <= 4 << 20
    assert verdicts.count("over_quota") > 0
    assert signed == ["accepted"]


async def test_a_quarantined_record_does_not_expire_until_it_is_discarded(inbox: Inbox, redis: Redis) -> None:
    one = unreadable(1, trust="signed")
    await inbox.accept([one])
    before = redis.ttl(keys.event(one.content.key))

    change = discard(redis, [one.content.key], reason="noise", retention=RETENTION)

    record = lookup.event(redis, one.content.key)
    assert record is not None
    assert (before, change.effects, record.state) == (-1, 1, "discarded")
    assert 0 < int(redis.ttl(keys.event(one.content.key))) <= RETENTION  # type: ignore[arg-type]
    assert (redis.zcard(keys.QUARANTINE), redis.exists("{hitl}:quarantine_bytes")) == (0, 0)


async def test_all_quarantined_records_are_discarded_by_their_state(inbox: Inbox, redis: Redis) -> None:
    await inbox.accept([unreadable(number, trust="signed") for number in range(5)])

    everything = discard(redis, Filter(), reason="noise", retention=RETENTION)
    change = discard(redis, Filter(state="quarantined"), reason="noise", retention=RETENTION)

    assert (everything.effects, change.effects, redis.zcard(keys.QUARANTINE)) == (0, 5, 0)


async def test_a_replay_is_not_held_back_by_a_quota(inbox: Inbox, redis: Redis) -> None:
    await inbox.accept([delivery(payload(f"r{number}"), callback_id="leaked") for number in range(40)])

    verdicts = accept(redis, [delivery(payload("x"), callback_id="leaked")], retention=RETENTION, unlimited=True)

    assert verdicts == ["accepted"]
