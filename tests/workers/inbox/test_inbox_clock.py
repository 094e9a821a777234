"""The inbox clock on a real server; a step of the server's clock is simulated by moving all stored times."""

import re
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from redis import Redis
from redis.asyncio import Redis as AsyncRedis

from service.local.embedded_server import EmbeddedServer
from tests import inbox_clock as simulated
from tests.builders import delivery, payload
from tests.workers.inbox.clock_world import World
from workers.clock import Clock
from workers.inbox import inbox_clock, keys, scripts
from workers.inbox.inbox_clock import LONGEST_TICK, SECOND, WATCH, Reading, next_tick
from workers.inbox.worker_inbox import LeaseKeeper, WorkerInbox
from workers.redis_clients import command_client

REPOSITORY = Path(__file__).resolve().parents[3]
HOUR, DAY = 3_600.0, 86_400.0
LEASE = 15.0


@pytest.fixture
def world(redis: Redis) -> World:
    return World(redis)


def reading(passed: float, *, behind: float = 0.0, rate: float = 1.0) -> Reading:
    """`passed`: by the server's clock, in seconds; `behind`: the inbox clock at the latest tick, likewise."""
    ticked_inbox = 1_000 * SECOND - int(behind * SECOND)
    stands = not 0 <= passed * SECOND <= LONGEST_TICK
    return Reading(
        inbox=ticked_inbox if stands else ticked_inbox + int(passed * SECOND * rate),
        server=1_000 * SECOND + int(passed * SECOND),
        tick="t",
        ticked_server=1_000 * SECOND,
        ticked_inbox=ticked_inbox,
        rate=rate,
    )


# -- the arithmetic ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("passed", "least", "most", "advance", "step"),
    [
        (1.0, 0.99, 1.01, 1.0, 0.0),
        (600.0, 1.0, 601.0, 600.0, 0.0),  # an outage
        (41.0, 1.0, 1.0, 1.0, 40.0),
        (-3_599.0, 1.0, 1.0, 1.0, -3_600.0),
        (1.9, 1.0, 1.0, 1.9, 0.9),  # scripts have used that time already
        (41.0, 1.0, float("inf"), 41.0, 0.0),  # nobody knows better
        (-5.0, 2.0, float("inf"), 2.0, -7.0),
    ],
)
def test_a_tick_adds_what_has_passed_and_leaves_out_a_step(
    passed: float, least: float, most: float, advance: float, step: float
) -> None:
    tick = next_tick(reading(passed), least * SECOND, most * SECOND)

    assert (tick.inbox - 1_000 * SECOND, tick.step) == (advance * SECOND, step * SECOND)


@pytest.mark.parametrize(
    ("behind", "rate"), [(0.0, 1.0), (0.01, 1.0), (0.5, 1.05), (40.0, 1.1), (-0.5, 0.95), (-HOUR, 0.9)]
)
def test_the_clock_returns_to_the_servers_by_a_tenth_at_the_most(behind: float, rate: float) -> None:
    assert next_tick(reading(1.0, behind=behind), SECOND, SECOND).rate == pytest.approx(rate)


# -- ticks and scripts -------------------------------------------------------------------------------------


def test_without_a_tick_the_clock_is_the_servers(redis: Redis) -> None:
    assert abs(inbox_clock.now(redis) - time.time()) < 1.0


def test_the_clock_counts_what_passes(world: World) -> None:
    timekeeper = world.timekeeper()
    timekeeper.keep(world.redis)
    before = world.inbox_time()

    world.run(20, timekeeper)

    assert world.inbox_time() - before == pytest.approx(20.0, abs=0.5)


