"""An attacker who can write to Redis writes jobs: a real worker runs and imports none of them, and goes on."""

import json
import pickle
import signal
import socket
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from redis import Redis

from service.local.embedded_server import EmbeddedServer
from tests.builders import delivery, key, payload
from tests.ports import free_port
from tests.processes import proc
from tests.processes.observer import Observer
from tests.processes.programs import Program
from tests.processes.stacks import settings
from workers.inbox import counters, keys
from workers.inbox.store import accept
from workers.queue import enqueue_drain

#: A module in the worker's folder: to import it is to run it.
HOSTILE = """
from pathlib import Path
Path("sentinel").touch()
def run(*arguments): Path("sentinel").touch()
"""
RUN = ["hostile.run", None, [], {}]
DRAIN = ["workers.jobs.drain", None, [], {}]
CALLBACKS = {
    "success_callback_name": "hostile.run",
    "failure_callback_name": "hostile.run",
    "stopped_callback_name": "hostile.run",
}


class Attack:
    """Plain Redis commands of somebody who knows RQ; `name` ends the ids of its jobs."""

    def __init__(self, redis: Redis, webhook: str, name: str = "attack") -> None:
        self.redis = redis
        self.name = name
        self.webhooks = {
            "webhooks": json.dumps([{"url": webhook, "job_status": status} for status in ("finished", "failed")])
        }

    def job(self, prefix: str, call: object = RUN, **fields: object) -> str:
        """Write a job; answers its id."""
        job_id = f"{prefix}-{self.name}"
        data = call if isinstance(call, bytes) else zlib.compress(json.dumps(call).encode())
        told = {"data": data, "origin": "hitl", "status": "queued", "created_at": "2026-01-01T00:00:00.000000Z"}
        self.redis.hset(f"rq:job:{job_id}", mapping=told | fields)  # type: ignore[arg-type]
        return job_id

    def push(self, job_id: str | bytes) -> None:
        self.redis.rpush("rq:queue:hitl", job_id)  # type: ignore[arg-type]


def function(attack: Attack) -> None:
    attack.push(attack.job("evil"))


def function_under_a_name_of_ours(attack: Attack) -> None:
    attack.push(attack.job("drain-evil"))


def shell(attack: Attack) -> None:
    attack.push(attack.job("drain-evil", ["os.system", None, ["touch sentinel"], {}]))


def pickled_call(attack: Attack) -> None:
    class Payload:
        def __reduce__(self) -> tuple[Callable[[str], object], tuple[str]]:
            import os

            return os.system, ("touch sentinel",)

    pickled = pickle.dumps(Payload())
    attack.push(attack.job("drain-evil", zlib.compress(pickled), meta=pickled, result=pickled))


def arguments(attack: Attack) -> None:
    attack.push(attack.job("drain-evil", ["workers.jobs.drain", None, ["one"], {}]))


def method_of_an_instance(attack: Attack) -> None:
    attack.push(attack.job("drain-evil", ["format", "{0.__class__}", ["one"], {}]))


def callbacks_of_a_drain(attack: Attack) -> None:
    attack.push(attack.job("drain-evil", DRAIN, **CALLBACKS, **attack.webhooks))


def abandoned_job(attack: Attack) -> None:
    for prefix, call in (("evil", RUN), ("drain-evil", DRAIN)):
        job_id = attack.job(prefix, call, status="started", retries_left=3, **CALLBACKS, **attack.webhooks)
        attack.redis.zadd("rq:wip:hitl", {f"{job_id}:execution": 1})


def stuck_in_the_intermediate_queue(attack: Attack) -> None:
    for prefix, call in (("evil", RUN), ("drain-evil", DRAIN)):
        job_id = attack.job(prefix, call, **CALLBACKS, **attack.webhooks)
        attack.redis.rpush("rq:queue:hitl:intermediate", job_id)
        attack.redis.set(f"rq:queue:hitl:intermediate:first_seen:{job_id}", time.time() - 3_600)


def ready_dependent(attack: Attack) -> None:
    for prefix, call in (("evil", RUN), ("drain-evil", DRAIN)):
        job_id = attack.job(prefix, call, status="ready_to_enqueue", **CALLBACKS)
        attack.redis.zadd("rq:ready:hitl", {job_id: 1})


def dependent_of_a_drain(attack: Attack) -> None:
    drain = attack.job("drain-evil", DRAIN)
    dependent = attack.job("evil", status="deferred", dependency_ids=json.dumps([drain]), **CALLBACKS)
    attack.redis.sadd(f"rq:job:{drain}:dependents", dependent)
    attack.push(drain)


def rate_limited(attack: Attack) -> None:
    attack.push(attack.job("drain-evil", DRAIN, rate_limit_key="evil", rate_limit_concurrency=1, **CALLBACKS))


