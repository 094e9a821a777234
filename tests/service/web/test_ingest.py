"""The intake: acknowledgements, enqueued drains, and failures of Redis."""

import asyncio
import os
import signal
import threading
import time
from collections.abc import AsyncIterator

import pytest
from redis import Redis
from redis.asyncio import Redis as AsyncRedis
from redis.exceptions import ConnectionError as RedisGone

from service.local.embedded_server import EmbeddedServer
from service.web.ingest import ACCEPTED, CONFLICT, DUPLICATE, UNROUTED, Intake, IntakeUnavailable
from tests.builders import claimed, delivery, payload
from tests.service.conftest import counters
from workers.inbox import keys
from workers.inbox.worker_inbox import WorkerInbox
from workers.redis_clients import receiver_client


class EnqueuedDrains:
    """Counts how often a drain was enqueued, and from which threads."""

    def __init__(self, error: Exception | None = None) -> None:
        self.threads: list[int] = []
        self._error = error

    def __call__(self) -> bool:
        self.threads.append(threading.get_ident())
        if self._error is not None:
            raise self._error
        return True


@pytest.fixture
async def receiver_redis(redis: Redis, server: EmbeddedServer) -> AsyncIterator[AsyncRedis]:
    client = receiver_client(server.url)
    yield client
    await client.aclose()


@pytest.fixture
def inbox(receiver_redis: AsyncRedis) -> WorkerInbox:
    return WorkerInbox(receiver_redis, retention=3_600, lease=15.0)


def intake_of(inbox: WorkerInbox, asked: EnqueuedDrains | None = None) -> Intake:
    """An intake for which only completed requests have a route."""
    return Intake(inbox, listens_to=lambda name: name == "request.completed", enqueue_drain=asked or EnqueuedDrains())


async def test_an_event_with_a_route_is_accepted_once(inbox: WorkerInbox) -> None:
    intake = intake_of(inbox)

    answers = [await intake.accept(delivery()) for _ in range(3)]

    assert answers == [ACCEPTED, DUPLICATE, DUPLICATE]
    await intake.close()


async def test_an_unrouted_event_is_stored(inbox: WorkerInbox, redis: Redis) -> None:
    intake = intake_of(inbox)

    answer = await intake.accept(delivery(claimed()))

    assert (answer, answer.status) == (UNROUTED, 200)
    assert redis.zcard(keys.EVENTS) == 1
    await intake.close()


async def test_a_second_outcome_of_one_request_is_a_conflict(inbox: WorkerInbox) -> None:
    intake = intake_of(inbox)
    await intake.accept(delivery(payload(response="Approve")))

    answer = await intake.accept(delivery(payload(response="Reject")))

    assert (answer, answer.status) == (CONFLICT, 202)
    await intake.close()


async def test_one_drain_is_enqueued_in_a_thread_for_many_deliveries(inbox: WorkerInbox) -> None:
    asked = EnqueuedDrains()
    intake = intake_of(inbox, asked)

    await asyncio.gather(*(intake.accept(delivery(payload(f"r{number}"))) for number in range(20)))
    await intake.close()

    assert len(asked.threads) == 1
    assert asked.threads != [threading.get_ident()]


async def test_no_drain_is_enqueued_while_one_is_resident(inbox: WorkerInbox) -> None:
    asked = EnqueuedDrains()
    intake = intake_of(inbox, asked)
    await inbox.announce("drain-1", 60.0)

    await intake.accept(delivery())
    await intake.close()

    assert asked.threads == []


async def test_a_failure_to_enqueue_a_drain_does_not_reach_the_sender(inbox: WorkerInbox) -> None:
    intake = intake_of(inbox, EnqueuedDrains(RedisGone("gone")))

    assert await intake.accept(delivery()) == ACCEPTED
    await intake.close()


async def test_the_counters_are_written_on_start_and_on_close(inbox: WorkerInbox, redis: Redis) -> None:
    intake = intake_of(inbox)
    await intake.start()

    intake.count("signature_missing")
    intake.count("signature_missing")
    await intake.close()

    written = counters(redis)
    assert written.pop("beats") >= 2
    assert written == {"signature_missing": 2}


async def test_an_intake_is_ready_after_a_write_to_redis(inbox: WorkerInbox) -> None:
    intake = intake_of(inbox)
    before = intake.ready

    await intake.start()

    assert (before, intake.ready) == (False, True)
    await intake.close()


async def test_a_delivery_after_closing_is_refused(inbox: WorkerInbox) -> None:
    intake = intake_of(inbox)
    await intake.close()

    with pytest.raises(IntakeUnavailable, match="shutting_down"):
        await intake.accept(delivery())


async def test_closing_stores_pending_deliveries(inbox: WorkerInbox, redis: Redis) -> None:
    intake = intake_of(inbox)
    taken = [asyncio.ensure_future(intake.accept(delivery(payload(f"r{number}")))) for number in range(300)]
    await asyncio.sleep(0)

    await intake.close()

    assert await asyncio.gather(*taken) == [ACCEPTED] * 300
    assert redis.zcard(keys.EVENTS) == 300


async def test_the_delivery_of_a_disconnected_sender_is_stored(inbox: WorkerInbox, redis: Redis) -> None:
    intake = intake_of(inbox)
    leaving = asyncio.ensure_future(intake.accept(delivery()))
    await asyncio.sleep(0)

    leaving.cancel()
    await intake.close()

    assert redis.zcard(keys.EVENTS) == 1


async def test_a_nearly_full_server_gets_no_deliveries(inbox: WorkerInbox, redis: Redis) -> None:
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


@pytest.mark.slow
async def test_an_outage_loses_no_count_and_ends_by_itself(own_server: EmbeddedServer) -> None:
    client = receiver_client(own_server.url)
    intake = intake_of(WorkerInbox(client, retention=86_400, lease=15.0))
    await intake.start()
    own_server.kill()
    with pytest.raises(IntakeUnavailable, match="redis_unreachable"):
        await intake.accept(delivery())
    intake.count("signature_missing")
    assert not intake.ready
    await asyncio.sleep(1.2)
    own_server.start()
    assert await intake.accept(delivery()) == ACCEPTED
    await intake.close()
    await client.aclose()
    with Redis.from_url(own_server.url) as redis:
        assert counters(redis)["signature_missing"] == 1


@pytest.mark.slow
async def test_a_hanging_server_does_not_delay_answers(own_server: EmbeddedServer) -> None:
    client = receiver_client(own_server.url)
    intake = intake_of(WorkerInbox(client, retention=86_400, lease=15.0))
    await intake.start()
    os.kill(own_server.pid, signal.SIGSTOP)
    started = time.monotonic()
    waiting = [intake.accept(delivery(payload(f"r{number}"))) for number in range(600)]
    answers = await asyncio.gather(*waiting, return_exceptions=True)
    took = time.monotonic() - started
    os.kill(own_server.pid, signal.SIGCONT)
    await intake.close()
    await client.aclose()

    # Under load a connection that is not made in time counts as unreachable.
    assert "redis_slow" in {str(answer) for answer in answers} <= {"redis_slow", "redis_unreachable"}
    assert took < 5.0