@pytest.mark.parametrize("step", [40.0, -40.0, HOUR, -HOUR, 30 * DAY])
def test_a_step_of_the_servers_clock_does_not_move_the_inbox_clock(world: World, step: float) -> None:
    timekeeper = world.timekeeper()
    timekeeper.keep(world.redis)
    world.run(3, timekeeper)
    before = world.inbox_time()

    world.set_server_clock(step)
    assert world.inbox_time() - before < 0.5
    world.run(10, timekeeper)

    assert world.inbox_time() - before == pytest.approx(10.0, abs=1.5)


@pytest.mark.slow
def test_the_clock_returns_to_the_servers_after_a_step(world: World) -> None:
    timekeeper = world.timekeeper()
    timekeeper.keep(world.redis)
    world.set_server_clock(40.0)

    world.run(500, timekeeper)

    clocks = inbox_clock.read(world.redis)
    assert abs(clocks.server - clocks.inbox) < SECOND / 10


def test_a_step_is_logged_once_by_whoever_settles_it(world: World, caplog: pytest.LogCaptureFixture) -> None:
    timekeepers = [world.timekeeper() for _ in range(3)]
    world.run(3, *timekeepers)
    world.set_server_clock(40.0)

    world.run(3, *timekeepers)

    [record] = [record for record in caplog.records if record.message.startswith("clock.stepped")]
    assert "seconds=+40" in record.message


def test_an_outage_of_the_server_counts_as_time_and_runs_out_no_lease(world: World) -> None:
    timekeeper = world.timekeeper()
    timekeeper.keep(world.redis)
    before = world.inbox_time()
    world.redis.zadd(keys.DUE, {"h|e": (inbox_clock.now(world.redis) + 10) * 1000, "later|e": 0})
    world.redis.hset(keys.LEASES, "h|e", 7)

    world.let_pass(600.0)
    standing = world.lease_left("h|e")
    timekeeper.keep(world.redis)

    assert world.inbox_time() - before == pytest.approx(600.0, abs=0.5)
    assert (standing, world.lease_left("h|e")) == (pytest.approx(10.0, abs=0.5), pytest.approx(10.0, abs=0.5))
    assert world.lease_left("later|e") < -600


def test_another_timekeeper_takes_over_within_seconds(world: World) -> None:
    first, second = world.timekeeper(), world.timekeeper()
    world.run(3, first, second)
    before = world.inbox_time()

    world.set_server_clock(-HOUR)
    world.run(10, second)

    assert world.inbox_time() - before == pytest.approx(10.0, abs=2.0)


def test_a_new_timekeeper_believes_the_servers_clock_when_nobody_else_makes_ticks(world: World) -> None:
    world.timekeeper().keep(world.redis)
    before = world.inbox_time()
    world.let_pass(8 * HOUR)
    late = world.timekeeper()

    late.keep(world.redis)
    standing = world.inbox_time() - before
    world.run(int(WATCH) + 1, late)

    assert standing < 0.5
    assert world.inbox_time() - before == pytest.approx(8 * HOUR + WATCH + 1, abs=1.0)


def test_after_a_stop_of_everything_the_servers_clock_is_believed(world: World) -> None:
    timekeeper = world.timekeeper()
    timekeeper.keep(world.redis)
    world.set_server_clock(30 * DAY)
    world.run(5, timekeeper)
    world.let_pass(3.0)

    world.run(int(WATCH) + 2, world.timekeeper())

    clocks = inbox_clock.read(world.redis)
    assert abs(clocks.server - clocks.inbox) < SECOND / 10


def test_a_new_timekeeper_leaves_a_step_to_one_that_knows(world: World) -> None:
    known, late = world.timekeeper(), world.timekeeper()
    world.run(3, known)
    before = world.inbox_time()
    world.set_server_clock(30 * DAY)

    late.keep(world.redis)
    world.run(5, late, known)

    assert world.inbox_time() - before == pytest.approx(5.0, abs=2.0)