def rubbish(attack: Attack) -> None:
    attack.push(b"\xff\xfe")
    attack.push("a b:c/../d")
    attack.push(attack.job("drain-1", zlib.compress(b"[" * 50_000_000)))
    attack.push(attack.job("reconcile-1", ["workers.jobs.reconcile", None, [], {}]))
    attack.push(
        attack.job("drain-2", DRAIN, status="nonsense", timeout="nonsense", created_at="nonsense", meta=b"\xff")
    )
    attack.redis.zadd("rq:wip:hitl", {b"\xff": 1, "no execution": 1})
    attack.redis.zadd("rq:ready:hitl", {b"\xff": 1})
    attack.redis.rpush("rq:queue:hitl:intermediate", b"\xff")


#: Attacks that one worker meets, with how many jobs of each are seen to be refused, at least.
ATTACKS: dict[str, dict[Callable[[Attack], None], int]] = {
    "that wait": {
        function: 1,
        function_under_a_name_of_ours: 1,
        shell: 1,
        pickled_call: 1,
        arguments: 1,
        method_of_an_instance: 1,
        callbacks_of_a_drain: 0,
        dependent_of_a_drain: 0,
        rate_limited: 0,
    },
    "in RQ's registries": {abandoned_job: 1, stuck_in_the_intermediate_queue: 1, ready_dependent: 1},
    # RQ gives up cleaning its registries.
    "that nobody can read": {rubbish: 4},
}


@pytest.fixture
def webhook() -> Iterator[socket.socket]:
    """Nobody is to connect to it."""
    with socket.create_server(("127.0.0.1", free_port())) as listening:
        listening.setblocking(False)
        yield listening


@pytest.mark.parametrize("jobs", ATTACKS)
def test_jobs_that_others_wrote_run_nothing(
    tmp_path: Path, server: EmbeddedServer, redis: Redis, webhook: socket.socket, jobs: str
) -> None:
    (tmp_path / "hostile.py").write_text(HOSTILE)
    for attack in ATTACKS[jobs]:
        attack(Attack(redis, f"http://127.0.0.1:{webhook.getsockname()[1]}/", attack.__name__))
    environ = settings(tmp_path) | {"REDIS_URL": server.url}

    with Program("work", cwd=tmp_path, environ=environ) as worker:
        proc.until(lambda: redis.scard("rq:workers"), 60.0, "a worker is there")
        # The end of a drain, killed and then told to stop, is where RQ would run its callbacks.
        while redis.exists("rq:queue:hitl"):
            see_that_drains_go_on(redis, tmp_path)
            kill_drain(worker)
        see_that_drains_go_on(redis, tmp_path)
        refused = int(redis.hget(keys.COUNTERS, counters.JOBS_REFUSED) or 0)
        kill_drain(worker)
        see_that_drains_go_on(redis, tmp_path)
        assert worker.stop(signal.SIGTERM) == 0

    assert not (tmp_path / "sentinel").exists()
    with pytest.raises(BlockingIOError):
        webhook.accept()
    assert refused >= sum(ATTACKS[jobs].values())
    logged = [line for line in worker.output.splitlines() if "job.refused" in line]
    assert len(logged) >= sum(ATTACKS[jobs].values())
    for attack in ATTACKS[jobs].keys() - {rubbish}:
        assert sum(f"-{attack.__name__}'" in line for line in logged) >= ATTACKS[jobs][attack], attack.__name__
    assert "worker.restarting" not in worker.output
    # A drain that was asked for while the worker stopped may wait for the next one.
    assert [job for job in redis.lrange("rq:queue:hitl", 0, -1) if not job.startswith(b"drain-")] == []


def test_a_command_that_others_publish_stops_a_drain_and_runs_nothing(
    tmp_path: Path, server: EmbeddedServer, redis: Redis
) -> None:
    (tmp_path / "hostile.py").write_text(HOSTILE)
    attack = Attack(redis, "http://127.0.0.1:1/")
    drain = attack.job("drain-evil", DRAIN, **CALLBACKS, **attack.webhooks)
    attack.push(drain)

    with Program("work", cwd=tmp_path, environ=settings(tmp_path) | {"REDIS_URL": server.url}) as worker:
        see_that_drains_go_on(redis, tmp_path)
        [horse] = proc.children(worker.process.pid)
        [channel] = redis.pubsub_channels("rq:pubsub:*")
        redis.publish(channel.decode(), json.dumps({"command": "stop-job", "job_id": drain}))
        proc.until(lambda: not proc.alive(horse), 10.0, "the drain is stopped")
        see_that_drains_go_on(redis, tmp_path)

    assert not (tmp_path / "sentinel").exists()


def kill_drain(worker: Program) -> None:
    [horse] = proc.children(worker.process.pid)
    proc.kill(horse)
    proc.until(lambda: not proc.alive(horse), 10.0, "the drain is dead")


def see_that_drains_go_on(redis: Redis, folder: Path) -> None:
    body = payload(request_id=f"{time.time_ns():x}", response="Approve")
    accept(redis, [delivery(body)], retention=86_400)
    observer = Observer(folder / "observed.jsonl")
    # As the clock does.
    proc.until(
        lambda: observer.told(key(body))["quick"], 60.0, "a decision is handled", meanwhile=lambda: ask_for_drain(redis)
    )


def ask_for_drain(redis: Redis) -> None:
    if not redis.zcount(keys.DRAINS, int(time.time() * 1000), "+inf"):
        enqueue_drain(redis)
