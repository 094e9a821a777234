"""Stale events are stored and not routed; tombstones remain when records have expired."""

import pytest
from redis import Redis
from redis.asyncio import Redis as AsyncRedis

from tests.builders import RECEIVED, ago, claimed, delivery, key, payload
from tests.inbox_clock import advance
from tests.workers.inbox.invariants import broken
from tests.workers.inbox.one_worker import OneWorker
from workers import Router
from workers.inbox import keys, request_records
from workers.inbox.operations.failures import discard
from workers.inbox.operations.replaying import replay
from workers.inbox.queries import lookup
from workers.inbox.queries.search import Filter, events
from workers.inbox.worker_inbox import WorkerInbox

DAY = 86_400
RETENTION = 30 * DAY
REQUEST = "66c0ffee00000000000000a1"
KEY = key(payload())


@pytest.fixture
def inbox(async_redis: AsyncRedis) -> WorkerInbox:
    return WorkerInbox(async_redis, retention=RETENTION, lease=15.0)


@pytest.fixture
def router() -> Router:
    made = Router()
    made.on("*", name="pay")(lambda decision: None)
    return made


def ended(days: float, **more: object) -> bytes:
    return payload(response_at=ago(days * DAY), **more)


async def accept(inbox: WorkerInbox, body: bytes, **more: object) -> str:
    [verdict], _ = await inbox.accept([delivery(body, **more)])
    return verdict


def forget(redis: Redis) -> None:
    """Expire the records; the tombstone remains."""
    redis.delete(keys.event(KEY), keys.request(REQUEST))


@pytest.mark.parametrize("trust", ["callback", "signed", "confirmed"])
async def test_what_ended_before_the_retention_is_kept_and_not_routed(
    inbox: WorkerInbox, redis: Redis, router: Router, trust: str
) -> None:
    verdict = await accept(inbox, ended(31), trust=trust)
    repeated = await accept(inbox, ended(31), trust=trust)
    record = lookup.event(redis, KEY)

    assert record is not None
    assert (verdict, repeated, record.state, record.deliveries) == ("stale", "duplicate", "stale", 2)
    assert (await inbox.claim(10)).items == []
    assert 0 < redis.ttl(keys.event(KEY)) <= RETENTION
    assert broken(redis) == []


async def test_what_is_stale_can_be_found_and_replayed(inbox: WorkerInbox, redis: Redis, router: Router) -> None:
    await accept(inbox, ended(31))
    worker = OneWorker(inbox, router)

    change = replay(redis, router, [REQUEST], retention=RETENTION)
    await worker.settle()

    assert (change.effects, [run.handler for run in worker.runs]) == (1, ["pay"])
    assert broken(redis) == []


async def test_what_is_tracked_as_open_is_delivered_however_late(inbox: WorkerInbox, redis: Redis) -> None:
    await accept(inbox, claimed())

    assert await accept(inbox, ended(31)) == "accepted"


async def test_what_ended_before_the_first_start_with_the_api_key_is_stale(inbox: WorkerInbox, redis: Redis) -> None:
    redis.hset(keys.RECONCILE_STATE, "since", RECEIVED.timestamp() - DAY)

    assert [await accept(inbox, ended(days, request_id=f"r{days}")) for days in (2, 0.5)] == ["stale", "accepted"]


async def test_what_has_no_time_of_its_own_is_new_unless_a_tombstone_exists(
    inbox: WorkerInbox, redis: Redis, router: Router
) -> None:
    body = payload(response_at=None)
    assert await accept(inbox, body) == "accepted"
    await OneWorker(inbox, router).settle()
    forget(redis)

    assert await accept(inbox, body) == "duplicate"
    assert await accept(inbox, payload(response="Reject", response_at=None)) == "stale"
    assert (await inbox.claim(10)).items == []


async def test_a_tombstone_outlives_the_callback_urls_of_its_request(
    inbox: WorkerInbox, redis: Redis, router: Router
) -> None:
    await accept(inbox, payload())
    before = redis.exists(keys.tombstone(REQUEST))
    await OneWorker(inbox, router).settle()

    assert (before, redis.get(keys.tombstone(REQUEST)).split()[0]) == (0, b"completed")
    assert redis.ttl(keys.tombstone(REQUEST)) >= RETENTION + 40 * DAY


async def test_what_ended_is_not_tracked_again_by_what_comes_after(
    inbox: WorkerInbox, redis: Redis, router: Router
) -> None:
    """A captured `claimed` does not make a request open again whose record has expired."""
    await accept(inbox, payload())
    await OneWorker(inbox, router).settle()
    forget(redis)

    assert [await accept(inbox, claimed()), await accept(inbox, ended(1))] == ["stale", "duplicate"]
    assert redis.zscore(keys.CHECKS, REQUEST) is None


