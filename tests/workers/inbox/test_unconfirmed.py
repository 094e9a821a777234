"""Effects that wait until HITL.sh confirms their event, on a real server."""

from collections.abc import AsyncIterator
from functools import partial
from typing import Any

import pytest
from redis import Redis
from redis.asyncio import Redis as AsyncRedis

from tests.builders import delivery, key, payload, routed, settled
from tests.workers.inbox.invariants import broken
from workers import Router
from workers.inbox import keys
from workers.inbox.claims import ClaimedItem
from workers.inbox.event_records import EventRecord
from workers.inbox.operations import pausing
from workers.inbox.operations.failures import ChangeRefused, discard, retry
from workers.inbox.operations.replaying import replay
from workers.inbox.queries import lookup
from workers.inbox.queries.search import Filter, events
from workers.inbox.worker_inbox import WorkerInbox

RETENTION = 3_600
KEY = key(payload())
REQUEST = "66c0ffee00000000000000a1"
REJECTED = payload(response="Reject")


@pytest.fixture
async def inbox(async_redis: AsyncRedis, redis: Redis) -> AsyncIterator[WorkerInbox]:
    yield WorkerInbox(async_redis, retention=RETENTION, lease=15.0)
    assert broken(redis) == []


def record(redis: Redis, event_key: str = KEY) -> EventRecord:
    found = lookup.event(redis, event_key)
    assert found is not None
    return found


def states(redis: Redis, event_key: str = KEY) -> dict[str, str]:
    return {one.handler: one.state for one in record(redis, event_key).effects}


async def claim_routed(inbox: WorkerInbox, *names: str, body: bytes | None = None) -> ClaimedItem:
    """Accept one event and route it to these effects."""
    await inbox.accept([delivery(body)])
    [item] = (await inbox.claim(10)).items
    await inbox.report([routed(item, *names)])
    return item


async def confirm(inbox: WorkerInbox, body: bytes | None = None) -> None:
    """Accept the outcome as read from HITL.sh's API by a reconcile run."""
    await inbox.accept([delivery(body, trust="confirmed")])


def expire_leases(redis: Redis) -> None:
    redis.zadd(keys.DUE, dict.fromkeys(redis.hkeys(keys.LEASES), 0), xx=True)


def demanding(*names: str, **conditions: Any) -> Router:
    made = Router()
    for name in names:
        made.on("request.*", name=name, trust="confirmed", **conditions)(partial(str))
    return made


# -- waiting -----------------------------------------------------------------------------------------


async def test_what_waits_is_neither_begun_nor_due_and_its_request_is_worth_a_call(
    inbox: WorkerInbox, redis: Redis
) -> None:
    await claim_routed(inbox, "pay:await-confirmed")

    assert (await inbox.claim(10)).items == []
    assert (states(redis), record(redis).effects[0].attempts) == ({"pay": "unconfirmed"}, 0)
    assert redis.zrange(keys.UNCONFIRMED, 0, -1) == [f"pay|{KEY}".encode()]
    assert redis.smembers(keys.unconfirmed(REQUEST)) == {KEY.encode()}
    assert redis.zscore(keys.CHECKS, REQUEST) <= redis.time()[0] * 1000 + 1000


async def test_a_call_that_is_due_sooner_stays_so(inbox: WorkerInbox, redis: Redis) -> None:
    redis.zadd(keys.CHECKS, {REQUEST: 5})
    await inbox.accept([delivery()])
    [item] = (await inbox.claim(10)).items
    redis.zadd(keys.CHECKS, {REQUEST: 5})

    await inbox.report([routed(item, "pay:await-confirmed")])

    assert redis.zscore(keys.CHECKS, REQUEST) == 5


async def test_an_event_and_its_request_do_not_expire_while_something_waits(inbox: WorkerInbox, redis: Redis) -> None:
    item = await claim_routed(inbox, "notify", "pay:await-confirmed")
    await inbox.report([settled(item, "done", "notify")])

    assert (record(redis).state, redis.ttl(keys.event(KEY)), redis.ttl(keys.request(REQUEST))) == ("routed", -1, -1)


async def test_the_turn_passes_on_while_something_waits(inbox: WorkerInbox, redis: Redis) -> None:
    await inbox.accept([delivery(), delivery(REJECTED)])
    [first] = (await inbox.claim(10)).items

    await inbox.report([routed(first, "pay:await-confirmed")])
    [second] = (await inbox.claim(10)).items
    await inbox.report([routed(second)])

    assert second.lease.event_key.startswith(f"{KEY}#")


