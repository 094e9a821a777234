"""Guarantees of the inbox, on a real server."""

import time

import pytest
from redis import Redis
from redis.asyncio import Redis as AsyncRedis

from tests.builders import claimed, delivery, key, payload, routed, settled
from tests.inbox_records import recent
from workers.inbox import keys, request_records
from workers.inbox.claims import ClaimedItem
from workers.inbox.queries import lookup
from workers.inbox.worker_inbox import LeaseKeeper, WorkerInbox

RETENTION = 3_600


@pytest.fixture
def inbox(async_redis: AsyncRedis) -> WorkerInbox:
    return WorkerInbox(async_redis, retention=RETENTION, lease=15.0)


def short(async_redis: AsyncRedis) -> WorkerInbox:
    """An inbox whose leases expire at once."""
    return WorkerInbox(async_redis, retention=RETENTION, lease=0.001)


async def claim_routed(inbox: WorkerInbox, *handlers: str) -> list[ClaimedItem]:
    """Claim the only event, route it, and return its effects as leased to this worker."""
    [item] = (await inbox.claim(10)).items
    await inbox.report([routed(item, *handlers)])
    return [item.first_attempt(handler) for handler in handlers]


# -- accept ------------------------------------------------------------------------------------------


async def test_an_event_is_kept_and_due(inbox: WorkerInbox, redis: Redis) -> None:
    verdicts, drains = await inbox.accept([delivery()])

    assert (verdicts, drains) == (["accepted"], 0)
    assert redis.zcard(keys.DUE) == 1
    record = lookup.event(redis, key(payload()))
    assert record is not None
    assert (record.state, record.trust, record.body) == ("due", "callback", payload())


async def test_a_duplicate_is_counted_and_changes_nothing(inbox: WorkerInbox, redis: Redis) -> None:
    await inbox.accept([delivery()])

    verdicts, _ = await inbox.accept([delivery()])

    assert verdicts == ["duplicate"]
    record = lookup.event(redis, key(payload()))
    assert record is not None
    assert record.deliveries == 2
    assert redis.zcard(keys.DUE) == 1


async def test_a_duplicate_within_one_batch_is_one_event(inbox: WorkerInbox, redis: Redis) -> None:
    verdicts, _ = await inbox.accept([delivery(), delivery()])

    assert verdicts == ["accepted", "duplicate"]
    assert redis.zcard(keys.DUE) == 1


async def test_a_stronger_proof_of_the_same_event_is_kept(inbox: WorkerInbox, redis: Redis) -> None:
    await inbox.accept([delivery(trust="callback")])
    await inbox.accept([delivery(trust="signed")])
    await inbox.accept([delivery(trust="callback")])

    record = lookup.event(redis, key(payload()))
    assert record is not None
    assert record.trust == "signed"


async def test_the_first_outcome_stands_and_a_second_is_a_conflict(inbox: WorkerInbox, redis: Redis) -> None:
    first, second = payload(status="timeout"), payload(response="Approve")
    await inbox.accept([delivery(first)])

    verdicts, _ = await inbox.accept([delivery(second)])

    assert verdicts == ["conflict"]
    request = request_records.read(redis, "66c0ffee00000000000000a1")
    assert request is not None
    assert (request.outcome, request.event) == ("timeout", key(first))
    record = lookup.event(redis, key(second))
    assert record is not None
    assert record.conflict


async def test_another_answer_to_the_same_request_is_a_conflict_of_its_own(inbox: WorkerInbox, redis: Redis) -> None:
    await inbox.accept([delivery(payload(response="Approve"))])

    verdicts, _ = await inbox.accept([delivery(payload(response="Reject"))])
    again, _ = await inbox.accept([delivery(payload(response="Reject"))])

    assert (verdicts, again) == (["conflict"], ["duplicate"])
    [first] = (await inbox.claim(10)).items
    await inbox.report([routed(first)])
    [second] = (await inbox.claim(10)).items
    assert (first.stored.conflict, second.stored.conflict) == (False, True)
    assert second.stored.event.key == second.lease.event_key


async def test_the_same_answer_in_another_form_is_no_conflict(inbox: WorkerInbox) -> None:
    await inbox.accept([delivery(payload(response="Approve with Warning"))])

    verdicts, _ = await inbox.accept([delivery(payload(response_data="approve_with_warning"))])

    assert verdicts == ["duplicate"]


async def test_a_late_claim_never_undoes_an_outcome(inbox: WorkerInbox, redis: Redis) -> None:
    await inbox.accept([delivery(payload())])
    verdicts, _ = await inbox.accept([delivery(claimed())])

    assert verdicts == ["accepted"]
    request = request_records.read(redis, "66c0ffee00000000000000a1")
    assert request is not None
    assert (request.status, request.outcome) == ("completed", "completed")
    record = lookup.event(redis, key(claimed()))
    assert record is not None
    assert record.late


async def test_unfinished_work_never_expires(inbox: WorkerInbox, redis: Redis) -> None:
    await inbox.accept([delivery()])
    await inbox.claim(1)

    assert redis.ttl(keys.event(key(payload()))) == -1
    assert redis.ttl(keys.request("66c0ffee00000000000000a1")) == -1


