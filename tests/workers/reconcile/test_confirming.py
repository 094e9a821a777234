"""Handlers that demand confirmation: a delivered outcome waits until HITL.sh confirms or overrules it."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from redis import Redis
from redis.asyncio import Redis as AsyncRedis

from hitl_sandbox.testing import Sandbox
from hitlsh.api import Client
from hitlsh.callbacks import CallbackSigner, CallbackState
from tests.builders import delivery, payload
from tests.inbox_records import recent
from tests.workers.inbox.invariants import broken
from tests.workers.reconcile.asked import CALLBACK_KEY, HOUR, KEY, ask, reconcile, track
from workers import Decision, Router
from workers.handlers.drain import Drain, DrainOptions
from workers.inbox import keys, request_records
from workers.inbox.worker_inbox import LeaseKeeper, WorkerInbox
from workers.settings import Settings


class Desk:
    """A router with one handler that demands confirmation and one that does not, and what they saw."""

    def __init__(self, redis: Redis, async_redis: AsyncRedis) -> None:
        self.redis = redis
        self.inbox = WorkerInbox(async_redis, retention=86_400, lease=5.0)
        self.seen: list[tuple[str, Any]] = []
        self.decisions: list[Decision] = []
        self.router = Router()

        @self.router.on("request.completed", trust="confirmed")
        def pay(decision: Decision) -> None:
            self.seen.append(("pay", decision.response))
            self.decisions.append(decision)

        @self.router.on("request.completed")
        def tell(decision: Decision) -> None:
            self.seen.append(("tell", decision.response))

    async def post(self, request: str, response: Any, *, status: str = "completed", **more: Any) -> None:
        """A callback as anybody could post it who has got hold of the URL."""
        await self.inbox.accept([delivery(payload(request, response, status), **more)])
        await self.work()

    async def work(self) -> None:
        """Until nothing is due."""
        drain = Drain(self.inbox, self.router, LeaseKeeper(self.redis, lease=5.0), DrainOptions(lease=5.0))
        running = asyncio.create_task(drain.run())
        await until(lambda: self.redis.zcard(keys.DUE) == 0)
        drain.stop()
        await running
        assert broken(self.redis) == []


async def until(true: Callable[[], bool], seconds: float = 5.0) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it did not come to pass"
        await asyncio.sleep(0.005)


@pytest.fixture
def desk(redis: Redis, async_redis: AsyncRedis) -> Desk:
    return Desk(redis, async_redis)


@pytest.mark.slow
async def test_a_confirmed_decision_is_handled_with_the_evidence_of_the_api(
    desk: Desk, redis: Redis, sandbox: Sandbox, api: Client, loop: str, settings: Settings
) -> None:
    request = ask(api, redis, loop)
    await asyncio.to_thread(sandbox.answer, request, True)
    await desk.post(request, True, trust="signed")
    assert desk.seen == [("tell", True)]

    report = await asyncio.to_thread(reconcile, settings, redis)
    await desk.work()

    assert (report.confirmed, report.overruled, report.calls) == (1, 0, 1)
    assert desk.seen == [("tell", True), ("pay", True)]
    assert (desk.decisions[0].trust, desk.decisions[0].reviewer.name) == ("confirmed", None)
    assert redis.zcard(keys.CHECKS) == redis.zcard(keys.UNCONFIRMED) == 0


async def test_another_answer_at_hitl_sh_overrules_the_delivered_one(
    desk: Desk, redis: Redis, sandbox: Sandbox, api: Client, loop: str, settings: Settings, caplog: Any
) -> None:
    request = ask(api, redis, loop)
    await asyncio.to_thread(sandbox.answer, request, False)
    await desk.post(request, True)

    report = await asyncio.to_thread(reconcile, settings, redis)
    await desk.work()

    assert report.overruled == 1
    assert desk.seen == [("tell", True), ("pay", False)]
    assert (desk.decisions[0].conflict, desk.decisions[0].overrules) == (False, True)
    assert "decision.overruled" in caplog.text
    assert redis.zcard(keys.OVERRULED) == 1


async def test_what_is_open_at_hitl_sh_is_asked_again_before_it_is_overruled(
    desk: Desk, redis: Redis, sandbox: Sandbox, api: Client, loop: str, settings: Settings
) -> None:
    request = ask(api, redis, loop)
    await desk.post(request, True)

    for looks in range(3):
        assert redis.zcard(keys.OVERRULED) == 0, looks
        redis.hdel(keys.request(request), "hold")
        await asyncio.to_thread(reconcile, settings, redis)

    assert redis.zcard(keys.OVERRULED) == 1
    assert request_records.read(redis, request).outcome is None
    assert redis.zscore(keys.CHECKS, request) is not None


@pytest.mark.slow
async def test_the_true_answer_after_a_forged_one_is_handled(
    desk: Desk, redis: Redis, sandbox: Sandbox, api: Client, loop: str, settings: Settings
) -> None:
    request = ask(api, redis, loop)
    await desk.post(request, True)
    for _ in range(3):
        redis.hdel(keys.request(request), "hold")
        await asyncio.to_thread(reconcile, settings, redis)

    await asyncio.to_thread(sandbox.answer, request, True)
    await desk.post(request, True, trust="signed")
    report = await asyncio.to_thread(reconcile, settings, redis)
    await desk.work()

    assert report.confirmed == 1
    assert desk.seen.count(("pay", True)) == 1


async def test_a_request_unknown_to_hitl_sh_overrules_the_delivered_outcome(
    desk: Desk, redis: Redis, sandbox: Sandbox, api: Client, loop: str, settings: Settings
) -> None:
    await desk.post("66c0ffee00000000000000a1", True)

    for _ in range(3):
        redis.hdel(keys.request("66c0ffee00000000000000a1"), "hold")
        await asyncio.to_thread(reconcile, settings, redis)

    [event] = recent(redis)
    assert event.overruled == "missing"
    assert desk.seen == [("tell", True)]
    assert redis.zcard(keys.CHECKS) == 0


async def test_the_state_of_an_unknown_callback_url_is_believed_only_of_its_own_request(
    desk: Desk, redis: Redis, sandbox: Sandbox, api: Client, loop: str, settings: Settings
) -> None:
    signer = CallbackSigner([CALLBACK_KEY])
    token = signer.mint({"order": 7})
    own = ask(api, redis, loop, known=False, callback_url=signer.url("http://127.0.0.1:9", token))
    other = ask(api, redis, loop, known=False)
    for request in (own, other):
        await asyncio.to_thread(sandbox.answer, request, True)
        await desk.post(request, True, callback_id=signer.read(token).id, state={"order": 7})

    await asyncio.to_thread(reconcile, settings, redis)
    await desk.work()

    assert {decision.request_id: decision.state for decision in desk.decisions} == {own: {"order": 7}, other: None}


async def test_the_callback_url_of_one_request_says_nothing_of_another(
    desk: Desk, redis: Redis, sandbox: Sandbox, api: Client, loop: str, settings: Settings
) -> None:
    leaked, target = ask(api, redis, loop, known=False), ask(api, redis, loop, known=False)
    track(redis, leaked, CallbackState(id="token-of-another", state=None))

    await desk.post(target, True, callback_id="token-of-another")

    [event] = recent(redis)
    assert (event.state, event.overruled) == ("misused", "another request's callback URL")
    assert desk.seen == []
    await desk.post(target, False, trust="signed")
    assert desk.seen == [("tell", False)]


@pytest.mark.slow
async def test_many_requests_that_wait_for_confirmation_share_a_page(
    desk: Desk, redis: Redis, sandbox: Sandbox, api: Client, loop: str, settings: Settings
) -> None:
    requests = [ask(api, redis, loop) for _ in range(30)]
    for request in requests:
        await asyncio.to_thread(sandbox.answer, request, True)
    await desk.inbox.accept([delivery(payload(request, True), trust="signed") for request in requests])
    await desk.work()

    report = await asyncio.to_thread(reconcile, settings, redis)
    await desk.work()

    assert (report.confirmed, report.calls) == (30, 1)
    assert desk.seen.count(("pay", True)) == 30


async def test_a_reconcile_run_that_found_it_first_leaves_nothing_to_prove(
    desk: Desk, redis: Redis, sandbox: Sandbox, api: Client, loop: str, settings: Settings
) -> None:
    request = ask(api, redis, loop)
    await asyncio.to_thread(sandbox.answer, request, True)
    await asyncio.to_thread(sandbox.advance, 2 * HOUR)
    await asyncio.to_thread(reconcile, settings, redis)

    await desk.work()
    await desk.post(request, True)

    assert sorted(desk.seen) == [("pay", True), ("tell", True)]


async def test_a_forged_delivery_cannot_keep_the_true_decision_from_handlers_that_demand_confirmation(
    desk: Desk, redis: Redis, sandbox: Sandbox, api: Client, loop: str, settings: Settings
) -> None:
    paid: list[Decision] = []
    desk.router = Router()
    desk.router.on("request.completed", loop=loop, response=True, trust="confirmed", name="pay")(paid.append)
    request = ask(api, redis, loop)
    await asyncio.to_thread(sandbox.answer, request, True)

    await desk.post(request, True)  # forged: the body names another loop
    await desk.inbox.accept([delivery(payload(request, True, loop_id=loop))])
    await desk.work()
    at_leisure = redis.zscore(keys.CHECKS, request)
    redis.hdel(keys.request(request), "hold")
    await asyncio.to_thread(reconcile, settings, redis)
    await desk.work()

    assert at_leisure > time.time() * 1000
    assert [decision.loop_id for decision in paid] == [loop]


@pytest.mark.slow
async def test_a_forged_outcome_of_another_kind_is_overruled(
    desk: Desk, redis: Redis, sandbox: Sandbox, api: Client, loop: str, settings: Settings
) -> None:
    request = ask(api, redis, loop)
    await asyncio.to_thread(sandbox.answer, request, True)

    await desk.post(request, None, status="cancelled")
    redis.hdel(keys.request(request), "hold")
    await asyncio.to_thread(reconcile, settings, redis)
    await desk.work()

    assert desk.seen.count(("pay", True)) == 1


async def test_what_was_asked_through_us_is_never_overruled_because_a_key_may_not_see_it(
    desk: Desk, redis: Redis, sandbox: Sandbox, api: Client, loop: str, settings: Settings
) -> None:
    other = "hitl_test_of_the_same_owner_0123456789ab"
    sandbox.add_key(other, email="owner@example.com")
    request = ask(api, redis, loop)
    await asyncio.to_thread(sandbox.answer, request, True)
    await desk.post(request, True, trust="signed")

    for key in (other, other, other, KEY):
        redis.hdel(keys.request(request), "hold")
        await asyncio.to_thread(reconcile, replace(settings, api_key=key), redis)
    await desk.work()

    assert ("pay", True) in desk.seen