async def test_a_routing_that_was_lost_is_repeated_and_waits_once(inbox: WorkerInbox, redis: Redis) -> None:
    await inbox.accept([delivery()])
    [lost] = (await inbox.claim(10)).items
    expire_leases(redis)
    [again] = (await inbox.claim(10)).items

    heard = await inbox.report([routed(one, "pay:await-confirmed", is_suspect=True) for one in (again, lost)])
    repeated = await inbox.report([routed(again, "pay:await-confirmed", is_suspect=True)])

    assert (heard, repeated) == ([True, False], [True])
    assert (states(redis), redis.zcard(keys.UNCONFIRMED)) == ({"pay": "unconfirmed"}, 1)


async def test_an_effect_older_than_the_demand_waits_too(inbox: WorkerInbox, redis: Redis) -> None:
    item = await claim_routed(inbox, "pay")

    await inbox.report([settled(item, "unconfirmed", "pay", needs="confirmed")])
    await confirm(inbox)
    [again] = (await inbox.claim(10)).items
    await inbox.report([settled(again, "done", "pay")])

    assert (again.lease.handler, again.attempt, again.stored.trust) == ("pay", 1, "confirmed")


# -- confirmed ---------------------------------------------------------------------------------------


async def test_a_confirmation_makes_the_effect_due_with_the_confirmed_evidence(
    inbox: WorkerInbox, redis: Redis
) -> None:
    await claim_routed(inbox, "pay:await-confirmed", "notify:await-confirmed")

    await confirm(inbox, payload(metadata={"read": "at the API"}))
    items = (await inbox.claim(10)).items
    await inbox.report([settled(item, "done", item.lease.handler) for item in items])

    assert [(item.lease.handler, item.attempt, item.stored.event.metadata) for item in items] == [
        (name, 1, {"read": "at the API"}) for name in ("notify", "pay")
    ]
    assert (record(redis).state, redis.exists(keys.UNCONFIRMED, keys.unconfirmed(REQUEST))) == ("done", 0)


async def test_a_confirmation_during_the_routing_ends_the_wait(inbox: WorkerInbox, redis: Redis) -> None:
    await inbox.accept([delivery()])
    [item] = (await inbox.claim(10)).items

    await confirm(inbox)
    await inbox.report([routed(item, "pay:await-confirmed")])

    assert [one.lease.handler for one in (await inbox.claim(10)).items] == ["pay"]


async def test_a_confirmation_during_the_claim_ends_the_wait(inbox: WorkerInbox, redis: Redis) -> None:
    item = await claim_routed(inbox, "pay")

    await confirm(inbox)
    await inbox.report([settled(item, "unconfirmed", "pay", needs="confirmed")])

    [again] = (await inbox.claim(10)).items
    assert (again.lease.handler, again.attempt) == ("pay", 1)


@pytest.mark.parametrize("routing", [True, False])
async def test_evidence_confirmed_before_any_wait_contains_nothing_of_the_delivery(
    inbox: WorkerInbox, redis: Redis, *, routing: bool
) -> None:
    await inbox.accept([delivery(payload(metadata={"to": "Mallory"}), trust="signed")])
    if not routing:
        await confirm(inbox, payload(metadata={"to": "Ada"}))
    [item] = (await inbox.claim(10)).items
    if routing:
        await confirm(inbox, payload(metadata={"to": "Ada"}))

    await inbox.report([routed(item, "pay:await-confirmed,notify:await-confirmed,tell:run")])
    confirmed = (await inbox.claim(10)).items

    begun_with = ("signed", {"to": "Mallory"}) if routing else ("confirmed", {"to": "Ada"})
    assert (item.stored.trust, item.stored.event.metadata) == begun_with
    assert [(one.lease.handler, one.stored.trust, one.stored.event.metadata) for one in confirmed] == [
        (name, "confirmed", {"to": "Ada"}) for name in ("notify", "pay")
    ]


async def test_a_confirmation_without_the_callback_state_is_read_again(inbox: WorkerInbox, redis: Redis) -> None:
    await inbox.accept([delivery(callback_id="leaked", state={"to": "Mallory"})])
    await confirm(inbox)
    [item] = (await inbox.claim(10)).items

    await inbox.report([routed(item, "pay:await-confirmed")])

    assert (states(redis), redis.zscore(keys.CHECKS, REQUEST) is not None) == ({"pay": "unconfirmed"}, True)


async def test_a_repeated_delivery_confirms_nothing(inbox: WorkerInbox, redis: Redis) -> None:
    await claim_routed(inbox, "pay:await-confirmed")

    await inbox.accept([delivery(), delivery(trust="signed")])

    assert ((await inbox.claim(10)).items, states(redis)) == ([], {"pay": "unconfirmed"})


