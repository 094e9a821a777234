"""Cases that the model found: effects that wait for ever or behind their own event, and work that ends too early."""

import pytest
from redis import Redis
from redis.asyncio import Redis as AsyncRedis

from tests.builders import ago, claimed, delivery, key, payload, routed
from tests.workers.inbox.api_reading import save_notes
from tests.workers.inbox.invariants import broken
from tests.workers.inbox.one_worker import OneWorker
from tests.workers.inbox.passing_time import DAY, pass_time
from tests.workers.inbox.stuck_work import find_stuck
from workers import Router
from workers.inbox import keys
from workers.inbox.tracker.reconcile_lease import Note
from workers.inbox.worker_inbox import WorkerInbox

REQUEST = "66c0ffee00000000000000a1"
APPROVED, REJECTED = payload(), payload(response="Reject")
RETENTION = 30 * DAY


@pytest.fixture
def inbox(async_redis: AsyncRedis) -> WorkerInbox:
    return WorkerInbox(async_redis, retention=RETENTION, lease=15.0)


async def accept(inbox: WorkerInbox, body: bytes, trust: str) -> None:
    await inbox.accept([delivery(body, trust=trust)])


def find_open(redis: Redis, times: int = 3) -> None:
    """HITL.sh's API shows the request as open."""
    for _ in range(times):
        save_notes(redis, Note("open", REQUEST), retention=RETENTION)


def with_auditor() -> Router:
    router = Router()
    router.on("request.*", name="plain")(lambda decision: None)
    router.on("request.*", name="auditor", trust="confirmed", conflict=True)(lambda decision: None)
    return router


def with_conflicts() -> Router:
    router = Router()
    router.on("request.*", name="plain")(lambda decision: None)
    router.on("request.*", name="conflicts", conflict=True)(lambda decision: None)
    return router


async def test_no_effect_waits_for_a_turn_that_its_own_event_holds(inbox: WorkerInbox, redis: Redis) -> None:
    router = Router()
    router.on("request.*", name="one")(lambda decision: None)
    router.on("request.*", name="other")(lambda decision: None)
    worker = OneWorker(inbox, router)
    await accept(inbox, claimed(at=ago(50)), "signed")
    await worker.claim()
    await accept(inbox, claimed(at=ago(80)), "signed")  # it waits
    await worker.end("retry")
    await worker.end("retry")  # the turn passes on
    await worker.claim()  # both retries wait
    await worker.work(2)

    assert find_stuck(redis) == []


async def test_nothing_waits_for_another_outcome_than_the_confirmed_one(inbox: WorkerInbox, redis: Redis) -> None:
    worker = OneWorker(inbox, with_auditor())
    await accept(inbox, APPROVED, "callback")
    await worker.settle()
    await accept(inbox, REJECTED, "callback")
    await accept(inbox, APPROVED, "confirmed")
    await worker.settle()

    assert redis.zcard(keys.UNCONFIRMED) == 0
    assert redis.zscore(keys.CHECKS, REQUEST) is None  # no call is spent on it, over and over
    assert broken(redis) + find_stuck(redis) == []


async def test_what_is_overruled_while_it_is_routed_is_not_claimed_for_ever(inbox: WorkerInbox, redis: Redis) -> None:
    await accept(inbox, APPROVED, "callback")
    [item] = (await inbox.claim(1)).items
    await accept(inbox, REJECTED, "signed")
    await inbox.report([routed(item, "auditor:await-confirmed:conflict")])

    await OneWorker(inbox, with_auditor()).settle()  # raises where claims never end

    assert broken(redis) + find_stuck(redis) == []


async def test_an_event_is_not_finished_while_an_effect_of_it_runs(inbox: WorkerInbox, redis: Redis) -> None:
    worker = OneWorker(inbox, with_conflicts())
    await accept(inbox, APPROVED, "callback")
    await worker.settle()
    await accept(inbox, REJECTED, "callback")
    await worker.claim()
    await worker.claim()  # the conflict is handled
    await accept(inbox, REJECTED, "signed")
    find_open(redis)

    assert broken(redis) + find_stuck(redis) == []


async def test_a_handler_runs_once_though_the_record_of_its_effect_expired(inbox: WorkerInbox, redis: Redis) -> None:
    worker = OneWorker(inbox, with_conflicts())
    await accept(inbox, APPROVED, "signed")
    await worker.settle()
    await accept(inbox, REJECTED, "confirmed")
    pass_time(redis, 31 * DAY)  # no worker runs
    assert not redis.exists(keys.event(key(APPROVED)))
    await worker.settle()

    assert [run.response for run in worker.runs if run.handler == "plain"] == ["Approve"]
