"""Retry, discard and replay, on a real server."""

import asyncio
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import msgspec
import pytest
from redis import Redis
from redis.asyncio import Redis as AsyncRedis

from tests.builders import ago, claimed, delivery, key, payload, routed, settled
from tests.workers.inbox.invariants import broken
from workers import Decision, Router
from workers.handlers.drain import Drain, DrainOptions
from workers.inbox import keys
from workers.inbox.event_records import EffectRecord, EventRecord
from workers.inbox.maintenance.trimming import Trimmer
from workers.inbox.operations import pausing
from workers.inbox.operations.failures import Change, discard, retry
from workers.inbox.operations.replaying import replay
from workers.inbox.queries import inbox_counts, lookup, search
from workers.inbox.queries.pagination import CHUNK
from workers.inbox.queries.search import Filter
from workers.inbox.worker_inbox import LeaseKeeper, WorkerInbox

RETENTION = 3_600
KEY = key(payload())
REQUEST = "66c0ffee00000000000000a1"
UNROUTED = Filter(state="unrouted")


@pytest.fixture
def inbox(async_redis: AsyncRedis, redis: Redis) -> Any:
    yield WorkerInbox(async_redis, retention=RETENTION, lease=15.0)
    assert broken(redis) == []


def request_ids(count: int) -> list[str]:
    return [f"66c0ffee{n:016x}" for n in range(count)]


def router(*handlers: str, on: str = "request.*", **conditions: Any) -> Router:
    """A router with routes of these names, which are never called."""
    made = Router()
    for name in handlers:
        made.on(on, name=name, **conditions)(partial(str))
    return made


async def settle(inbox: WorkerInbox, **ends: str) -> None:
    """Route due events to these handlers and settle each effect as given: ``pay="failed"``."""
    for item in (await inbox.claim(1_000)).items:
        await inbox.report([routed(item, *ends)])
        await inbox.report([settled(item, end, name, error="ValueError: no") for name, end in ends.items() if end])


def record(redis: Redis, event_key: str = KEY) -> EventRecord:
    found = lookup.event(redis, event_key)
    assert found is not None
    return found


def effect(redis: Redis, handler: str, event_key: str = KEY) -> EffectRecord:
    return next(one for one in record(redis, event_key).effects if one.handler == handler)


def states(redis: Redis, event_key: str = KEY) -> dict[str, str]:
    return {one.handler: one.state for one in record(redis, event_key).effects}


# -- retry -------------------------------------------------------------------------------------------


async def test_a_retried_effect_is_due_with_all_its_attempts(inbox: WorkerInbox, redis: Redis) -> None:
    await inbox.accept([delivery()])
    await settle(inbox, pay="failed", notify="done")

    change = retry(redis, Filter(), retention=RETENTION)
    [again] = (await inbox.claim(10)).items

    assert change == Change(effects=1, examples=(f"pay|{KEY}",))
    assert (again.lease.handler, again.attempt, again.errors) == ("pay", 2, 0)
    assert (effect(redis, "pay").retries, effect(redis, "notify").attempts) == (1, 1)
    assert effect(redis, "pay").error == "ValueError: no"


async def test_a_retry_wakes_a_drain(inbox: WorkerInbox, redis: Redis) -> None:
    await inbox.accept([delivery()])
    await settle(inbox, pay="failed")
    redis.delete(keys.WAKE)

    retry(redis, Filter(), retention=RETENTION)

    assert redis.llen(keys.WAKE) == 1


async def test_a_retry_may_be_repeated(inbox: WorkerInbox, redis: Redis) -> None:
    await inbox.accept([delivery()])
    await settle(inbox, pay="failed")

    counts = [retry(redis, [KEY], retention=RETENTION).effects for _ in range(2)]

    assert counts == [1, 0]
    assert effect(redis, "pay").retries == 1


async def test_a_dry_run_counts_and_changes_nothing(inbox: WorkerInbox, redis: Redis) -> None:
    await inbox.accept([delivery(payload(request_id=one)) for one in request_ids(7)])
    await settle(inbox, pay="failed")

    change = retry(redis, Filter(), retention=RETENTION, dry_run=True)

    assert (change.effects, len(change.examples)) == (7, 5)
    assert (redis.zcard(keys.FAILED), redis.zcard(keys.DUE)) == (7, 0)


