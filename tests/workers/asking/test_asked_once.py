"""A question is asked once, wherever the process that asks it dies, and however often it is asked again."""

import asyncio
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import msgspec
import pytest
from redis import Redis
from redis.asyncio import Redis as AsyncRedis

from hitl_sandbox.testing import Sandbox
from hitlsh.api.errors import ApiError
from hitlsh.api.questions.new_question import NewQuestion, encode_question
from hitlsh.asking.ask_errors import AskRefused, KeyConflict
from hitlsh.asking.ask_outcomes import Lost
from service.local.embedded_server import EmbeddedServer
from tests.workers.asking.asked import KEY, SECRET, Died, created, die_at, let_time_pass, shuffled, wrong_links
from workers.asking import AskingService
from workers.inbox import keys
from workers.settings import Settings

pytestmark = pytest.mark.slow

Build = Callable[..., NewQuestion]
#: Of one ask without a fault: before and after each of its writes and calls.
BOUNDARIES = 10


async def test_the_same_key_and_question_is_the_same_request(
    service: AskingService, question: Build, sandbox: Sandbox
) -> None:
    first = await service.submit(question())
    again = await service.submit(question(when_limited="refuse"))

    assert (first.is_new, again.is_new) == (True, False)
    assert again.request.id == first.request.id
    assert again.request.request_id == first.request.request_id is not None
    assert len(created(sandbox)) == 1


async def test_another_question_with_the_key_says_what_differs(
    service: AskingService, question: Build, sandbox: Sandbox
) -> None:
    await service.submit(question())

    with pytest.raises(KeyConflict) as conflict:
        await service.submit(question(text="Refund 130 EUR?", state={"order": 43}))

    assert conflict.value.fields == ("state", "text")
    assert len(created(sandbox)) == 1


async def test_questions_without_a_key_are_all_asked(service: AskingService, question: Build, sandbox: Sandbox) -> None:
    for _ in range(2):
        await service.submit(question(key=None))

    assert len(created(sandbox)) == 2


async def test_two_processes_that_ask_at_once_ask_once(
    settings: Settings, async_redis: AsyncRedis, question: Build, sandbox: Sandbox
) -> None:
    services = [AskingService(settings, async_redis) for _ in range(5)]

    submitted = await asyncio.gather(*(service.submit(question()) for service in services))

    assert len({one.request.id for one in submitted}) == 1
    assert [one.is_new for one in submitted].count(True) == 1
    assert len(created(sandbox)) == 1
    for service in services:
        await service.close()


async def test_a_question_is_asked_once_although_the_api_key_was_replaced(
    settings: Settings, async_redis: AsyncRedis, service: AskingService, question: Build, sandbox: Sandbox
) -> None:
    first = await service.submit(question())
    rotated = replace(settings, api_key="hitl_test_of_the_next_year", earlier_api_keys=(KEY,))

    async with AskingService(rotated, async_redis) as later:
        again = await later.submit(question())
        with pytest.raises(KeyConflict):
            await later.submit(question(text="Refund 130 EUR?"))

    assert (again.is_new, again.request.id, len(created(sandbox))) == (False, first.request.id, 1)


@pytest.mark.parametrize("boundary", range(1, BOUNDARIES + 1))
async def test_a_process_that_dies_at_any_step_has_asked_once(
    settings: Settings, async_redis: AsyncRedis, redis: Redis, question: Build, sandbox: Sandbox, boundary: int
) -> None:
    async with AskingService(settings, async_redis) as dying:
        die_at(dying, boundary)
        with pytest.raises(Died):
            await dying.submit(question())
    assert wrong_links(redis) == []

    async with AskingService(settings, async_redis) as service:
        at_once = await service.submit(question())
        before = len(created(sandbox))
        let_time_pass(redis)
        await service.run_due()
        after = await service.get(at_once.request.id)

    assert before <= 1
    assert after is not None
    assert (after.status, len(created(sandbox))) == ("open", 1)
    assert after.request_id == created(sandbox)[0]["id"]


@pytest.mark.parametrize("batch", range(10))
async def test_a_question_is_asked_once_despite_crashes_and_failures(
    settings: Settings, async_redis: AsyncRedis, redis: Redis, question: Build, sandbox: Sandbox, batch: int
) -> None:
    for seed in range(10 * batch, 10 * batch + 10):
        redis.flushall()
        chance = shuffled(seed)
        loop = chance.choice([question().loop, "Payouts"])
        asked = question(key=f"seed-{seed}", text=f"Refund {seed} EUR?", loop=loop)

        status = await ask_despite_crashes_and_failures(settings, async_redis, redis, sandbox, asked, chance)

        created_here = [request for request in created(sandbox) if request["request_text"] == asked.text]
        assert (status, len(created_here)) == ("open", 1), f"seed {seed}"


