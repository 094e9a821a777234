"""The timeout of a loop that escalates runs no handler, also while its request is not bound to the question."""

import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from redis import Redis
from redis.asyncio import Redis as AsyncRedis

from hitl_sandbox.testing import Sandbox
from hitlsh.api.questions.new_question import Escalation, NewQuestion
from hitlsh.asking.ask_outcomes import TimedOut
from hitlsh.callbacks import CallbackSigner
from tests.workers.asking.asked import (
    SECRET,
    Died,
    created,
    deliver,
    die_at,
    let_requests_time_out,
    let_time_pass,
    wrong_links,
)
from tests.workers.inbox.invariants import broken
from tests.workers.inbox.one_worker import OneWorker
from workers import Router
from workers.asking import AskingService
from workers.inbox import keys
from workers.inbox.worker_inbox import WorkerInbox
from workers.settings import Settings

Build = Callable[..., NewQuestion]
#: Of one ask without a fault: before and after each of its writes and calls.
BOUNDARIES = 10
#: A request of another program.
FOREIGN = "66c0ffee00000000000000f0"


@pytest.fixture
def escalating(question: Build) -> NewQuestion:
    return question(escalate_to=(Escalation(loop="On call", timeout_seconds=600),))


@pytest.fixture
def worker(async_redis: AsyncRedis) -> OneWorker:
    router = Router()
    router.on("request.*", name="settle")(lambda decision: None)
    return OneWorker(WorkerInbox(async_redis, retention=86_400, lease=15.0), router)


@pytest.fixture
async def unbound(service: AskingService, escalating: NewQuestion, sandbox: Sandbox, redis: Redis) -> str:
    """The request of a question whose creation was answered with an error, and which has timed out."""
    sandbox.fault("error", status=502, stage="after", match={"method": "POST"})
    await service.submit(escalating)
    let_requests_time_out(sandbox, redis)
    return str(created(sandbox)[0]["id"])


def handled(worker: OneWorker) -> list[str]:
    return [run.event_key for run in worker.begun]


async def repair(service: AskingService, redis: Redis, worker: OneWorker) -> None:
    """Let the question be repaired, and then the work of a worker be done."""
    let_time_pass(redis)
    await service.run_due()
    await worker.settle()


@pytest.mark.slow
@pytest.mark.parametrize("delivered", ["callback", "signed", "confirmed"])
@pytest.mark.parametrize("boundary", range(1, BOUNDARIES + 1))
async def test_a_timeout_runs_no_handler_wherever_the_process_died(
    settings: Settings, async_redis: AsyncRedis, redis: Redis, escalating: NewQuestion, sandbox: Sandbox,
    worker: OneWorker, delivered: str, boundary: int,
) -> None:  # fmt: skip
    async with AskingService(settings, async_redis) as dying:
        die_at(dying, boundary)
        with suppress(Died):
            await dying.submit(escalating)
    let_requests_time_out(sandbox, redis)
    for request in created(sandbox):
        url = request["callback_url"] if delivered == "callback" else None
        await deliver(async_redis, request["id"], "timeout", trust=delivered, callback_url=url)

    await worker.settle()
    async with AskingService(settings, async_redis) as service:
        asked = (await service.submit(escalating)).request
        for _ in range(3):
            let_time_pass(redis)
            await service.run_due()
            await worker.settle()
        before = handled(worker)
        for request in created(sandbox):
            await deliver(async_redis, request["id"], "timeout", trust="signed")
            await service.run_due()
        await deliver(async_redis, created(sandbox)[-1]["id"], "timeout", trust="signed")
        await worker.settle()
        shown = await service.get(asked.id)

    assert before == []
    assert shown is not None
    assert [request["id"] for request in created(sandbox)] == [step.request_id for step in shown.steps]
    assert isinstance(shown.outcome, TimedOut)
    assert handled(worker) == [f"request.timeout:{shown.request_id}"]
    assert (wrong_links(redis), broken(redis), redis.exists(keys.QUESTIONS_UNBOUND)) == ([], [], 0)


@pytest.mark.parametrize("trust", ["callback", "signed"])
async def test_a_timeout_waits_until_its_question_is_bound(
    service: AskingService, async_redis: AsyncRedis, redis: Redis, sandbox: Sandbox, worker: OneWorker, unbound: str,
    trust: str,
) -> None:  # fmt: skip
    url = created(sandbox)[0]["callback_url"] if trust == "callback" else None
    await deliver(async_redis, unbound, "timeout", trust=trust, callback_url=url)

    await worker.settle()
    waiting = redis.hget(keys.event(f"request.timeout:{unbound}"), "state")
    await repair(service, redis, worker)

    assert waiting == b"due"
    assert handled(worker) == []
    assert redis.hget(keys.event(f"request.timeout:{unbound}"), "state") == b"unrouted"
    assert redis.zcard(keys.DUE) == 0