@pytest.mark.parametrize("name", [KEY, REQUEST, f"pay|{KEY}"])
async def test_an_effect_is_named_by_itself_its_event_or_its_request(
    inbox: WorkerInbox, redis: Redis, name: str
) -> None:
    await inbox.accept([delivery(), delivery(payload(request_id="another"))])
    await settle(inbox, pay="failed")

    change = retry(redis, [name], retention=RETENTION)

    assert change.examples == (f"pay|{KEY}",)


async def test_a_filter_takes_no_others(inbox: WorkerInbox, redis: Redis) -> None:
    await inbox.accept([delivery(payload(request_id="a", loop_id="L")), delivery(payload(request_id="b"))])
    await settle(inbox, pay="failed", notify="failed")

    change = retry(redis, Filter(handler="pay", loop="L", event="request.*"), retention=RETENTION)

    assert change.examples == ("pay|request.completed:a",)
    assert redis.zcard(keys.FAILED) == 3


@pytest.mark.slow
async def test_more_than_a_batch_is_retried(inbox: WorkerInbox, redis: Redis) -> None:
    await inbox.accept([delivery(payload(request_id=one)) for one in request_ids(3 * CHUNK + 1)])
    await settle(inbox, pay="failed")

    assert retry(redis, Filter(), retention=RETENTION).effects == 3 * CHUNK + 1


async def test_a_failed_routing_is_retried_and_runs_alone_at_first(inbox: WorkerInbox, redis: Redis) -> None:
    await inbox.accept([delivery()])
    [item] = (await inbox.claim(1)).items
    redis.hset(keys.event(KEY), ":crashes", 3)
    await inbox.report([settled(item, "failed", "", error="3 workers died")])

    change = retry(redis, Filter(), retention=RETENTION)
    [again] = (await inbox.claim(10)).items

    assert (change.effects, again.lease.handler, again.crashes, again.is_suspect) == (1, "", 0, True)
    assert record(redis).state == "due"


async def test_a_failed_routing_waits_for_its_turn(inbox: WorkerInbox, redis: Redis) -> None:
    await inbox.accept([delivery(claimed())])
    [first] = (await inbox.claim(1)).items
    await inbox.report([settled(first, "failed", "", error="3 workers died")])
    await inbox.accept([delivery()])
    [second] = (await inbox.claim(1)).items

    retry(redis, Filter(), retention=RETENTION)
    meanwhile = (await inbox.claim(10)).items
    await inbox.report([routed(second)])
    [after] = (await inbox.claim(10)).items

    assert (meanwhile, after.lease.event_key) == ([], key(claimed()))


# -- discard -----------------------------------------------------------------------------------------


async def test_a_discarded_effect_ends_with_its_reason_and_finishes_its_event(inbox: WorkerInbox, redis: Redis) -> None:
    await inbox.accept([delivery()])
    await settle(inbox, pay="failed", notify="done")

    change = discard(redis, Filter(), reason="paid by hand", retention=RETENTION)

    assert change.effects == 1
    assert (effect(redis, "pay").state, effect(redis, "pay").reason) == ("discarded", "paid by hand")
    assert record(redis).state == "done"
    assert 0 < redis.ttl(keys.event(KEY)) <= RETENTION
    assert 0 < redis.ttl(keys.request(REQUEST)) <= RETENTION


async def test_an_event_with_something_open_is_not_finished_by_a_discard(inbox: WorkerInbox, redis: Redis) -> None:
    await inbox.accept([delivery()])
    await settle(inbox, pay="failed", notify="failed")

    discard(redis, Filter(handler="pay"), reason="no", retention=RETENTION)

    assert (record(redis).state, redis.ttl(keys.event(KEY))) == ("routed", -1)