async def test_an_unreadable_body_is_quarantined_and_not_due(inbox: WorkerInbox, redis: Redis) -> None:
    await inbox.accept([delivery(b'{"hello": 1}')])

    assert redis.zcard(keys.DUE) == 0
    [kept] = recent(redis)
    assert (kept.state, kept.body) == ("quarantined", b'{"hello": 1}')
    assert redis.zcard(keys.QUARANTINE) == 1


# -- claim -------------------------------------------------------------------------------------------


async def test_a_claimed_item_is_nobody_elses_until_its_lease_runs_out(async_redis: AsyncRedis) -> None:
    inbox = WorkerInbox(async_redis, retention=RETENTION, lease=0.05)
    await inbox.accept([delivery()])
    first = await inbox.claim(10)
    meanwhile = await inbox.claim(10)
    time.sleep(0.06)
    after = await inbox.claim(10)

    assert (len(first.items), len(meanwhile.items), len(after.items)) == (1, 0, 1)
    assert (first.items[0].crashes, after.items[0].crashes) == (0, 1)
    assert after.items[0].lease.token != first.items[0].lease.token
    assert meanwhile.next_due_in is not None
    assert 0 < meanwhile.next_due_in <= 0.05


async def test_a_claim_takes_no_more_than_it_is_asked_for(inbox: WorkerInbox) -> None:
    await inbox.accept([delivery(payload(request_id=f"66c0ffee00000000000000{n:02}")) for n in range(5)])

    assert len((await inbox.claim(3)).items) == 3


async def test_the_state_of_the_callback_url_comes_back(inbox: WorkerInbox) -> None:
    await inbox.accept([delivery(callback_id="c1", state={"order": 0})])

    [item] = (await inbox.claim(1)).items

    assert item.stored.callback is not None
    assert item.stored.callback.state == {"order": 0}


# -- report ------------------------------------------------------------------------------------------


async def test_an_event_is_done_when_all_its_effects_are(inbox: WorkerInbox, redis: Redis) -> None:
    await inbox.accept([delivery()])
    pay, notify = await claim_routed(inbox, "pay", "notify")

    await inbox.report([settled(pay, "done")])
    halfway = lookup.event(redis, pay.lease.event_key)
    await inbox.report([settled(notify, "done")])
    record = lookup.event(redis, pay.lease.event_key)

    assert halfway is not None
    assert record is not None
    assert (halfway.state, record.state) == ("routed", "done")
    assert [effect.state for effect in record.effects] == ["done", "done"]
    assert (redis.zcard(keys.DUE), redis.hlen(keys.LEASES)) == (0, 0)
    assert 0 < redis.ttl(keys.event(pay.lease.event_key)) <= RETENTION
    assert 0 < redis.ttl(keys.request("66c0ffee00000000000000a1")) <= RETENTION


async def test_an_event_that_nobody_wants_is_kept_as_unrouted(inbox: WorkerInbox, redis: Redis) -> None:
    await inbox.accept([delivery()])
    await claim_routed(inbox)

    record = lookup.event(redis, key(payload()))

    assert record is not None
    assert record.state == "unrouted"
    assert redis.zcard(keys.DUE) == 0


async def test_a_retry_is_due_later_and_counts(inbox: WorkerInbox, redis: Redis) -> None:
    await inbox.accept([delivery()])
    [pay] = await claim_routed(inbox, "pay")

    await inbox.report([settled(pay, "retry", after=0.02, error="ValueError: no")])
    early = await inbox.claim(10)
    time.sleep(0.03)
    [again] = (await inbox.claim(10)).items

    assert early.items == []
    assert (again.lease.handler, again.attempt, again.errors, again.crashes) == ("pay", 2, 1, 0)


async def test_a_failed_effect_is_visible_and_keeps_its_event(inbox: WorkerInbox, redis: Redis) -> None:
    await inbox.accept([delivery()])
    [pay] = await claim_routed(inbox, "pay")

    await inbox.report([settled(pay, "failed", error="ValueError: no")])

    record = lookup.event(redis, pay.lease.event_key)
    assert record is not None
    assert [(effect.state, effect.error) for effect in record.effects] == [("failed", "ValueError: no")]
    assert redis.zrange(keys.FAILED, 0, -1) == [f"pay|{pay.lease.event_key}".encode()]
    assert redis.ttl(keys.event(pay.lease.event_key)) == -1


async def test_a_worker_that_lost_its_lease_cannot_settle(async_redis: AsyncRedis, redis: Redis) -> None:
    inbox = short(async_redis)
    await inbox.accept([delivery()])
    [stale] = await claim_routed(inbox, "pay")
    time.sleep(0.005)
    [fresh] = (await inbox.claim(10)).items

    heard = await inbox.report([settled(stale, "done")])
    heard_fresh = await inbox.report([settled(fresh, "done")])

    assert (heard, heard_fresh) == ([False], [True])


