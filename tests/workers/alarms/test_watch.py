"""Who tells of alarms, with a real Redis that is there, away or full."""

import os
import subprocess
import sys
import threading
import time

import msgspec
import pytest
from redis import Redis
from redis.exceptions import OutOfMemoryError

from service.local.embedded_server import EmbeddedServer
from tests.json_server import JsonReceiver
from tests.processes import proc
from tests.python_path import python_path
from workers.alarms import notices
from workers.alarms.notices import CLEAR_AFTER, LEASE, Notice
from workers.alarms.watch import CLOCK_FIRST, LONGEST, AlarmWatch, message
from workers.inbox import keys, presence
from workers.inbox.presence import Process
from workers.redis_clients import check_client
from workers.settings import Settings

#: Seconds after which any alarm of these tests is told.
HOLD = 11.0
#: A teller that is killed while it sends.
HANGING = """
import sys, time
from workers.alarms.watch import AlarmWatch
from workers.redis_clients import check_client
from workers.settings import Settings

def hang(urls, **message):
    print("sending", flush=True)
    time.sleep(60)

settings = Settings(redis_url=sys.argv[1], alerts=("json://127.0.0.1",))
AlarmWatch(settings, check_client(sys.argv[1]), "clock", send=hang).step()
"""


class Watched:
    """The watch of one process, whose messages are collected; time passes as the test says."""

    def __init__(self, url: str, process: Process = "clock") -> None:
        self.sent: list[str] = []
        self.succeeds = True
        self.passed = 0.0
        settings = Settings(redis_url=url, alerts=("json://127.0.0.1",))
        self.redis = check_client(url)
        self.watch = AlarmWatch(
            settings, self.redis, process, monotonic=lambda: time.monotonic() + self.passed, send=self._send
        )

    def _send(self, urls: object, *, title: str, body: str, kind: str) -> bool:
        self.sent.append(f"{kind} {title.rpartition(': ')[2]}")
        return self.succeeds

    def step(self, seconds: float = 0.0) -> list[str]:
        """What is told so many seconds later."""
        self.passed += seconds
        return [f"{one.kind} {one.name}" for one in self.watch.step()]


def pass_time(redis: Redis, seconds: float) -> None:
    """As if all that the shared record holds had happened so much earlier."""
    records = notices.decode(redis.get(keys.ALARMS) or b"")
    times = ("since", "told_at", "ended_at", "clear_since", "claimed_until")
    earlier = {
        name: msgspec.structs.replace(
            record, **{field: value - seconds for field in times if (value := getattr(record, field))}
        )
        for name, record in records.items()
    }
    redis.set(keys.ALARMS, notices.encode(earlier))


def raise_alarm(redis: Redis) -> None:
    redis.zadd(keys.FAILED, {"pay|event": int(time.time() * 1000)})


@pytest.fixture
def clock(server: EmbeddedServer, redis: Redis) -> Watched:
    presence.announce(redis, "clock")
    return Watched(server.url)


def test_an_alarm_causes_a_first_a_repeated_and_a_clear_notice(clock: Watched, redis: Redis) -> None:
    raise_alarm(redis)
    told = [clock.step()]
    for seconds in (HOLD, HOLD, notices.REPEAT):
        pass_time(redis, seconds)
        presence.announce(redis, "clock")
        told.append(clock.step())
    redis.delete(keys.FAILED)
    told.append(clock.step())
    pass_time(redis, CLEAR_AFTER)
    told += [clock.step(), clock.step()]

    assert told == [
        [], ["raised dead_letters"], [], ["lasting dead_letters"], [], ["cleared dead_letters"], [],
    ]  # fmt: skip
    assert clock.sent == ["warning dead_letters", "warning dead_letters", "success dead_letters"]


def test_several_alarms_are_one_message_of_the_worst(clock: Watched, redis: Redis) -> None:
    raise_alarm(redis)
    redis.zadd(keys.DUE, {"pay|event": int((time.time() - 20) * 1000)})
    clock.step()
    pass_time(redis, HOLD)
    clock.step()

    assert clock.sent == ["failure no_drain, dead_letters"]


def test_of_two_simultaneous_processes_one_sends_the_notice(
    clock: Watched, server: EmbeddedServer, redis: Redis
) -> None:
    raise_alarm(redis)
    clock.step()
    pass_time(redis, HOLD)
    watches = [clock, *(Watched(server.url) for _ in range(5))]
    barrier = threading.Barrier(len(watches))

    def look(one: Watched) -> None:
        barrier.wait()
        one.step()

    threads = [threading.Thread(target=look, args=(one,)) for one in watches]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for one in watches:
        one.step()

    assert [sent for one in watches for sent in one.sent] == ["warning dead_letters"]


@pytest.mark.slow
def test_after_a_killed_sender_another_process_sends_the_notice(
    clock: Watched, server: EmbeddedServer, redis: Redis
) -> None:
    raise_alarm(redis)
    clock.step()
    pass_time(redis, HOLD)
    environ = {**os.environ, "PYTHONPATH": python_path()}
    with subprocess.Popen(
        [sys.executable, "-c", HANGING, server.url], env=environ, stdout=subprocess.PIPE, text=True
    ) as teller:
        assert teller.stdout is not None
        assert teller.stdout.readline() == "sending\n"
        proc.kill(teller.pid)
    meanwhile = clock.step()
    pass_time(redis, LEASE)

    assert (meanwhile, clock.step()) == ([], ["raised dead_letters"])


