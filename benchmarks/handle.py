"""Handling: one worker's rate as a share of what its handlers allow, and the cost of an effect.

The inbox is filled first, then one worker process starts; no receiver runs.
"""

import asyncio
import os
import secrets
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from statistics import median

import msgspec
from redis import Redis
from rq import Queue

from benchmarks.rig import Rig, rig
from hitlsh.webhooks.parsing import parse
from service.local.supervisor import command
from workers.inbox.store import Inbox
from workers.inbox.values import Delivery
from workers.queue import enqueue_drain
from workers.redis_clients import drain_client

HANDLER_SECONDS = 0.05
ROUNDS = 3
NO_OPS, JOBS = 10_000, 150


@dataclass(frozen=True, slots=True)
class Run:
    """The measurements of one worker on one backlog."""

    rate: float
    cpu_seconds: float
    peak_mebibytes: float


def main() -> None:
    with rig() as running:
        for in_flight in (50, 200):
            events = int(in_flight / HANDLER_SECONDS * 3)
            measured = _run(running, events, "benchmarks.slow_handlers", in_flight)
            possible = in_flight / HANDLER_SECONDS
            print(
                f"handle    {in_flight:>3} in flight, {HANDLER_SECONDS * 1000:.0f} ms each: "
                f"{measured.rate:,.0f} effects/s, {measured.rate / possible:.2f} of the possible rate"
            )
        idle = _run(running, 1, "benchmarks.handlers", 50)
        ours, jobs = [], []
        for _ in range(ROUNDS):
            ours.append(_run(running, NO_OPS, "benchmarks.handlers", 50))
            jobs.append(_rq(running))
        few = _run(running, 100, "benchmarks.handlers", 50)
    rate, job_rate = median(run.rate for run in ours), median(jobs)
    cost = median(run.cpu_seconds - idle.cpu_seconds for run in ours) / NO_OPS * 1e6
    print(
        f"handle    no-op: {rate:,.0f} effects/s against {job_rate:,.0f} jobs/s of `rq worker`: {rate / job_rate:.0f}x"
    )
    print(f"handle    {cost:.0f} us of the worker's CPU per effect")
    print(
        f"handle    peak memory with {NO_OPS:,} events due {median(run.peak_mebibytes for run in ours):.0f} MiB,"
        f" with 100 due {few.peak_mebibytes:.0f} MiB"
    )


def _run(running: Rig, events: int, handlers: str, in_flight: int) -> Run:
    """Fill the inbox, start one worker, and measure when its handlers ran."""
    redis = Redis.from_url(running.server.url)
    redis.flushall()
    asyncio.run(_fill(running.server.url, events))
    enqueue_drain(redis)
    redis.close()
    environ = running.environ() | {"HITL_HANDLERS": handlers, "HITL_HANDLER_CONCURRENCY": str(in_flight)}
    worker = subprocess.Popen(command("work"), env=environ)
    running.observer.wait_for(events, 90)
    times = sorted(running.observer.seen.values())
    running.observer.forget()
    worker.send_signal(signal.SIGTERM)
    _, _, usage = os.wait4(worker.pid, 0)
    worker.returncode = 0
    span = max(times[-1] - times[0], 1e-9)
    return Run((events - 1) / span, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)


async def _fill(url: str, events: int) -> None:
    redis = drain_client(url)
    inbox = Inbox(redis, retention=86_400)
    for start in range(0, events, 100):
        await inbox.accept([_delivery() for _ in range(min(100, events - start))])
    await redis.aclose()


def _delivery() -> Delivery:
    body = msgspec.json.encode(
        {
            "event": "request.completed",
            "request_id": secrets.token_hex(12),
            "loop_id": "66c0ffee00000000000000b1",
            "status": "completed",
            "response_data": {"selected_value": "Approve"},
            "response_by": {"user_id": "u1", "name": "Ada", "email": "ada@example.com"},
            "response_at": "2026-03-01T11:59:00Z",
        }
    )
    return Delivery(content=parse(body), body=body, trust="callback", received_at=datetime.now(UTC))


def _rq(running: Rig) -> float:
    """Jobs per second of a plain `rq worker` on the same kind of backlog."""
    redis = Redis.from_url(running.server.url)
    redis.flushall()
    queue = Queue("naive", connection=redis)
    for _ in range(JOBS):
        payload = {"data": {"request": {"id": secrets.token_hex(12)}}}
        queue.enqueue("benchmarks.naive_handler.handle", payload, result_ttl=0)
    argv = [sys.executable, "-m", "rq.cli", "worker", "naive", "--burst", "--quiet", "--url", running.server.url]
    worker = subprocess.Popen(argv, env=running.environ(), stderr=subprocess.DEVNULL)
    running.observer.wait_for(JOBS, 60)
    times = sorted(running.observer.seen.values())
    running.observer.forget()
    worker.wait(30)
    redis.close()
    time.sleep(0.1)
    return (JOBS - 1) / (times[-1] - times[0])


if __name__ == "__main__":
    main()