async def ask_despite_crashes_and_failures(
    settings: Settings,
    async_redis: AsyncRedis,
    redis: Redis,
    sandbox: Sandbox,
    asked: NewQuestion,
    chance: random.Random,
) -> str:
    """Its status when all works again."""
    for _ in range(chance.randint(1, 4)):
        if chance.random() < 0.5:
            sandbox.fault(
                "error", status=chance.choice([500, 502, 503]), stage=chance.choice(["before", "after"]),
                match={"method": chance.choice(["POST", "GET"])},
            )  # fmt: skip
        async with AskingService(settings, async_redis) as dying:
            die_at(dying, chance.randint(1, BOUNDARIES + 4))
            try:
                if chance.random() < 0.7:
                    await dying.submit(asked)
                else:
                    await dying.run_due()
            except Died:
                pass
        if chance.random() < 0.6:
            let_time_pass(redis)

    sandbox.clear_faults()
    async with AskingService(settings, async_redis) as service:
        await service.submit(asked)
        for _ in range(3):
            let_time_pass(redis)
            await service.run_due()
        return (await service.submit(asked)).request.status


#: For each line of a boundary and a question: a process that asks, and kills itself at the boundary. Prints how it
#: ended.
DIES = """
import asyncio, os, signal, sys
from redis.asyncio import Redis
from hitlsh.api.questions.new_question import decode_question
from tests.workers.asking.asked import Died, die_at
from workers.asking import AskingService
from workers.settings import Settings

async def ask(boundary, question):
    service = AskingService(Settings.from_env(), Redis.from_url(os.environ["REDIS_URL"]))
    die_at(service, int(boundary))
    try:
        await service.submit(decode_question(question))
    except Died:
        os.kill(os.getpid(), signal.SIGKILL)

for line in sys.stdin:
    child = os.fork()
    if child == 0:
        asyncio.run(ask(*line.split(maxsplit=1)))
        os._exit(0)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


@pytest.fixture(scope="module")
def dying_processes(server: EmbeddedServer, running_sandbox: Sandbox) -> Iterator["subprocess.Popen[str]"]:
    """One program, whose forks start sooner than programs of their own would."""
    environment = os.environ | {
        "REDIS_URL": server.url,
        "HITL_API_KEY": KEY,
        "HITL_BASE_URL": running_sandbox.base_url,
        "HITL_CALLBACK_SECRETS": SECRET,
        "HITL_PUBLIC_URL": "http://127.0.0.1:9",
    }
    words = [sys.executable, "-c", DIES]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment) as program:
        yield program
        program.kill()


@pytest.mark.parametrize("boundary", range(1, BOUNDARIES + 1))
async def test_a_killed_process_has_asked_once(
    settings: Settings,
    async_redis: AsyncRedis,
    redis: Redis,
    question: Build,
    sandbox: Sandbox,
    dying_processes: "subprocess.Popen[str]",
    boundary: int,
) -> None:
    asks, ends = dying_processes.stdin, dying_processes.stdout
    assert asks is not None
    assert ends is not None

    print(boundary, encode_question(question()).decode(), file=asks, flush=True)
    died = await asyncio.to_thread(ends.readline)
    assert wrong_links(redis) == []

    async with AskingService(settings, async_redis) as service:
        await service.submit(question())
        let_time_pass(redis)
        await service.run_due()
        last = await service.submit(question())
    assert died == f"{-signal.SIGKILL}\n"
    assert (last.request.status, len(created(sandbox))) == ("open", 1)


async def test_a_reply_that_is_lost_is_looked_for_and_not_asked_again(
    service: AskingService, question: Build, sandbox: Sandbox, redis: Redis
) -> None:
    sandbox.fault("error", status=502, stage="after", match={"method": "POST"})

    first = await service.submit(question())
    again = await service.submit(question())
    let_time_pass(redis)
    repaired = await service.submit(question())

    assert [one.request.status for one in (first, again, repaired)] == ["asking", "asking", "open"]
    assert [request["id"] for request in created(sandbox)] == [repaired.request.request_id]


async def test_while_hitl_sh_fails_attempts_and_repairs_get_rarer(
    service: AskingService, question: Build, sandbox: Sandbox, redis: Redis
) -> None:
    sandbox.fault("error", status=503, stage="before", match={"method": "POST"}, times=None)

    def seconds_until_due(request_id: str) -> float:
        due = redis.zscore(keys.QUESTIONS_DUE, request_id)
        assert due is not None
        return due / 1000 - time.time()

    request = (await service.submit(question())).request
    pauses = [seconds_until_due(request.id)]
    for _ in range(3):
        let_time_pass(redis)
        await service.run_due()
        pauses.append(seconds_until_due(request.id))
    sandbox.fault("error", status=503, stage="before", match={"method": "GET"}, times=None)
    let_time_pass(redis)
    record = redis.hget(keys.question(request.id), "record")
    assert record is not None
    aged = msgspec.json.decode(record)
    aged["steps"][0]["begun_at"] -= 1_000
    redis.hset(keys.question(request.id), "record", msgspec.json.encode(aged))
    await service.run_due()

    assert [round(pause, -1) for pause in pauses] == [60, 120, 240, 480]
    assert 490 < seconds_until_due(request.id) < 520


async def test_what_hitl_sh_refuses_leaves_nothing_behind(
    service: AskingService, question: Build, sandbox: Sandbox, redis: Redis
) -> None:
    sandbox.fault("error", status=400, stage="before", match={"method": "POST"})

    with pytest.raises(Exception, match="answered 400"):
        await service.submit(question())
    asked = await service.submit(question())

    assert (asked.is_new, asked.request.status, len(created(sandbox))) == (True, "open", 1)


async def test_a_suspended_process_cancels_its_duplicate_request(
    settings: Settings, async_redis: AsyncRedis, redis: Redis, service: AskingService, question: Build, sandbox: Sandbox
) -> None:
    async with AskingService(settings, async_redis) as held_up:
        create, released, reached = held_up._creator.create, asyncio.Event(), asyncio.Event()

        async def create_late(*arguments: object) -> object:
            reached.set()
            await released.wait()
            return await create(*arguments)  # type: ignore[arg-type]

        held_up._creator.create = create_late  # type: ignore[assignment]
        late = asyncio.create_task(held_up.submit(question()))
        await asyncio.wait_for(reached.wait(), 10)
        let_time_pass(redis)
        assert (await service.submit(question())).request.status == "open"
        released.set()
        shown = (await late).request

    statuses = sorted((request["id"] == shown.request_id, request["status"]) for request in created(sandbox))
    assert statuses == [(False, "cancelled"), (True, "pending")]


@contextmanager
def held_up(service: AskingService) -> Iterator[tuple[asyncio.Event, asyncio.Event]]:
    """A service that creates nothing before the second event; the first tells that it is about to."""
    create, reached, released = service._creator.create, asyncio.Event(), asyncio.Event()

    async def create_late(*arguments: Any) -> Any:
        reached.set()
        await released.wait()
        return await create(*arguments)

    vars(service._creator)["create"] = create_late
    yield reached, released


@pytest.mark.parametrize("status", [400, 429])
async def test_a_process_that_joined_a_refused_question_sees_it_lost_and_may_ask_again(
    settings: Settings, async_redis: AsyncRedis, service: AskingService, question: Build, sandbox: Sandbox, status: int
) -> None:
    asked = question(when_limited="refuse")
    async with AskingService(settings, async_redis) as first:
        with held_up(first) as (reached, released):
            sandbox.fault("error", status=status, stage="before", match={"method": "POST"})
            refused = asyncio.create_task(first.submit(asked))
            await reached.wait()
            joined = (await service.submit(asked)).request
            released.set()
            with pytest.raises((ApiError, AskRefused)):
                await refused

    told = await service.get(joined.id)
    listed = await service.list_open()
    again = await service.submit(asked)

    assert joined.status == "asking"
    assert told is not None
    assert isinstance(told.outcome, Lost)
    assert listed == []
    assert (again.is_new, again.request.id, again.request.status) == (True, joined.id, "open")
    assert [one.id for one in await service.list_open()] == [joined.id]
    assert len(created(sandbox)) == 1


async def test_a_question_waits_if_one_of_its_submitters_accepts_a_wait(
    settings: Settings, async_redis: AsyncRedis, service: AskingService, question: Build, sandbox: Sandbox
) -> None:
    async with AskingService(settings, async_redis) as first:
        with held_up(first) as (reached, released):
            sandbox.fault("error", status=429, stage="before", match={"method": "POST"})
            submission = asyncio.create_task(first.submit(question(when_limited="refuse")))
            await reached.wait()
            joined = (await service.submit(question(when_limited="queue"))).request
            released.set()
            shown = (await submission).request

    assert (shown.id, shown.status) == (joined.id, "queued")


async def test_another_question_does_not_take_the_place_of_one_that_was_refused(
    settings: Settings, async_redis: AsyncRedis, service: AskingService, question: Build, sandbox: Sandbox
) -> None:
    async with AskingService(settings, async_redis) as first:
        with held_up(first) as (reached, released):
            sandbox.fault("error", status=400, stage="before", match={"method": "POST"})
            refused = asyncio.create_task(first.submit(question()))
            await reached.wait()
            await service.submit(question())
            released.set()
            with pytest.raises(ApiError):
                await refused

    with pytest.raises(KeyConflict):
        await service.submit(question(text="Refund 130 EUR?"))


async def test_a_question_that_may_not_wait_is_refused(
    service: AskingService, question: Build, sandbox: Sandbox
) -> None:
    sandbox.fault("error", status=429, stage="before", match={"method": "POST"})

    with pytest.raises(AskRefused):
        await service.submit(question(when_limited="refuse"))
    asked = await service.submit(question(when_limited="refuse"))

    assert (asked.is_new, len(created(sandbox))) == (True, 1)