def test_an_undelivered_message_is_sent_again_later(clock: Watched, redis: Redis) -> None:
    raise_alarm(redis)
    clock.step()
    pass_time(redis, HOLD)
    clock.succeeds = False
    failed = [clock.step(), clock.step()]
    clock.succeeds = True
    pass_time(redis, notices.FIRST_RETRY)

    assert (failed, clock.step()) == ([["raised dead_letters"], []], ["raised dead_letters"])


def test_while_redis_is_away_one_notice_is_sent_and_shared_later(own_server: EmbeddedServer) -> None:
    clock, other = Watched(own_server.url), Watched(own_server.url)
    presence.announce(clock.redis, "clock")
    raise_alarm(clock.redis)
    clock.step()
    pass_time(clock.redis, HOLD)
    before = clock.step()
    own_server.kill()
    away = [clock.step(seconds) for seconds in (0.0, HOLD, 60.0, notices.REPEAT)]
    own_server.start()
    clock.passed = 0.0
    presence.announce(clock.redis, "clock")
    back = [clock.step(), other.step()]
    pass_time(clock.redis, CLEAR_AFTER)
    cleared = [other.step(), clock.step()]

    assert before == ["raised dead_letters"]
    assert away == [[], ["raised redis_unreachable"], [], ["lasting redis_unreachable"]]
    assert back == [[], []]
    assert cleared == [["cleared redis_unreachable"], []]


def test_of_a_full_redis_one_notice_is_sent_by_all_processes(own_server: EmbeddedServer) -> None:
    clock, other = Watched(own_server.url), Watched(own_server.url)
    presence.announce(clock.redis, "clock")
    clock.step()
    clock.redis.config_set("maxmemory", 1 << 19)
    first = clock.step()
    clock.redis.config_set("maxmemory", 0)  # for the test's own write
    pass_time(clock.redis, HOLD)
    clock.redis.config_set("maxmemory", 1 << 19)

    with pytest.raises(OutOfMemoryError):
        clock.redis.set("more", 1)
    assert (first, clock.step(), other.step(), clock.step()) == ([], ["raised redis_full"], [], [])
    assert "redis_full" in notices.decode(clock.redis.get(keys.ALARMS) or b"")


def test_a_replica_that_refuses_claims_causes_a_notice_from_memory(
    own_server: EmbeddedServer, caplog: pytest.LogCaptureFixture
) -> None:
    clock = Watched(own_server.url)
    presence.announce(clock.redis, "clock")
    clock.step()
    clock.redis.replicaof("127.0.0.1", "1")
    told = [name for _ in range(3) for name in clock.step(HOLD)]
    clock.redis.replicaof("NO", "ONE")

    assert [record.getMessage().split(" ")[0] for record in caplog.records].count("alarms.not_shared") == 1
    assert [name for name in told if "redis_read_only" in name] == ["raised redis_read_only"]


# -- the web process ----------------------------------------------------------------------------------


def test_a_web_process_does_not_watch_while_a_clock_runs(server: EmbeddedServer, redis: Redis) -> None:
    web = Watched(server.url, "web")
    presence.announce(redis, "web")
    presence.announce(redis, "clock")
    raise_alarm(redis)
    beside = web.step()
    redis.delete(keys.present("clock"))
    alone = web.step()
    pass_time(redis, HOLD)

    assert (beside, alone) == ([], [])
    assert web.step() == ["raised clock_absent", "raised dead_letters"]


def test_a_web_process_lets_the_clock_tell_first_that_redis_is_away(own_server: EmbeddedServer) -> None:
    beside, alone = Watched(own_server.url, "web"), Watched(own_server.url, "web")
    alone.step()
    presence.announce(beside.redis, "clock")
    beside.step()
    own_server.kill()

    assert [alone.step(seconds) for seconds in (0.0, HOLD)] == [[], ["raised redis_unreachable"]]
    assert [beside.step(seconds) for seconds in (0.0, HOLD, CLOCK_FIRST, HOLD)] == [
        [], [], [], ["raised redis_unreachable"],
    ]  # fmt: skip


def test_a_web_process_lets_the_clock_tell_first_that_redis_refuses_writes(own_server: EmbeddedServer) -> None:
    beside, alone = Watched(own_server.url, "web"), Watched(own_server.url, "web")
    alone.step()
    presence.announce(beside.redis, "clock")
    beside.step()
    beside.redis.delete(keys.present("clock"))  # as it expires
    beside.redis.config_set("min-replicas-to-write", 1)

    assert [alone.step(seconds) for seconds in (0.0, HOLD)] == [[], ["raised redis_refuses_writes"]]
    assert [beside.step(seconds) for seconds in (0.0, HOLD, CLOCK_FIRST, HOLD)] == [
        [], [], [], ["raised redis_refuses_writes"],
    ]  # fmt: skip


# -- messages -----------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_message_says_what_where_and_what_to_do(clock: Watched, redis: Redis) -> None:
    raise_alarm(redis)
    with JsonReceiver() as receiver:
        settings = Settings(redis_url="redis://unused", alerts=(receiver.url,))
        watch = AlarmWatch(settings, redis, "clock")
        watch.step()
        pass_time(redis, HOLD)
        watch.step()

    [sent] = receiver.messages
    assert sent["title"].startswith("[warning] hitl-receiver on ")
    assert sent["message"].startswith("WARNING dead_letters: 1 effect gave up; the oldest ")
    assert "What to do: List them with `hitl-receiver failed`" in sent["message"]


def test_a_message_is_short_whatever_happens() -> None:
    claimed = [Notice(name=f"alarm_{number}", kind="cleared", seconds=60.0) for number in range(500)]

    _, body, _ = message(claimed, {})

    assert len(body) < LONGEST + 100
    assert body.endswith("more: see `hitl-receiver status`.")
