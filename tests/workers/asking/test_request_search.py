"""The search for the request of an unfinished attempt: every newer request, however many calls that takes."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from redis import Redis
from redis.asyncio import Redis as AsyncRedis

from hitl_sandbox.testing import Sandbox
from hitlsh import single_select
from hitlsh.api import Client
from hitlsh.api.questions.new_question import NewQuestion
from tests.workers.asking.asked import KEY, created, let_time_pass
from workers.asking import AskingService, request_search
from workers.inbox import keys
from workers.inbox.tracker.api_keys import api_key_hash
from workers.settings import Settings

pytestmark = pytest.mark.slow

Build = Callable[..., NewQuestion]
Others = Callable[..., None]


@pytest.fixture
def short_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lists are read in pages of 20 requests, so that few requests are many pages."""
    monkeypatch.setattr(request_search, "_PAGE", 20)


@pytest.fixture
def others(sandbox: Sandbox, loops: dict[str, str]) -> Others:
    """Other programs ask."""

    def ask(count: int, text: str = "Pay invoice 7?", loop: str = "On call") -> None:
        with Client(KEY, base_url=sandbox.base_url) as client:
            for _ in range(count):
                client.requests.create(loops[loop], text, single_select("Yes", "No"), default_response="No")

    return ask


@pytest.fixture
async def lost(service: AskingService, question: Build, sandbox: Sandbox) -> tuple[str, str]:
    """A question whose creation was answered with an error, and its request."""
    sandbox.fault("error", status=502, stage="after", match={"method": "POST"})
    asked = (await service.submit(question())).request
    return asked.id, str(created(sandbox)[0]["id"])


def allow_calls(redis: Redis, count: int) -> None:
    """A new hour has begun, in which so many calls are left."""
    redis.hset(keys.budget(api_key_hash(KEY)), "left", count)


async def search(service: AskingService, redis: Redis) -> None:
    let_time_pass(redis)
    await service.run_due()


async def bound(service: AskingService, question_id: str) -> str | None:
    shown = await service.get(question_id)
    assert shown is not None
    return shown.request_id


def reads(sandbox: Sandbox) -> list[str]:
    """The lists and requests that were read."""
    return [f"{call['path']}?{call['query']}" for call in sandbox.calls() if call["method"] == "GET"]


async def test_the_request_is_found_behind_more_pages_than_one_part_of_a_search_reads(
    service: AskingService, redis: Redis, sandbox: Sandbox, lost: tuple[str, str], others: Others,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(request_search, "_MAX_PAGES", 2)
    others(250)

    await search(service, redis)

    assert await bound(service, lost[0]) == lost[1]
    assert len(created(sandbox)) == 251


@pytest.mark.usefixtures("short_pages")
async def test_a_search_continues_in_the_next_hour_where_the_calls_were_used_up(
    service: AskingService, redis: Redis, sandbox: Sandbox, lost: tuple[str, str], others: Others
) -> None:
    others(90)
    searched = []
    for calls in (2, 2, 3):
        allow_calls(redis, calls)
        await search(service, redis)
        searched.append(await bound(service, lost[0]))
        others(6)

    assert searched == [None, None, lost[1]]
    assert len(created(sandbox)) == 109
    assert len(reads(sandbox)) == len(set(reads(sandbox))) == 7


async def test_requests_with_the_same_text_are_read_once_each(
    service: AskingService, redis: Redis, sandbox: Sandbox, lost: tuple[str, str], others: Others, question: Build
) -> None:
    others(25, question().text)
    searched = []
    for _ in range(3):
        allow_calls(redis, 11)
        await search(service, redis)
        searched.append(await bound(service, lost[0]))

    single = [path for path in reads(sandbox) if "sort" not in path]
    assert searched == [None, None, lost[1]]
    assert len(single) == len(set(single)) == 26


@pytest.mark.usefixtures("short_pages")
async def test_a_question_is_asked_anew_only_when_every_newer_request_was_examined(
    service: AskingService, redis: Redis, sandbox: Sandbox, others: Others, question: Build
) -> None:
    sandbox.fault("error", status=502, stage="before", match={"method": "POST"})
    asked = (await service.submit(question())).request
    others(90)
    counts = []
    for calls in (2, 2, 3):
        allow_calls(redis, calls)
        await search(service, redis)
        counts.append(len(created(sandbox)))

    assert counts == [90, 90, 91]
    assert await bound(service, asked.id) == created(sandbox)[-1]["id"]


@pytest.mark.usefixtures("short_pages")
@pytest.mark.parametrize("rows", [-24, -8, -1, 8, 50])
async def test_no_request_is_missed_when_the_list_shifts(
    service: AskingService, redis: Redis, sandbox: Sandbox, lost: tuple[str, str], others: Others, rows: int
) -> None:
    others(26)
    sandbox.fault("drift", rows=rows, match={"path": "*/requests"})

    await search(service, redis)

    assert await bound(service, lost[0]) == lost[1]
    assert len(created(sandbox)) == 27


@pytest.mark.usefixtures("short_pages")
@pytest.mark.parametrize("newer", [10, 30, 50])
async def test_no_request_is_missed_when_those_already_examined_are_deleted(
    service: AskingService, redis: Redis, sandbox: Sandbox, lost: tuple[str, str], others: Others,
    loops: dict[str, str], newer: int,
) -> None:  # fmt: skip
    others(40)
    others(newer, loop="Directors")
    allow_calls(redis, 2)
    await search(service, redis)
    with Client(KEY, base_url=sandbox.base_url) as client:
        client.loops.delete(loops["Directors"])

    allow_calls(redis, 100)
    await search(service, redis)

    assert await bound(service, lost[0]) == lost[1]
    assert len(created(sandbox)) == 41


async def test_an_error_of_one_read_loses_nothing_that_was_searched(
    service: AskingService, redis: Redis, sandbox: Sandbox, lost: tuple[str, str], others: Others, question: Build
) -> None:
    others(3, question().text)
    newest, second = (request["id"] for request in reversed(created(sandbox)[-2:]))
    sandbox.fault("error", status=500, match={"path": f"*/requests/{second}"}, times=2)

    await search(service, redis)

    paths = [call["path"].rsplit("/", 1)[1] for call in sandbox.calls()]
    assert await bound(service, lost[0]) == lost[1]
    assert (paths.count(newest), paths.count(second)) == (1, 3)


async def test_a_new_api_key_does_not_ask_again_what_the_key_before_has_asked(
    settings: Settings, async_redis: AsyncRedis, redis: Redis, sandbox: Sandbox, lost: tuple[str, str]
) -> None:
    rotated = replace(settings, api_key="hitl_test_of_the_next_year", earlier_api_keys=(KEY,))
    async with AskingService(rotated, async_redis) as service:
        await search(service, redis)
        request_id = await bound(service, lost[0])
        await service.cancel(lost[0])

    assert request_id == lost[1]
    assert [request["status"] for request in created(sandbox)] == ["cancelled"]