async def test_held_effects_are_discarded_and_paused_ones_are_not(inbox: WorkerInbox, redis: Redis) -> None:
    await inbox.accept([delivery()])
    await settle(inbox, gone="held", pay="retry")
    pausing.pause(redis, "pay")
    await inbox.claim(10)

    change = discard(redis, [KEY], reason="no such handler", retention=RETENTION)

    assert change.examples == (f"gone|{KEY}",)
    assert states(redis) == {"gone": "discarded", "pay": "paused"}


async def test_a_discard_may_be_repeated(inbox: WorkerInbox, redis: Redis) -> None:
    await inbox.accept([delivery()])
    await settle(inbox, pay="failed", notify="failed")

    counts = [discard(redis, Filter(handler="pay"), reason="no", retention=60).effects for _ in range(2)]

    assert counts == [1, 0]


async def test_a_discarded_routing_ends_its_event(inbox: WorkerInbox, redis: Redis) -> None:
    await inbox.accept([delivery()])
    [item] = (await inbox.claim(1)).items
    await inbox.report([settled(item, "failed", "", error="3 workers died")])

    discard(redis, [KEY], reason="poison", retention=RETENTION)

    assert record(redis).state == "discarded"


async def test_what_a_worker_holds_is_neither_retried_nor_discarded_nor_replayed(
    inbox: WorkerInbox, redis: Redis
) -> None:
    await inbox.accept([delivery()])
    await settle(inbox, pay="")
    before = redis.hgetall(keys.event(KEY))

    retry(redis, [KEY], retention=RETENTION)
    discard(redis, [KEY], reason="no", retention=RETENTION)
    replay(redis, router("pay"), [KEY], retention=RETENTION, force=True)

    assert redis.hgetall(keys.event(KEY)) == before


# -- replay ------------------------------------------------------------------------------------------


async def test_a_replay_runs_what_never_succeeded(inbox: WorkerInbox, redis: Redis) -> None:
    await inbox.accept([delivery()])
    await settle(inbox, pay="failed", notify="done", audit="skipped")

    change = replay(redis, router("pay", "notify", "audit", "new"), Filter(), retention=RETENTION)
    claimed_now = [(item.lease.handler, item.attempt) for item in (await inbox.claim(10)).items]

    assert change.effects == 3
    assert claimed_now == [("pay", 2), ("audit", 2), ("new", 1)]
    assert (record(redis).replays, effect(redis, "new").replays, effect(redis, "notify").replays) == (1, 1, 0)


async def test_a_forced_replay_runs_what_succeeded_too(inbox: WorkerInbox, redis: Redis) -> None:
    await inbox.accept([delivery()])
    await settle(inbox, pay="done")

    without = replay(redis, router("pay"), Filter(), retention=RETENTION)
    forced = replay(redis, router("pay"), Filter(), retention=RETENTION, force=True)

    assert (without.effects, forced.effects) == (0, 1)
    assert states(redis) == {"pay": "due"}


async def test_a_finished_event_is_open_again_and_does_not_expire(inbox: WorkerInbox, redis: Redis) -> None:
    await inbox.accept([delivery()])
    await settle(inbox)

    replay(redis, router("pay"), Filter(), retention=RETENTION)

    assert (record(redis).state, record(redis).finished_at) == ("routed", None)
    assert (redis.ttl(keys.event(KEY)), redis.ttl(keys.request(REQUEST))) == (-1, -1)


async def test_a_replayed_event_finishes_again(inbox: WorkerInbox, redis: Redis) -> None:
    await inbox.accept([delivery()])
    await settle(inbox)
    replay(redis, router("pay"), Filter(), retention=RETENTION)

    [item] = (await inbox.claim(1)).items
    await inbox.report([settled(item, "done", "pay")])

    assert record(redis).state == "done"
    assert 0 < redis.ttl(keys.event(KEY)) <= RETENTION


async def test_a_replay_keeps_to_the_handler_named(inbox: WorkerInbox, redis: Redis) -> None:
    await inbox.accept([delivery()])
    await settle(inbox, pay="failed", notify="failed")

    replay(redis, router("pay", "notify"), Filter(handler="notify"), retention=RETENTION)

    assert states(redis) == {"pay": "failed", "notify": "due"}