def test_a_reconcile_run_that_died_holds_off_the_next_for_a_minute_at_the_most(world: World) -> None:
    timekeeper = world.timekeeper()
    timekeeper.keep(world.redis)
    world.redis.set(keys.RECONCILE_LEASE, 7, px=int(HOUR * 1000))  # the server's clock was set back by an hour

    world.run(1, timekeeper)

    assert 0 < world.redis.pttl(keys.RECONCILE_LEASE) <= 60_000


def test_of_two_simultaneous_ticks_one_is_stored(world: World) -> None:
    world.timekeeper().keep(world.redis)
    latest = inbox_clock.read(world.redis).tick
    tick = scripts.script(world.redis, "clock/set_clock")

    def make(name: str, inbox: int) -> object:
        return tick(keys=[keys.PREFIX], args=[latest, name, int(time.time() * SECOND), inbox, 1])

    later = int((time.time() + 60) * SECOND)
    assert (make("first", later), make("second", later * 2), make("first", later)) == (1, 0, 1)
    assert inbox_clock.now(world.redis) == pytest.approx(time.time() + 60, abs=1.0)


def test_a_late_tick_is_not_stored(world: World) -> None:
    """Its call waited for a server that was away: another timekeeper would take what passed meanwhile for a step."""
    world.timekeeper().keep(world.redis)
    latest = inbox_clock.read(world.redis).tick
    tick = scripts.script(world.redis, "clock/set_clock")

    def make(name: str, measured: float) -> object:
        words = [latest, name, int(measured * SECOND), int(measured * SECOND), 1]
        return tick(keys=[keys.PREFIX], args=words)

    assert (make("late", time.time() - 3), make("early", time.time() + 3), make("new", time.time())) == (0, 0, 1)


@pytest.mark.slow
async def test_a_drain_alone_keeps_the_clock_and_leases_run_out(world: World, async_redis: AsyncRedis) -> None:
    """Where no clock process runs, what a dead worker held is taken over all the same."""
    inbox = WorkerInbox(async_redis, retention=86_400, lease=0.5)
    await inbox.accept([delivery()])
    await inbox.announce("dead", 3.0)
    [lost] = (await inbox.claim(1)).items
    world.let_pass(60.0)

    other = WorkerInbox(async_redis, retention=86_400, lease=0.5)
    deadline, taken = time.monotonic() + WATCH + 3.0, []
    while not taken and time.monotonic() < deadline:
        await other.announce("alive", 3.0)
        taken = (await other.claim(1)).items
        time.sleep(0.1)

    assert [item.lease.member for item in taken] == [lost.lease.member]


def test_a_clock_process_keeps_the_clock(world: World) -> None:
    Clock(world.redis, retention=60).tick()

    assert inbox_clock.read(world.redis).tick


# -- any order of anything ---------------------------------------------------------------------------------

steps = st.sampled_from([0.3, -0.3, 1.5, -1.5, 5.0, -5.0, 40.0, -40.0, HOUR, -HOUR, 30 * DAY, -30 * DAY])
#: A second: who looks (at least one that is not new), who of the others begins anew, and what is set when.
seconds = st.tuples(
    st.sets(st.integers(0, 2), min_size=1), st.sampled_from([None, None, None, 1, 2]), st.one_of(st.none(), steps)
)


