"""Whatever dies, fails, repeats and is forged while a question is asked: one request a loop, one outcome for all."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Any

import pytest
from redis import Redis
from redis.asyncio import Redis as AsyncRedis

from hitl_sandbox.testing import Sandbox
from hitlsh.api.errors import ApiError
from hitlsh.api.questions.new_question import Escalation, NewQuestion
from hitlsh.asking.ask_errors import AskError
from hitlsh.asking.ask_outcomes import Answered
from hitlsh.asking.asked_request import AskedRequest
from tests.workers.asking.asked import (
    Died,
    created,
    deliver,
    die_at,
    let_requests_time_out,
    let_time_pass,
    reconcile,
    wrong_links,
)
from tests.workers.inbox.one_worker import OneWorker
from workers import Router
from workers.asking import AskingService
from workers.inbox import keys
from workers.inbox.worker_inbox import WorkerInbox
from workers.settings import Settings

pytestmark = pytest.mark.slow

LOOPS = ("On call", "Directors")
INDEXES = (keys.QUESTIONS_UNBOUND, keys.QUESTIONS_DUE, keys.QUESTIONS_OPEN, keys.QUESTIONS_QUEUED)
Call = Callable[[AskingService], Awaitable[Any]]


class Storm:
    """One question, and everything that can happen to it."""

    def __init__(
        self,
        settings: Settings,
        redis: Redis,
        async_redis: AsyncRedis,
        sandbox: Sandbox,
        question: NewQuestion,
        seed: int,
    ) -> None:
        self._settings, self._redis, self._async_redis = settings, redis, async_redis
        self._sandbox, self._question = sandbox, question
        self._chance = random.Random(seed)
        router = Router()
        router.on("request.*", name="settle")(lambda decision: None)
        router.on("request.*", name="transfer", trust="confirmed")(lambda decision: None)
        self.worker = OneWorker(WorkerInbox(async_redis, retention=86_400, lease=15.0), router)
        #: Requests of other programs that have timed out.
        self.foreign: list[str] = []

    async def blow(self, count: int) -> None:
        happenings: Sequence[Callable[[], Awaitable[None]]] = (
            self._submit, self._submit, self._run_due, self._run_due, self._submit_at_once, self._cancel, self._fail,
            self._answer, self._time_out, self._deliver, self._deliver, self._forge, self._deliver_foreign, self._claim,
            self._claim, self._kill_worker, self._reconcile, self._expire, self._let_time_pass, self._let_time_pass,
        )  # fmt: skip
        for _ in range(count):
            await self._chance.choice(happenings)()

    async def calm_down(self) -> AskedRequest:
        """Everything works again, every request ends, and its webhook arrives."""
        self._sandbox.clear_faults()
        async with AskingService(self._settings, self._async_redis) as service:
            asked = (await service.submit(self._question)).request
            for trust in ("signed", "confirmed"):
                await self._let_all_end(service, trust)
            shown = await service.get(asked.id)
        assert shown is not None
        return shown

    async def _let_all_end(self, service: AskingService, trust: str) -> None:
        for _ in range(4):
            await self._let_time_pass()
            await service.run_due()
            await self._time_out()
            for request in created(self._sandbox):
                await self._deliver_truth(request, trust)
            await self._kill_worker()
            await self.worker.settle()
            if not self.open_indexes():
                return

    def open_indexes(self) -> list[str]:
        """Those with a question."""
        return [name for name in INDEXES if self._redis.exists(name)]

    async def _call(self, call: Call) -> None:
        """A process calls, and may die."""
        async with AskingService(self._settings, self._async_redis) as service:
            if self._chance.random() < 0.5:
                die_at(service, self._chance.randint(1, 14))
            with suppress(Died, ApiError, AskError):
                await call(service)

    async def _submit(self) -> None:
        await self._call(lambda service: service.submit(self._question))

    async def _run_due(self) -> None:
        await self._call(lambda service: service.run_due())

    async def _submit_at_once(self) -> None:
        await asyncio.gather(self._submit(), self._run_due(), self._submit(), self._deliver())

    async def _cancel(self) -> None:
        for name in self._redis.scan_iter(keys.question("*")):
            if self._chance.random() < 0.3:
                question_id = name.decode().rpartition(":")[2]
                await self._call(lambda service, chosen=question_id: service.cancel(chosen))  # type: ignore[misc]

    async def _fail(self) -> None:
        status, stage = self._chance.choice([(429, "before"), (500, "before"), (503, "after"), (502, "after")])
        method = self._chance.choice(["POST", "GET"])
        self._sandbox.fault("error", status=status, stage=stage, match={"method": method})

    async def _answer(self) -> None:
        for request in created(self._sandbox):
            if request["status"] == "pending" and self._chance.random() < 0.3:
                self._sandbox.answer(request["id"], self._chance.choice(["Approve", "Reject"]))

    async def _time_out(self) -> None:
        let_requests_time_out(self._sandbox, self._redis)

    async def _deliver(self) -> None:
        for request in created(self._sandbox):
            if self._chance.random() < 0.6:
                await self._deliver_truth(request, self._chance.choice(["callback", "signed", "confirmed"]))

    async def _deliver_truth(self, request: dict[str, Any], trust: str) -> None:
        if request["status"] == "pending":
            return
        url = request["callback_url"] if trust == "callback" else None
        outcome, response = request["status"], request.get("response_data")
        await deliver(self._async_redis, request["id"], outcome, response, trust=trust, callback_url=url)

    async def _forge(self) -> None:
        for request in created(self._sandbox):
            outcome = self._chance.choice(["completed", "timeout", "cancelled"])
            await deliver(self._async_redis, request["id"], outcome, callback_url=request["callback_url"])

    async def _deliver_foreign(self) -> None:
        self.foreign.append(f"66c0ffee00000000000000{len(self.foreign):02x}")
        await deliver(self._async_redis, self.foreign[-1], "timeout", trust="signed")

    async def _claim(self) -> None:
        await self.worker.claim(3)
        await self.worker.work(2)

    async def _kill_worker(self) -> None:
        self.worker.die()
        await self.worker.expire_leases(self._redis)

    async def _reconcile(self) -> None:
        self._redis.delete(keys.RECONCILE_LEASE)
        for member in self._redis.zrange(keys.CHECKS, 0, -1):
            self._redis.zadd(keys.CHECKS, {member: 0})
        await reconcile(self._settings, self._redis)

    async def _expire(self) -> None:
        """The record of a superseded request expires."""
        for name in self._redis.scan_iter(keys.request("*")):
            if self._redis.hexists(name, "superseded"):
                self._redis.delete(name)

    async def _let_time_pass(self) -> None:
        let_time_pass(self._redis)


@pytest.mark.parametrize("seed", range(36))
async def test_a_question_has_one_request_a_loop_and_one_outcome(
    settings: Settings, async_redis: AsyncRedis, redis: Redis, question: Callable[..., NewQuestion], sandbox: Sandbox,
    seed: int,
) -> None:  # fmt: skip
    escalations = tuple(Escalation(loop=loop, timeout_seconds=600) for loop in LOOPS[: seed % 3])
    trust = ("callback", "signed", "confirmed")[seed // 3 % 3]
    storm = Storm(settings, redis, async_redis, sandbox, question(escalate_to=escalations, trust=trust), seed)

    await storm.blow(10 + seed % 15)
    shown = await storm.calm_down()

    asked = [step.request_id for step in shown.steps if step.request_id is not None]
    timed_out = {f"request.timeout:{step.request_id}" for step in shown.steps[:-1] if step.outcome == "timed_out"}
    handled = {run.event_key for run in storm.worker.begun}
    assert [request["id"] for request in created(sandbox)] == asked
    assert shown.outcome is not None
    if isinstance(shown.outcome, Answered) and shown.outcome.trust == "confirmed":
        assert shown.outcome.response == created(sandbox)[-1]["response_data"]
    assert handled & timed_out == set()
    assert {f"request.timeout:{request_id}" for request_id in storm.foreign} <= handled
    assert wrong_links(redis) == []
    assert storm.open_indexes() == []