async def test_a_replay_goes_through_todays_conditions(inbox: WorkerInbox, redis: Redis) -> None:
    await inbox.accept([delivery(callback_id="c", state={"order": 7}), delivery(payload(request_id="other"))])
    await settle(inbox)

    change = replay(redis, router("pay", state={"order": 7}), Filter(), retention=RETENTION)

    assert change.examples == (f"pay|{KEY}",)


async def test_an_event_that_is_not_routed_yet_is_left_alone(inbox: WorkerInbox, redis: Redis) -> None:
    await inbox.accept([delivery()])

    assert replay(redis, router("pay"), [KEY], retention=RETENTION).effects == 0
    assert record(redis).state == "due"


async def test_a_discarded_effect_can_be_replayed(inbox: WorkerInbox, redis: Redis) -> None:
    await inbox.accept([delivery()])
    await settle(inbox, pay="failed")
    discard(redis, Filter(), reason="too early", retention=RETENTION)

    replay(redis, router("pay"), [f"pay|{KEY}"], retention=RETENTION)

    assert (effect(redis, "pay").state, effect(redis, "pay").reason) == ("due", None)


async def test_a_failed_routing_can_be_replayed(inbox: WorkerInbox, redis: Redis) -> None:
    await inbox.accept([delivery()])
    [item] = (await inbox.claim(1)).items
    await inbox.report([settled(item, "failed", "", error="3 workers died")])

    replay(redis, router("pay"), Filter(), retention=RETENTION)

    assert (record(redis).state, states(redis)) == ("routed", {"pay": "due"})
    assert redis.zcard(keys.FAILED) == 0


async def test_the_events_of_a_request_are_replayed_in_order(inbox: WorkerInbox, redis: Redis) -> None:
    await inbox.accept([delivery(claimed()), delivery()])
    for _ in range(2):
        await settle(inbox)

    replay(redis, router("pay"), [REQUEST], retention=RETENTION)
    first, second = (await inbox.claim(10)).items

    assert [first.lease.event_key, second.lease.event_key] == [key(claimed()), KEY]


# -- quarantined bodies ------------------------------------------------------------------------------


def quarantine(redis: Redis, body: bytes, kept_as: str) -> None:
    """Quarantine a body, as an older version that could not parse it did."""
    unreadable = f"unreadable:{kept_as}"
    redis.hset(keys.event(unreadable), mapping={
        "signed:head": f'{{"reason":"unknown_shape","key":"{unreadable}"}}', "signed:body": body,
        "state": "quarantined",
        "trust": "signed", "deliveries": 1, "signed:received_at": "1772366400.0", "accepted_at": "1772366400.0",
    })  # fmt: skip
    redis.expire(keys.event(unreadable), RETENTION)
    redis.zadd(keys.EVENTS, {unreadable: 1772366400000})
    redis.zadd(keys.QUARANTINE, {unreadable: 1772366400000})


async def test_a_body_that_can_be_read_by_now_becomes_an_event(inbox: WorkerInbox, redis: Redis) -> None:
    quarantine(redis, payload(), "a")

    change = replay(redis, router("pay"), Filter(), retention=RETENTION)
    [item] = (await inbox.claim(10)).items

    assert (change.bodies, item.lease.event_key, item.stored.trust, item.stored.body) == (1, KEY, "signed", payload())
    assert redis.zcard(keys.QUARANTINE) == 0
    assert (record(redis, "unreadable:a").state, record(redis, "unreadable:a").replayed_as) == ("reread", KEY)


async def test_a_body_that_is_still_unreadable_stays_in_quarantine(inbox: WorkerInbox, redis: Redis) -> None:
    await inbox.accept([delivery(b'{"hello": 1}')])

    assert replay(redis, router("pay"), Filter(), retention=RETENTION) == Change(effects=0)
    assert redis.zcard(keys.QUARANTINE) == 1


async def test_bodies_are_selected_by_their_parsed_content(inbox: WorkerInbox, redis: Redis) -> None:
    quarantine(redis, payload(), "a")
    quarantine(redis, payload(status="timeout"), "b")

    change = replay(redis, router("pay"), Filter(event="request.timeout"), retention=RETENTION, dry_run=True)

    assert change.examples == ("unreadable:b",)