async def test_timeouts_of_other_requests_go_on_once_the_question_is_bound(
    service: AskingService, async_redis: AsyncRedis, redis: Redis, worker: OneWorker, unbound: str
) -> None:
    await deliver(async_redis, FOREIGN, "timeout", trust="signed")

    await worker.settle()
    before = handled(worker)
    await repair(service, redis, worker)

    assert before == []
    assert handled(worker) == [f"request.timeout:{FOREIGN}"]
    assert (broken(redis), redis.zcard(keys.DUE)) == ([], 0)


async def test_timeouts_go_on_if_hitl_sh_has_no_request_of_the_question(
    service: AskingService, async_redis: AsyncRedis, redis: Redis, escalating: NewQuestion, sandbox: Sandbox,
    worker: OneWorker,
) -> None:  # fmt: skip
    sandbox.fault("error", status=502, stage="before", match={"method": "POST"})
    await service.submit(escalating)
    let_requests_time_out(sandbox, redis)
    await deliver(async_redis, FOREIGN, "timeout", trust="signed")

    await worker.settle()
    before = handled(worker)
    await repair(service, redis, worker)

    assert before == []
    assert handled(worker) == [f"request.timeout:{FOREIGN}"]


@pytest.mark.usefixtures("unbound")
async def test_what_cannot_be_the_timeout_of_the_question_does_not_wait(
    async_redis: AsyncRedis, redis: Redis, worker: OneWorker
) -> None:
    signer = CallbackSigner([SECRET])
    await deliver(async_redis, FOREIGN, "timeout", callback_url=signer.url("http://127.0.0.1:9", signer.mint()))
    await deliver(async_redis, "66c0ffee00000000000000f1", "cancelled", trust="signed")
    await deliver(async_redis, "66c0ffee00000000000000f2", trust="signed")
    older = "66c0ffee00000000000000f3"
    redis.hset(keys.request(older), mapping={"created_at": time.time() - 1_000, "learned": "listing"})
    await deliver(async_redis, older, "timeout", trust="signed")

    await worker.settle()

    assert len(handled(worker)) == 4


async def test_a_question_that_is_being_asked_holds_up_no_other_request(
    service: AskingService, async_redis: AsyncRedis, escalating: NewQuestion, sandbox: Sandbox, worker: OneWorker
) -> None:
    sandbox.fault("error", status=502, stage="after", match={"method": "POST"})
    await service.submit(escalating)
    await deliver(async_redis, FOREIGN, "timeout", trust="signed")

    await worker.settle()

    assert handled(worker) == [f"request.timeout:{FOREIGN}"]


@pytest.mark.usefixtures("unbound")
async def test_a_question_that_was_never_repaired_holds_up_no_other_request(
    async_redis: AsyncRedis, redis: Redis, worker: OneWorker
) -> None:
    for token_id in redis.zrange(keys.QUESTIONS_UNBOUND, 0, -1):
        redis.zincrby(keys.QUESTIONS_UNBOUND, -3 * 86_400, token_id)
    await deliver(async_redis, FOREIGN, "timeout", trust="signed")

    await worker.settle()

    assert handled(worker) == [f"request.timeout:{FOREIGN}"]


async def test_a_timeout_waits_a_day_at_the_most(
    async_redis: AsyncRedis, redis: Redis, worker: OneWorker, unbound: str
) -> None:
    event = f"request.timeout:{unbound}"
    await deliver(async_redis, unbound, "timeout", trust="signed")
    await worker.settle()

    redis.hincrby(keys.event(event), "unbound_since", -86_400)
    redis.zadd(keys.DUE, {f"|{event}": 0})
    await worker.settle()

    assert handled(worker) == [event]


async def test_a_binding_leaves_what_a_worker_holds_to_it(
    service: AskingService, async_redis: AsyncRedis, redis: Redis, worker: OneWorker, unbound: str
) -> None:
    event = f"request.timeout:{FOREIGN}"
    await deliver(async_redis, FOREIGN, "timeout", trust="signed")
    await worker.settle()
    redis.hincrby(keys.event(event), "unbound_since", -86_400)
    redis.zadd(keys.DUE, {f"|{event}": 0})

    held = await worker._inbox.claim(1, caller="suspect")
    let_time_pass(redis)
    await service.run_due()
    other = await worker._inbox.claim(1, caller="suspect")

    assert [item.lease.event_key for item in held.items] == [event]
    assert other.items == []


async def test_the_timeout_of_a_question_without_escalation_does_not_wait(
    service: AskingService, async_redis: AsyncRedis, question: Build, sandbox: Sandbox, worker: OneWorker
) -> None:
    sandbox.fault("error", status=502, stage="after", match={"method": "POST"})
    await service.submit(question())
    request_id: Any = created(sandbox)[0]["id"]
    await deliver(async_redis, request_id, "timeout", trust="signed")

    await worker.settle()

    assert handled(worker) == [f"request.timeout:{request_id}"]