async def test_a_worker_that_lost_its_lease_cannot_route(async_redis: AsyncRedis, redis: Redis) -> None:
    inbox = short(async_redis)
    await inbox.accept([delivery()])
    [stale] = (await inbox.claim(10)).items
    time.sleep(0.005)
    [fresh] = (await inbox.claim(10)).items

    assert await inbox.report([routed(stale, "pay:run")]) == [False]
    assert await inbox.report([routed(fresh, "pay:run")]) == [True]


async def test_a_report_may_be_repeated_when_its_reply_was_lost(inbox: WorkerInbox, redis: Redis) -> None:
    await inbox.accept([delivery()])
    [item] = (await inbox.claim(10)).items
    pay = item.first_attempt("pay")
    lines = [routed(item, "pay:run,notify:run"), settled(pay, "done")]

    assert await inbox.report(lines) == [True, True]
    assert await inbox.report(lines) == [True, True]

    record = lookup.event(redis, item.lease.event_key)
    assert record is not None
    assert record.state == "routed"
    assert [effect.state for effect in record.effects] == ["done", "running"]


async def test_an_effect_without_its_handler_is_held_until_the_handler_is_back(
    inbox: WorkerInbox, redis: Redis
) -> None:
    await inbox.accept([delivery()])
    [pay] = await claim_routed(inbox, "pay")

    await inbox.report([settled(pay, "held")])
    nothing = await inbox.claim(10)
    resumed_other = await inbox.resume(["notify"], limit=10)
    resumed = await inbox.resume(["pay"], limit=10)
    [again] = (await inbox.claim(10)).items

    assert (nothing.items, resumed_other.resumed, resumed.resumed) == ([], 0, 1)
    assert (again.lease.handler, again.attempt) == ("pay", 1)


async def test_a_released_effect_is_due_at_once_and_counts_no_attempt(inbox: WorkerInbox) -> None:
    await inbox.accept([delivery()])
    [pay] = await claim_routed(inbox, "pay")

    await inbox.report([settled(pay, "release")])
    [again] = (await inbox.claim(10)).items

    assert (again.attempt, again.crashes) == (1, 0)


async def test_renewed_leases_last_and_lost_ones_are_named(async_redis: AsyncRedis, redis: Redis) -> None:
    inbox = short(async_redis)
    await inbox.accept([delivery()])
    [item] = (await inbox.claim(10)).items
    keeper = LeaseKeeper(redis, lease=15.0)

    lost = keeper.renew([(item.lease.member, item.lease.token), ("|other", 1)])

    assert lost == ["|other"]
    time.sleep(0.005)
    assert (await inbox.claim(10)).items == []


async def test_scripts_survive_a_server_that_forgot_them(inbox: WorkerInbox, redis: Redis) -> None:
    await inbox.accept([delivery()])
    redis.script_flush()

    assert len((await inbox.claim(10)).items) == 1


async def test_every_key_carries_the_one_hash_tag(inbox: WorkerInbox, redis: Redis) -> None:
    await inbox.accept([delivery(), delivery(b"[]")])
    [pay] = await claim_routed(inbox, "pay")
    await inbox.report([settled(pay, "failed", error="no")])

    assert {name[:7] for name in redis.keys("*")} == {b"{hitl}:"}


async def test_the_last_two_attempts_that_went_wrong_are_kept(async_redis: AsyncRedis, redis: Redis) -> None:
    inbox = short(async_redis)
    await inbox.accept([delivery()])
    [pay] = await claim_routed(inbox, "pay")
    await inbox.report([settled(pay, "retry", error="ValueError: one")])
    await inbox.claim(10)  # and dies with it
    time.sleep(0.005)
    [third] = (await inbox.claim(10)).items
    await inbox.report([settled(third, "failed", error="ValueError: three")])

    record = lookup.event(redis, pay.lease.event_key)
    assert record is not None
    assert [
        (attempt.number, attempt.end, attempt.error.split(":")[0]) for attempt in record.effects[0].failed_attempts
    ] == [
        (2, "crashed", "the worker died, or lost its lease"),
        (3, "failed", "ValueError"),
    ]
    assert all(attempt.seconds >= 0 for attempt in record.effects[0].failed_attempts)


async def test_a_claim_whose_answer_was_lost_is_answered_again(inbox: WorkerInbox, redis: Redis) -> None:
    await inbox.accept([delivery(payload("r1")), delivery(payload("r2"))])
    lost = await inbox.claim(10, claimant="d")
    inbox._answered_claims["d"] = 0

    other = await inbox.claim(10, claimant="e")
    again = await inbox.claim(10, claimant="d")
    after = await inbox.claim(10, claimant="d")

    assert [(item.lease.member, item.lease.token, item.attempt, item.crashes) for item in again.items] == [
        (item.lease.member, item.lease.token, item.attempt, item.crashes) for item in lost.items
    ]
    assert other.items == after.items == []


async def test_what_was_settled_meanwhile_is_not_given_again(inbox: WorkerInbox, redis: Redis) -> None:
    await inbox.accept([delivery(payload("r1"))])
    [item] = (await inbox.claim(10, claimant="d")).items
    await inbox.report([routed(item)])
    inbox._answered_claims["d"] = 0

    assert (await inbox.claim(10, claimant="d")).items == []