async def test_what_is_confirmed_still_waits_for_room_turn_and_pause(inbox: WorkerInbox, redis: Redis) -> None:
    await claim_routed(inbox, "pay:await-confirmed", "notify:await-confirmed")
    await claim_routed(inbox, "pay", body=payload("another"))
    pausing.pause(redis, "notify")

    await confirm(inbox)
    items = (await inbox.claim(10, caps={"pay": 0})).items

    assert (items, states(redis)) == ([], {"pay": "waiting", "notify": "paused"})


# -- overruled ------------------------------------------------------------------------------------


async def test_what_stronger_evidence_overrules_never_begins(inbox: WorkerInbox, redis: Redis) -> None:
    await claim_routed(inbox, "pay:await-confirmed")

    await confirm(inbox, REJECTED)
    [true_one] = (await inbox.claim(10)).items
    await inbox.report([routed(true_one)])

    assert (states(redis), record(redis).state) == ({"pay": "superseded"}, "overruled")
    assert record(redis).overruled == true_one.lease.event_key
    assert (true_one.lease.handler, true_one.stored.conflict, true_one.stored.overrules) == ("", False, False)


@pytest.mark.parametrize("mark", [":due", ""])
async def test_an_overruled_effect_that_is_due_ends_at_the_claim(inbox: WorkerInbox, redis: Redis, mark: str) -> None:
    item = await claim_routed(inbox, "pay:await-confirmed", f"notify{mark}")
    if not mark:
        await inbox.report([settled(item, "release", "notify")])

    await confirm(inbox, REJECTED)
    claimed_now = [one.lease.handler for one in (await inbox.claim(10)).items]

    assert "notify" not in claimed_now
    assert (states(redis)["notify"], record(redis).state) == ("superseded", "overruled")
    assert 0 < redis.ttl(keys.event(KEY)) <= RETENTION


async def test_an_overruled_effect_that_runs_may_end_but_not_be_retried(inbox: WorkerInbox, redis: Redis) -> None:
    item = await claim_routed(inbox, "pay:await-confirmed", "notify", "audit")

    await confirm(inbox, REJECTED)
    await inbox.report([settled(item, "done", "notify"), settled(item, "retry", "audit", error="ValueError: no")])

    assert states(redis) == {"pay": "superseded", "notify": "done", "audit": "superseded"}
    assert (record(redis).state, record(redis).effects[2].error) == ("overruled", "ValueError: no")
    assert [(one.number, one.end) for one in record(redis).effects[2].failed_attempts] == [(1, "retry")]


async def test_an_overruled_effect_that_a_worker_died_with_is_not_run_again(inbox: WorkerInbox, redis: Redis) -> None:
    await claim_routed(inbox, "pay:await-confirmed", "notify")
    await confirm(inbox, REJECTED)
    expire_leases(redis)

    first = (await inbox.claim(10, caps={"notify": 1})).items

    assert [one.lease.handler for one in first] in ([], [""])
    assert (states(redis)["notify"], record(redis).effects[1].crashes) == ("superseded", 1)
    assert redis.hget(keys.PREFIX + "running", "notify") is None


async def test_the_true_event_is_flagged_when_a_handler_ran_for_the_other(inbox: WorkerInbox, redis: Redis) -> None:
    item = await claim_routed(inbox, "pay:await-confirmed", "notify")
    await inbox.report([settled(item, "done", "notify")])

    await confirm(inbox, REJECTED)
    [true_one] = (await inbox.claim(10)).items
    await inbox.report([routed(true_one)])

    assert (true_one.stored.conflict, true_one.stored.overrules) == (False, True)
    assert (record(redis, true_one.lease.event_key).overrules, record(redis).conflict) == (True, True)
    assert [(one.handler, one.overruled) for one in record(redis).effects] == [("pay", False), ("notify", True)]


async def test_the_slot_of_an_overruled_effect_is_freed(inbox: WorkerInbox, redis: Redis) -> None:
    await inbox.accept([delivery(payload(one)) for one in ("0", REQUEST, "b")])
    for item in (await inbox.claim(10)).items:
        await inbox.report([routed(item, "capped:due,pay:await-confirmed")])
    [running] = (await inbox.claim(10, caps={"capped": 1})).items

    await confirm(inbox, REJECTED)
    await inbox.report([settled(running, "done", "capped")])
    begun = [one for _ in range(2) for one in (await inbox.claim(10, caps={"capped": 1})).items if one.lease.handler]

    assert [one.lease.event_key for one in (running, *begun)] == ["request.completed:0", "request.completed:b"]


# -- a person ----------------------------------------------------------------------------------------