# -- with a drain ------------------------------------------------------------------------------------


async def until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 5.0
    while not true():
        assert time.monotonic() < deadline, "it did not come to pass"
        await asyncio.sleep(0.005)


async def test_a_drain_runs_what_was_retried_and_replayed(inbox: WorkerInbox, redis: Redis) -> None:
    routes, seen = Router(), []

    @routes.on("request.completed", name="pay")
    async def pay(decision: Decision) -> None:
        seen.append(("pay", decision.attempt))

    @routes.on("request.completed", name="new")
    def new(decision: Decision) -> None:
        seen.append(("new", decision.attempt))

    await inbox.accept([delivery()])
    await settle(inbox, pay="failed")
    drain = Drain(inbox, routes, LeaseKeeper(redis, lease=15.0), DrainOptions(lease=15.0))
    running = asyncio.create_task(drain.run())
    retry(redis, Filter(), retention=RETENTION)
    await until(lambda: record(redis).state == "done")
    replay(redis, routes, Filter(), retention=RETENTION)
    await until(lambda: states(redis).get("new") == "done")
    drain.stop()
    await running

    assert seen == [("pay", 2), ("new", 1)]


# -- unrouted events ---------------------------------------------------------------------------------


async def test_an_unrouted_event_is_counted_until_a_replay_has_a_route_for_it(inbox: WorkerInbox, redis: Redis) -> None:
    await inbox.accept([delivery(), delivery(claimed("66c0ffee00000000000000b2"), trust="signed")])
    await settle(inbox)
    before = inbox_counts.read(redis)

    planned = replay(redis, router("pay", on="request.completed"), UNROUTED, retention=RETENTION, dry_run=True)
    change = replay(redis, router("pay", on="request.completed"), UNROUTED, retention=RETENTION)
    after = inbox_counts.read(redis)

    assert (before.unrouted, before.unrouted_decisions) == (2, 1)
    assert planned == change == Change(effects=1, examples=(f"pay|{KEY}",))
    assert states(redis) == {"pay": "due"}
    assert (after.unrouted, after.unrouted_decisions) == (1, 0)


async def test_a_replay_of_unrouted_events_leaves_routed_ones_alone(inbox: WorkerInbox, redis: Redis) -> None:
    await inbox.accept([delivery()])
    await settle(inbox, notify="done")

    assert replay(redis, router("pay"), UNROUTED, retention=RETENTION) == Change(effects=0)
    assert inbox_counts.read(redis).unrouted == 0


async def test_an_outcome_that_is_not_the_decision_is_not_counted_as_unrouted(inbox: WorkerInbox, redis: Redis) -> None:
    words_of_its_own = {"request_id": REQUEST, "decision": "approved", "reviewer_id": "u1"}
    body = {"event": "request.completed", "timestamp": ago(60), "data": words_of_its_own}
    await inbox.accept([delivery(msgspec.json.encode(body), trust="signed"), delivery()])
    await settle(inbox)

    assert [event.state for event in search.events(redis, Filter()).events] == ["unrouted", "unrouted"]
    assert inbox_counts.read(redis).unrouted == 1


async def test_a_conflict_that_no_route_wants_is_no_unrouted_decision(inbox: WorkerInbox, redis: Redis) -> None:
    await inbox.accept([delivery()])
    await settle(inbox, pay="done")
    await inbox.accept([delivery(payload(response="Reject"))])
    await settle(inbox)

    counts = inbox_counts.read(redis)
    assert (counts.unrouted, counts.unrouted_decisions) == (1, 0)


async def test_unrouted_events_are_forgotten_with_their_records(inbox: WorkerInbox, redis: Redis) -> None:
    await inbox.accept([delivery()])
    await settle(inbox)
    redis.delete(keys.event(KEY))
    for index in (keys.UNROUTED, keys.UNROUTED_DECISIONS):
        redis.zadd(index, {KEY: 1.0})

    Trimmer(redis, retention=RETENTION).trim()

    assert (redis.exists(keys.UNROUTED), redis.exists(keys.UNROUTED_DECISIONS)) == (0, 0)