@pytest.mark.slow
@settings(deadline=None, max_examples=60)
@given(story=st.lists(seconds, min_size=5, max_size=30), outage=st.integers(0, 600), data=st.data())
def test_no_step_makes_time_go_back_or_a_renewed_lease_run_out(
    server: EmbeddedServer, story: list[tuple[set[int], int | None, float | None]], outage: int, data: st.DataObject
) -> None:
    redis = command_client(server.url)
    redis.flushall()
    world = World(redis)
    timekeepers = [world.timekeeper() for _ in range(3)]
    keeper = LeaseKeeper(redis, lease=LEASE)
    timekeepers[0].keep(redis)
    redis.hset(keys.LEASES, "h|e", 7)
    redis.zadd(keys.DUE, {"h|e": (inbox_clock.now(redis) + LEASE) * 1000})
    began = latest = world.inbox_microseconds()
    outage_at = data.draw(st.integers(0, len(story)))

    for number, (looking, anew, step) in enumerate(story):
        if number == outage_at:
            world.let_pass(outage)
        if anew is not None:
            timekeepers[anew] = world.timekeeper()
        first, second = (0.4, 0.6) if number % 2 else (0.7, 0.3)
        world.let_pass(first)
        if step is not None:
            before = world.inbox_microseconds()
            world.set_server_clock(step)
            assert world.inbox_microseconds() >= before >= latest
        for moment in (*sorted({*looking, 0}), None):
            if moment is None:
                world.let_pass(second)
            else:
                timekeepers[moment].keep(redis)
            now = world.inbox_microseconds()
            assert now >= latest
            latest = now
            assert world.lease_left("h|e") > 0
        if number % 5 == 4:
            assert keeper.renew([("h|e", 7)]) == []

    timekeepers[0].keep(redis)
    # A tenth of it for the way back; what is set by less than two seconds, or to that, passes.
    passing = 2.0 * sum(step is not None for *_, step in story)
    passed = world.passed
    counted = (world.inbox_microseconds() - began) / SECOND
    redis.close()
    assert 0.9 * passed - 1.5 - passing <= counted <= 1.1 * passed + 1.5 + passing


# -- everybody uses it -------------------------------------------------------------------------------------


def test_nothing_else_asks_the_server_for_the_time() -> None:
    """But `doctor`, which compares its clock with that of this machine."""
    own = {REPOSITORY / "workers/inbox/lua/shared/inbox_clock.lua", REPOSITORY / "workers/redis_checks.py"}
    sources = [
        path
        for folder in ("workers", "service", "hitlsh")
        for path in (REPOSITORY / folder).rglob("*")
        if path.suffix in {".py", ".lua"} and path not in own
    ]
    asks = re.compile(r"""redis\.time\(|\.call\(\s*['"]TIME|execute_command\(\s*['"]TIME""", re.IGNORECASE)

    assert len(sources) > 100
    assert [str(path) for path in sources if asks.search(path.read_text(encoding="utf-8"))] == []


async def test_a_fencing_token_is_never_given_twice(redis: Redis, async_redis: AsyncRedis) -> None:
    """Not even by a server that has lost what it counted."""
    tokens = []
    for number in range(20):
        redis.flushall()
        inbox = WorkerInbox(async_redis, retention=86_400, lease=60)
        await inbox.accept([delivery(payload(request_id=f"r{number}"))])
        tokens += [item.lease.token for item in (await inbox.claim(1)).items]

    assert len(set(tokens)) == 20


# -- for other tests ---------------------------------------------------------------------------------------


async def test_a_simulated_month_runs_out_leases_and_expires_records(redis: Redis, async_redis: AsyncRedis) -> None:
    inbox = WorkerInbox(async_redis, retention=86_400, lease=60)
    await inbox.accept([delivery(), delivery(b"[]")])
    [held] = (await inbox.claim(1)).items
    quarantined = redis.zrange(keys.QUARANTINE, 0, -1)[0].decode()
    before = inbox_clock.now(redis)

    simulated.advance(redis, 30 * DAY)

    assert inbox_clock.now(redis) - before == pytest.approx(30 * DAY, abs=2.0)
    assert [item.lease.member for item in (await inbox.claim(1)).items] == [held.lease.member]
    assert redis.exists(keys.event(quarantined))  # only finished work expires


async def test_a_simulated_month_may_spare_the_leases(redis: Redis, async_redis: AsyncRedis) -> None:
    inbox = WorkerInbox(async_redis, retention=86_400, lease=60)
    await inbox.accept([delivery()])
    await inbox.claim(1)

    simulated.advance(redis, 30 * DAY, keep_leases=True)

    assert (await inbox.claim(1)).items == []
