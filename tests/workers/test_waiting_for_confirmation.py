"""Handlers that demand confirmation, with a drain on a real server."""

import asyncio
import logging
from typing import Any

import msgspec
import pytest
from redis import Redis
from redis.asyncio import Redis as AsyncRedis

from tests.builders import ago, claimed, delivery, key, payload
from tests.workers.inbox.invariants import broken
from tests.workers.test_drain import draining, finished, until
from workers import Decision, Router
from workers.inbox import keys
from workers.inbox.operations import pausing
from workers.inbox.queries import lookup
from workers.inbox.worker_inbox import WorkerInbox

KEY = key(payload())
REJECTED = payload(response="Reject")


@pytest.fixture
def inbox(async_redis: AsyncRedis) -> WorkerInbox:
    return WorkerInbox(async_redis, retention=86_400, lease=5.0)


class Payouts:
    """A handler that demands confirmation, one that does not, and what they saw."""

    def __init__(self, **options: Any) -> None:
        self.router = Router()
        self.paid: list[Decision] = []
        self.noted: list[Decision] = []
        self.router.on("request.completed", response="Approve", trust="confirmed", name="pay", **options)(self._pay)
        self.router.on("request.*", late=True, name="note")(self._note)

    async def _pay(self, decision: Decision) -> None:
        self.paid.append(decision)

    async def _note(self, decision: Decision) -> None:
        self.noted.append(decision)


def waiting(redis: Redis) -> int:
    return int(redis.zcard(keys.UNCONFIRMED))


async def confirm(inbox: WorkerInbox, body: bytes | None = None) -> None:
    await inbox.accept([delivery(body, trust="confirmed")])


async def test_a_leaked_callback_url_cannot_move_money(inbox: WorkerInbox, redis: Redis) -> None:
    payouts = Payouts()

    async with draining(inbox, redis, payouts.router):
        await inbox.accept([delivery()])
        await until(lambda: waiting(redis) == 1 and len(payouts.noted) == 1)
        await confirm(inbox, REJECTED)
        await until(lambda: waiting(redis) == 0 and redis.zcard(keys.DUE) == 0)

    record = lookup.event(redis, KEY)
    assert record is not None
    assert (payouts.paid, len(payouts.noted)) == ([], 1)  # what has noted the other does not run again
    assert (record.state, [one.state for one in record.effects]) == ("overruled", ["done", "superseded"])
    assert broken(redis) == []


async def test_what_is_confirmed_runs_once_however_often_it_is_delivered(inbox: WorkerInbox, redis: Redis) -> None:
    payouts = Payouts()

    async with draining(inbox, redis, payouts.router):
        for trust in ("callback", "callback", "signed"):
            await inbox.accept([delivery(trust=trust)])
        await until(lambda: waiting(redis) == 1)
        await asyncio.gather(confirm(inbox), confirm(inbox))
        record = await finished(redis, KEY)

    assert [(made.trust, made.attempt) for made in payouts.paid] == [("confirmed", 1)]
    assert (record.state, record.deliveries, broken(redis)) == ("done", 5, [])


async def test_what_a_reconcile_run_found_first_does_not_wait(inbox: WorkerInbox, redis: Redis) -> None:
    payouts = Payouts()

    async with draining(inbox, redis, payouts.router):
        await confirm(inbox)
        await inbox.accept([delivery()])
        await finished(redis, KEY)

    assert len(payouts.paid) == 1


async def test_a_confirmed_answer_runs_although_a_forged_one_was_delivered_first(
    inbox: WorkerInbox, redis: Redis
) -> None:
    payouts = Payouts()
    payouts.router.on("request.cancelled", trust="confirmed", name="audit")(print)

    async with draining(inbox, redis, payouts.router):
        await inbox.accept([delivery(payload(status="cancelled"))])
        await until(lambda: waiting(redis) == 2 and len(payouts.noted) == 1)  # and `pay`, to see what is true
        await confirm(inbox)
        await until(lambda: len(payouts.paid) == 1)

    assert (payouts.paid[0].conflict, payouts.paid[0].overrules) == (False, True)


