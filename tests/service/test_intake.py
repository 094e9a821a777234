"""From the receiver to the inbox: what is answered, when a drain is asked for, how trouble shows."""

import asyncio
import os
import signal
import threading
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from redis import Redis
from redis.asyncio import Redis as AsyncRedis
from redis.exceptions import ConnectionError as RedisGone

from service.local.embedded_server import EmbeddedServer
from service.web.ingest import ACCEPTED, CONFLICT, DUPLICATE, UNROUTED, Intake, IntakeUnavailable
from tests.builders import claimed, delivery, payload
from tests.service.conftest import counters
from workers.inbox import keys
from workers.inbox.store import Inbox
from workers.redis_clients import receiver_client


class NewRequest:
    """Counts how often a drain was asked for, and from which threads."""

    def __init__(self, error: Exception | None = None) -> None:
        self.threads: list[int] = []
        self._error = error

    def __call__(self) -> bool:
        self.threads.append(threading.get_ident())
        if self._error is not None:
            raise self._error
        return True


@pytest.fixture
async def door_redis(redis: Redis, server: EmbeddedServer) -> AsyncIterator[AsyncRedis]:
    client = receiver_client(server.url)
    yield client
    await client.aclose()


@pytest.fixture
def inbox(door_redis: AsyncRedis) -> Inbox:
    return Inbox(door_redis, retention=3_600, lease=15.0)


def intake_of(inbox: Inbox, asked: NewRequest | None = None) -> Intake:
    """An intake for which only completed requests have a route."""
    return Intake(inbox, listens_to=lambda name: name == "request.completed", ask_for_drain=asked or NewRequest())


async def test_an_event_with_a_route_is_accepted_once(inbox: Inbox) -> None:
    intake = intake_of(inbox)

    answers = [await intake.accept(delivery()) for _ in range(3)]

    assert answers == [ACCEPTED, DUPLICATE, DUPLICATE]
    await intake.close()


async def test_an_event_nobody_routes_is_kept_all_the_same(inbox: Inbox, redis: Redis) -> None:
    intake = intake_of(inbox)

    answer = await intake.accept(delivery(claimed()))

    assert (answer, answer.status) == (UNROUTED, 200)
    assert redis.zcard(keys.EVENTS) == 1
    await intake.close()


async def test_a_second_outcome_of_one_request_is_a_conflict(inbox: Inbox) -> None:
    intake = intake_of(inbox)
    await intake.accept(delivery(payload(response="Approve")))

    answer = await intake.accept(delivery(payload(response="Reject")))

    assert (answer, answer.status) == (CONFLICT, 202)
    await intake.close()


async def test_a_drain_is_asked_for_in_a_thread_and_once_for_many(inbox: Inbox) -> None:
    asked = NewRequest()
    intake = intake_of(inbox, asked)

    for number in range(20):
        await intake.accept(delivery(payload(f"r{number}")))
    await intake.close()

    assert len(asked.threads) == 1
    assert asked.threads != [threading.get_ident()]


async def test_no_drain_is_asked_for_while_one_is_resident(inbox: Inbox) -> None:
    asked = NewRequest()
    intake = intake_of(inbox, asked)
    await inbox.announce("drain-1", 60.0)

    await intake.accept(delivery())
    await intake.close()

    assert asked.threads == []


async def test_a_drain_that_cannot_be_asked_for_costs_the_sender_nothing(inbox: Inbox) -> None:
    intake = intake_of(inbox, NewRequest(RedisGone("gone")))

    assert await intake.accept(delivery()) == ACCEPTED
    await intake.close()


async def test_the_counters_are_written_on_start_and_on_close(inbox: Inbox, redis: Redis) -> None:
    intake = intake_of(inbox)
    await intake.start()

    intake.count("signature_missing")
    intake.count("signature_missing")
    await intake.close()

    assert counters(redis) == {"beats": 2, "signature_missing": 2}


async def test_an_intake_is_ready_once_redis_has_taken_a_write(inbox: Inbox) -> None:
    intake = intake_of(inbox)
    before = intake.ready

    await intake.start()

    assert (before, intake.ready) == (False, True)
    await intake.close()


async def test_what_comes_after_closing_is_sent_away(inbox: Inbox) -> None:
    intake = intake_of(inbox)
    await intake.close()

    with pytest.raises(IntakeUnavailable, match="shutting_down"):
        await intake.accept(delivery())


async def test_closing_keeps_what_was_taken(inbox: Inbox, redis: Redis) -> None:
    intake = intake_of(inbox)
    taken = [asyncio.ensure_future(intake.accept(delivery(payload(f"r{number}")))) for number in range(300)]
    await asyncio.sleep(0)

    await intake.close()

    assert await asyncio.gather(*taken) == [ACCEPTED] * 300
    assert redis.zcard(keys.EVENTS) == 300


async def test_a_sender_who_left_is_kept_all_the_same(inbox: Inbox, redis: Redis) -> None:
    intake = intake_of(inbox)
    leaving = asyncio.ensure_future(intake.accept(delivery()))
    await asyncio.sleep(0)

    leaving.cancel()
    await intake.close()

    assert redis.zcard(keys.EVENTS) == 1


async def test_a_server_that_is_nearly_full_is_left_alone(inbox: Inbox, redis: Redis) -> None:
    intake = intake_of(inbox)
    redis.set("ballast", bytes(8 << 20))
    redis.config_set("maxmemory", int(redis.info("memory")["used_memory"] / 0.99))
    try:
        await intake.start()
        with pytest.raises(IntakeUnavailable, match="redis_full"):
            await intake.accept(delivery())
    finally:
        redis.config_set("maxmemory", 0)
    await intake.close()

    assert not redis.exists(keys.EVENTS)
    assert intake.ready


async def test_an_outage_loses_no_count_and_ends_by_itself(tmp_path: Path) -> None:
    with EmbeddedServer(tmp_path) as own:
        client = receiver_client(own.url)
        intake = intake_of(Inbox(client, retention=86_400, lease=15.0))
        await intake.start()
        own.kill()
        with pytest.raises(IntakeUnavailable, match="redis_unreachable"):
            await intake.accept(delivery())
        intake.count("signature_missing")
        assert not intake.ready
        await asyncio.sleep(1.2)
        own.start()
        assert await intake.accept(delivery()) == ACCEPTED
        await intake.close()
        await client.aclose()
        with Redis.from_url(own.url) as redis:
            assert counters(redis)["signature_missing"] == 1


async def test_a_hanging_server_keeps_nobody_waiting_for_long(tmp_path: Path) -> None:
    with EmbeddedServer(tmp_path) as own:
        client = receiver_client(own.url)
        intake = intake_of(Inbox(client, retention=86_400, lease=15.0))
        await intake.start()
        os.kill(own.pid, signal.SIGSTOP)
        started = time.monotonic()
        waiting = [intake.accept(delivery(payload(f"r{number}"))) for number in range(600)]
        answers = await asyncio.gather(*waiting, return_exceptions=True)
        took = time.monotonic() - started
        os.kill(own.pid, signal.SIGCONT)
        await intake.close()
        await client.aclose()

    # Under load a connection that is not made in time counts as unreachable.
    assert "redis_slow" in {str(answer) for answer in answers} <= {"redis_slow", "redis_unreachable"}
    assert took < 5.0