async def test_a_stale_forgery_does_not_stand_where_the_true_decision_comes(
    inbox: WorkerInbox, redis: Redis, router: Router
) -> None:
    worker = OneWorker(inbox, router)
    assert await accept(inbox, ended(400)) == "stale"

    assert await accept(inbox, payload(), trust="signed") == "accepted"
    await worker.settle()

    assert [(run.handler, run.trust) for run in worker.runs] == [("pay", "signed")]


# -- what callback URLs may speak of -----------------------------------------------------------------------------

TURN = b'{"event": "turn.resolved", "turn": {"id": "t1", "status": "resolved", "human_decision": "Approve"}}'
OTHER_TURN = TURN.replace(b"t1", b"t2")
LOOP = b'{"event": "loop.deleted", "timestamp": "2026-01-01T00:00:00Z", "data": {"loop": {"id": "l1", "name": "Desk"}}}'


async def test_a_token_may_report_only_its_request(inbox: WorkerInbox, redis: Redis) -> None:
    redis.set(f"{keys.PREFIX}token:bound", "another")

    verdicts = [await accept(inbox, body, callback_id="bound") for body in (payload(), TURN, LOOP)]

    assert verdicts == ["misused"] * 3
    assert (await inbox.claim(10)).items == []


async def test_a_token_without_a_request_may_report_one_turn(inbox: WorkerInbox, redis: Redis) -> None:
    verdicts = [await accept(inbox, body, callback_id="unbound") for body in (TURN, TURN, OTHER_TURN, LOOP)]

    assert verdicts == ["accepted", "duplicate", "misused", "misused"]


async def test_signed_deliveries_may_report_anything(inbox: WorkerInbox, redis: Redis) -> None:
    assert [await accept(inbox, body, trust="signed") for body in (TURN, OTHER_TURN)] == ["accepted", "accepted"]
    assert await accept(inbox, LOOP.replace(b"2026-01-01T00:00:00Z", ago(5).encode()), trust="signed") == "accepted"


async def test_a_request_cannot_be_named_like_a_member_of_our_own(inbox: WorkerInbox, redis: Redis) -> None:
    redis.zadd(keys.CHECKS, {"*": 5})

    await accept(inbox, claimed("*"))
    await accept(inbox, payload("*"))

    assert redis.zscore(keys.CHECKS, "*") == 5


async def test_stale_events_are_listed(inbox: WorkerInbox, redis: Redis) -> None:
    await accept(inbox, ended(31))

    assert [event.key for event in events(redis, Filter(state="stale")).events] == [KEY]


async def test_an_open_request_is_tracked_for_longer_than_any_request_lives(inbox: WorkerInbox, redis: Redis) -> None:
    """HITL.sh may be away, or its webhooks lost, for longer than that."""
    await accept(inbox, claimed(), trust="signed")
    await accept(inbox, claimed("made-up"))
    advance(redis, 62 * DAY)

    assert (redis.exists(keys.request(REQUEST)), redis.exists(keys.request("made-up"))) == (1, 0)


@pytest.mark.parametrize(("weaker", "stronger"), [("callback", "signed"), ("signed", "confirmed")])
async def test_a_tombstone_of_weaker_evidence_does_not_block_the_decision(
    inbox: WorkerInbox, redis: Redis, router: Router, weaker: str, stronger: str
) -> None:
    """Handlers that began for the weaker evidence do not begin again, the others do."""
    router.on("*", name="careful", trust=stronger)(lambda decision: None)
    worker = OneWorker(inbox, router)
    await accept(inbox, ended(1), trust=weaker)
    await worker.settle()
    discard(redis, Filter(state="unconfirmed"), reason="nobody confirms it", retention=RETENTION)
    await worker.settle()
    forget(redis)

    verdict = await accept(inbox, ended(0.5, response="Reject"), trust=stronger)
    repeated = await accept(inbox, ended(0.5, response="Reject"), trust=stronger)
    await worker.settle()

    assert (verdict, repeated) == ("overruled", "duplicate")
    assert [(run.handler, run.response) for run in worker.runs] == [("pay", "Approve"), ("careful", "Reject")]
    assert request_records.read(redis, REQUEST).effects["pay"] == "expired"
    assert broken(redis) == []


async def test_stronger_evidence_from_before_the_horizon_is_stale(
    inbox: WorkerInbox, redis: Redis, router: Router
) -> None:
    await accept(inbox, ended(1), trust="callback")
    await OneWorker(inbox, router).settle()
    forget(redis)

    assert await accept(inbox, ended(0.5, response="Reject"), trust="callback") == "stale"
    assert await accept(inbox, ended(31, response="Reject"), trust="confirmed") == "duplicate"
    assert await accept(inbox, ended(31, response="Later"), trust="confirmed") == "stale"