async def test_a_true_answer_that_was_posted_second_runs_once_confirmed(inbox: WorkerInbox, redis: Redis) -> None:
    payouts = Payouts()

    async with draining(inbox, redis, payouts.router):
        await inbox.accept([delivery(REJECTED), delivery()])
        await until(lambda: len(payouts.noted) == 1 and redis.zcard(keys.DUE) == 0)
        await confirm(inbox)
        await until(lambda: len(payouts.paid) == 1)

    assert (payouts.paid[0].response, payouts.paid[0].overrules, len(payouts.noted)) == ("Approve", True, 1)
    assert broken(redis) == []


async def test_other_events_of_the_request_go_on_while_one_waits(inbox: WorkerInbox, redis: Redis) -> None:
    payouts = Payouts()

    async with draining(inbox, redis, payouts.router):
        await inbox.accept([delivery()])
        await until(lambda: waiting(redis) == 1)
        await inbox.accept([delivery(claimed())])
        await until(lambda: len(payouts.noted) == 2)

    assert (waiting(redis), payouts.paid, broken(redis)) == (1, [], [])


async def test_a_pause_and_a_cap_hold_for_what_was_confirmed(inbox: WorkerInbox, redis: Redis) -> None:
    payouts = Payouts(concurrency=1)
    pausing.pause(redis, "pay")

    async with draining(inbox, redis, payouts.router):
        await inbox.accept([delivery(payload(one)) for one in "abc"])
        await until(lambda: waiting(redis) == 3)
        for one in "abc":
            await confirm(inbox, payload(one))
        await until(lambda: redis.zcard(keys.HELD) == 3)
        meanwhile = list(payouts.paid)
        pausing.resume(redis, "pay")
        await until(lambda: len(payouts.paid) == 3)

    assert (meanwhile, broken(redis)) == ([], [])


async def test_a_new_trust_demand_applies_to_older_effects(inbox: WorkerInbox, redis: Redis) -> None:
    before, payouts = Router(), Payouts()

    @before.on("request.completed", name="pay", backoff=(0.01, 0.01))
    async def pay(decision: Decision) -> None:
        raise ConnectionError("the bank is away")

    await inbox.accept([delivery()])
    async with draining(inbox, redis, before):
        await until(lambda: redis.hget(keys.event(KEY), "pay:state") == b"retry")
    async with draining(inbox, redis, payouts.router):
        await until(lambda: waiting(redis) == 1)
        await confirm(inbox)
        await until(lambda: len(payouts.paid) == 1)

    assert broken(redis) == []


async def test_a_confirmed_answer_that_matches_no_condition_is_skipped_with_a_reason(
    inbox: WorkerInbox, redis: Redis, caplog: pytest.LogCaptureFixture
) -> None:
    payouts, elsewhere = Payouts(loop="66c0ffee00000000000000b1"), payload(loop_id="66c0ffee00000000000000b2")

    async with draining(inbox, redis, payouts.router):
        await inbox.accept([delivery()])
        await until(lambda: waiting(redis) == 1)
        with caplog.at_level(logging.INFO, logger="hitl.workers"):
            await confirm(inbox, elsewhere)
            record = await finished(redis, KEY)

    assert (payouts.paid, [one.state for one in record.effects]) == ([], ["done", "skipped"])
    assert f"handler.unwanted handler=pay event={KEY}" in caplog.text


@pytest.mark.slow
async def test_a_retry_keeps_its_evidence_after_a_confirmation(inbox: WorkerInbox, redis: Redis) -> None:
    payouts, told, away = Payouts(), [], [True]

    @payouts.router.on("request.completed", loop="Payouts", backoff=(0.3, 0.3))
    async def tell(decision: Decision) -> None:
        if away[0]:
            raise ConnectionError
        told.append(decision.loop_name)

    request = {"id": "r1", "status": "completed", "response_data": "Approve"}
    nested = {"event": "request.completed", "timestamp": ago(60), "data": {"request": request}}
    nested["data"]["loop"] = {"id": "b1", "name": "Payouts"}
    posted = msgspec.json.encode(nested)
    async with draining(inbox, redis, payouts.router):
        await inbox.accept([delivery(posted, trust="signed")])
        await until(lambda: redis.hget(keys.event("request.completed:r1"), "tell:state") == b"retry")
        await confirm(inbox, payload("r1"))
        away[0] = False
        await until(lambda: told == ["Payouts"] and len(payouts.paid) == 1)

    assert payouts.paid[0].trust == "confirmed"
    assert broken(redis) == []
