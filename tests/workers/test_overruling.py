"""Confirmed evidence overrules delivered outcomes, in either order of arrival."""

import pytest
from redis import Redis
from redis.asyncio import Redis as AsyncRedis

from hitlsh.webhooks.parsing import parse
from tests.builders import delivery, key, payload
from tests.workers.inbox.invariants import broken
from tests.workers.test_drain import draining, until
from tests.workers.test_waiting_for_confirmation import REJECTED, Payouts, confirm, waiting
from workers import Decision, Router
from workers.inbox import keys
from workers.inbox.queries import lookup
from workers.inbox.worker_inbox import WorkerInbox

REQUEST = "66c0ffee00000000000000a1"
KEY = key(payload())
FINGERPRINT = parse(REJECTED).fingerprint


@pytest.fixture
def inbox(async_redis: AsyncRedis) -> WorkerInbox:
    return WorkerInbox(async_redis, retention=86_400, lease=5.0)


async def nothing_due(redis: Redis) -> None:
    await until(lambda: redis.zcard(keys.DUE) == 0)


def check(redis: Redis, payouts: Payouts) -> None:
    """Check that the true answer ran once, and is the decision."""
    assert broken(redis) == []
    assert [decision.response for decision in payouts.paid] == ["Approve"]
    assert redis.hget(keys.request(REQUEST), "outcome") == b"completed"


async def test_the_true_answer_kept_as_a_conflict_takes_its_place_once_confirmed(
    inbox: WorkerInbox, redis: Redis
) -> None:
    payouts = Payouts()

    async with draining(inbox, redis, payouts.router):
        for body in (REJECTED, None):
            await inbox.accept([delivery(body)])
            await nothing_due(redis)
        await confirm(inbox)
        await nothing_due(redis)

    check(redis, payouts)


async def test_it_does_so_while_effects_wait_for_confirmation_of_the_false_one(
    inbox: WorkerInbox, redis: Redis
) -> None:
    payouts = Payouts()

    @payouts.router.on("request.completed", trust="confirmed")
    def strict(_decision: Decision) -> None: ...

    async with draining(inbox, redis, payouts.router):
        await inbox.accept([delivery(REJECTED)])
        await until(lambda: waiting(redis) == 2 and redis.zcard(keys.DUE) == 0)
        await inbox.accept([delivery()])
        await nothing_due(redis)
        await confirm(inbox)
        await nothing_due(redis)

    check(redis, payouts)


async def test_an_overruling_decision_runs_on_all_routes_if_nothing_had_begun(inbox: WorkerInbox, redis: Redis) -> None:
    payouts, router = Payouts(), Router()
    router.on("request.completed", response="Reject", trust="confirmed", name="strict")(print)
    router.on("request.completed", response="Approve", name="pay")(payouts._pay)

    async with draining(inbox, redis, router):
        await inbox.accept([delivery(REJECTED)])
        await until(lambda: waiting(redis) == 1 and redis.zcard(keys.DUE) == 0)
        await inbox.accept([delivery()])
        await nothing_due(redis)
        assert payouts.paid == []
        await confirm(inbox)
        await nothing_due(redis)

    check(redis, payouts)


@pytest.mark.parametrize("posted", [True, False])
async def test_what_is_confirmed_before_the_false_one_is_routed_is_handled(
    inbox: WorkerInbox, redis: Redis, *, posted: bool
) -> None:
    payouts = Payouts()
    await inbox.accept([delivery(REJECTED)])
    if posted:
        await inbox.accept([delivery()])
    await confirm(inbox)

    async with draining(inbox, redis, payouts.router):
        await nothing_due(redis)
        await until(lambda: bool(payouts.paid))

    check(redis, payouts)


async def test_begun_effects_are_flagged_and_do_not_run_again(inbox: WorkerInbox, redis: Redis) -> None:
    payouts, router = Payouts(), Router()
    router.on("request.completed", name="pay")(payouts._pay)

    async with draining(inbox, redis, router):
        await inbox.accept([delivery()])
        await nothing_due(redis)
        await confirm(inbox, REJECTED)
        await nothing_due(redis)

    check(redis, payouts)
    record = lookup.event(redis, KEY)
    assert record is not None
    assert ([effect.overruled for effect in record.effects], record.conflict) == ([True], True)
    assert redis.hget(keys.request(REQUEST), "event") == f"{KEY}#{FINGERPRINT}".encode()