async def test_what_waits_is_found_by_its_state(inbox: WorkerInbox, redis: Redis) -> None:
    await claim_routed(inbox, "pay:await-confirmed")
    await claim_routed(inbox, body=payload("another"))

    assert [event.key for event in events(redis, Filter(state="unconfirmed")).events] == [KEY]


async def test_what_waits_can_be_discarded_by_name(inbox: WorkerInbox, redis: Redis) -> None:
    await claim_routed(inbox, "pay:await-confirmed", "notify:await-confirmed")

    first = discard(redis, [f"pay|{KEY}"], reason="no", retention=RETENTION).effects
    still = redis.scard(keys.unconfirmed(REQUEST))
    second = discard(redis, Filter(state="unconfirmed"), reason="no", retention=RETENTION).effects

    assert (first, still, second, redis.scard(keys.unconfirmed(REQUEST))) == (1, 1, 1, 0)
    assert (states(redis), record(redis).state) == ({"pay": "discarded", "notify": "discarded"}, "done")


async def test_discarding_everything_that_failed_leaves_what_waits(inbox: WorkerInbox, redis: Redis) -> None:
    await claim_routed(inbox, "pay:await-confirmed")

    assert discard(redis, Filter(), reason="no", retention=RETENTION).effects == 0
    assert states(redis) == {"pay": "unconfirmed"}


@pytest.mark.parametrize("name", [KEY, REQUEST, f"pay|{KEY}"])
async def test_unconfirmed_effects_are_not_retried_and_the_reason_is_given(
    inbox: WorkerInbox, redis: Redis, name: str
) -> None:
    await claim_routed(inbox, "pay:await-confirmed")

    with pytest.raises(ChangeRefused, match="waits until stronger evidence confirms"):
        retry(redis, [name], retention=RETENTION)
    with pytest.raises(ChangeRefused, match="discard it"):
        replay(redis, demanding("pay"), [name], retention=RETENTION, force=True)


async def test_an_overruled_event_is_neither_retried_nor_replayed(inbox: WorkerInbox, redis: Redis) -> None:
    item = await claim_routed(inbox, "pay:await-confirmed", "notify")
    await inbox.report([settled(item, "failed", "notify", error="ValueError: no")])
    await confirm(inbox, REJECTED)

    with pytest.raises(ChangeRefused, match="was overruled by"):
        retry(redis, [f"notify|{KEY}"], retention=RETENTION)
    with pytest.raises(ChangeRefused, match="was overruled by"):
        replay(redis, demanding("notify", conflict=True), [KEY], retention=RETENTION, force=True)
    assert (
        retry(redis, Filter(), retention=RETENTION, dry_run=True).effects
        == retry(redis, Filter(), retention=RETENTION).effects
        == 0
    )


async def test_an_overruled_event_ends_once_its_failures_are_discarded(inbox: WorkerInbox, redis: Redis) -> None:
    item = await claim_routed(inbox, "pay:await-confirmed", "notify")
    await inbox.report([settled(item, "failed", "notify", error="ValueError: no")])
    await confirm(inbox, REJECTED)

    discard(redis, Filter(), reason="it never was", retention=RETENTION)

    assert record(redis).state == "overruled"


async def test_a_new_handler_that_demands_confirmation_waits_for_it_after_a_replay(
    inbox: WorkerInbox, redis: Redis
) -> None:
    await claim_routed(inbox)

    change = replay(redis, demanding("pay"), Filter(), retention=RETENTION)

    assert (change.effects, change.examples, states(redis)) == (1, (f"pay|{KEY}",), {"pay": "unconfirmed"})
    assert (record(redis).state, redis.ttl(keys.event(KEY))) == ("routed", -1)
    assert redis.zscore(keys.CHECKS, REQUEST) is not None


async def test_a_confirmed_event_is_replayed_at_once_to_handlers_that_demand_confirmation(
    inbox: WorkerInbox, redis: Redis
) -> None:
    await claim_routed(inbox)
    await confirm(inbox)

    replay(redis, demanding("pay"), Filter(), retention=RETENTION)

    assert [item.lease.handler for item in (await inbox.claim(10)).items] == ["pay"]


async def test_a_failed_effect_is_replayed_once_its_event_is_confirmed(inbox: WorkerInbox, redis: Redis) -> None:
    item = await claim_routed(inbox, "pay")
    await inbox.report([settled(item, "failed", "pay", error="ValueError: no")])

    replay(redis, demanding("pay"), Filter(), retention=RETENTION)
    before = (await inbox.claim(10)).items
    await confirm(inbox)

    assert before == []
    assert [(one.lease.handler, one.attempt) for one in (await inbox.claim(10)).items] == [("pay", 2)]
