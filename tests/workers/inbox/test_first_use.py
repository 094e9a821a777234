"""When the use of an API key began, where the inbox clock stands still at that moment."""

import time

import pytest
from redis import Redis

from tests.workers.inbox.clock_world import World
from workers.inbox import inbox_clock, keys
from workers.inbox.inbox_clock import WATCH, Timekeeper
from workers.inbox.tracker import api_keys, reconcile_state, tracked_requests
from workers.inbox.tracker.api_keys import ClockStandsStill, KeyIndexes, api_key_hash
from workers.inbox.tracker.tracked_requests import NewRequest

HOUR, DAY = 3_600.0, 86_400.0
OLD, NEW = "hitl_test_old", "hitl_test_new"


@pytest.fixture
def world(redis: Redis) -> World:
    return World(redis)


@pytest.fixture
def timekeeper(world: World) -> Timekeeper:
    """One that has made a tick."""
    timekeeper = world.timekeeper()
    timekeeper.keep(world.redis)
    return timekeeper


def configure(redis: Redis, *names: str) -> list[KeyIndexes]:
    return api_keys.configure(redis, names, lookback=DAY)


def first_use(redis: Redis, indexes: KeyIndexes) -> float:
    return reconcile_state.read(redis, indexes).since + DAY


def refuses(redis: Redis, *names: str) -> bool:
    try:
        configure(redis, *names)
    except ClockStandsStill:
        return True
    return False


def everything(redis: Redis) -> dict[bytes, bytes | None]:
    return {name: redis.dump(name) for name in redis.scan_iter() if name.decode() != keys.CLOCK}


def ask(redis: Redis, request_id: str, api_key: str) -> None:
    asked = NewRequest(request_id=request_id, created_at=time.time())
    tracked_requests.track(redis, asked, retention=86_400, key_hash=api_key_hash(api_key))


def test_after_an_outage_of_everything_a_new_key_is_registered_once_the_clock_runs(
    world: World, timekeeper: Timekeeper
) -> None:
    redis = world.redis
    configure(redis, OLD)
    before = everything(redis)
    world.let_pass(10 * DAY)

    assert refuses(redis, NEW)
    assert refuses(redis, OLD, NEW)
    assert everything(redis) == before
    world.run(int(WATCH) + 1, world.timekeeper())

    [indexes] = configure(redis, NEW)
    assert first_use(redis, indexes) == pytest.approx(time.time(), abs=5)


@pytest.mark.parametrize("step", [40.0, -40.0, HOUR, -HOUR, 30 * DAY, -30 * DAY])
def test_a_step_of_the_servers_clock_does_not_count_towards_the_first_use(
    world: World, timekeeper: Timekeeper, step: float
) -> None:
    redis, real = world.redis, time.time()
    world.set_server_clock(step)

    assert refuses(redis, NEW)
    timekeeper.keep(redis)

    # What the test calls now is later by the step for the inbox.
    [indexes] = configure(redis, NEW)
    assert first_use(redis, indexes) == pytest.approx(real - step, abs=3)


def test_a_known_key_is_configured_while_the_clock_stands_still(world: World, timekeeper: Timekeeper) -> None:
    registered = configure(world.redis, OLD, NEW)
    configure(world.redis, OLD)
    used = [first_use(world.redis, indexes) for indexes in registered]
    world.let_pass(10 * DAY)

    assert configure(world.redis, OLD, NEW) == registered
    assert [first_use(world.redis, indexes) for indexes in registered] == used
    assert api_keys.read(world.redis).current == registered[-1]


@pytest.mark.parametrize("earlier", [(), (OLD,)])
def test_a_request_asked_with_a_new_key_while_the_clock_stands_still_is_tracked(
    world: World, timekeeper: Timekeeper, earlier: tuple[str, ...]
) -> None:
    redis = world.redis
    for name in earlier:
        configure(redis, name)
    world.let_pass(10 * DAY)

    ask(redis, "r1", NEW)
    assert refuses(redis, *earlier, NEW)
    assert api_key_hash(NEW) in api_keys.read(redis).used
    world.run(int(WATCH) + 1, world.timekeeper())

    indexes = configure(redis, *earlier, NEW)[-1]
    assert first_use(redis, indexes) == pytest.approx(time.time(), abs=5)
    assert list(tracked_requests.load(redis, indexes)) == ["r1"]
    assert redis.zscore(indexes.asked, "r1") is not None


@pytest.mark.slow
def test_the_first_request_that_is_asked_once_the_clock_runs_begins_the_use(
    world: World, timekeeper: Timekeeper
) -> None:
    world.let_pass(10 * DAY)
    ask(world.redis, "r1", NEW)
    timekeeper.keep(world.redis)
    ask(world.redis, "r2", NEW)
    began = inbox_clock.now(world.redis)
    time.sleep(0.5)

    [indexes] = configure(world.redis, NEW)

    assert began == pytest.approx(time.time(), abs=5)
    assert first_use(world.redis, indexes) == pytest.approx(began, abs=0.2)
