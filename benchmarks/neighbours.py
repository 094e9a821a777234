"""Neighbours: how long a fast handler waits while something else keeps the same workers busy.

Each case is a function that changes something in a rig with slow handlers at work; see `CASES`.
"""

import asyncio
import os
import secrets
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import msgspec
from redis import Redis

from benchmarks.rig import Rig, rig
from hitlsh.webhooks.parsing import parse
from service.local.supervisor import command
from workers.inbox import keys, store
from workers.inbox.operations import pausing
from workers.inbox.settlements import Held, Report, Routed, RoutedEffect
from workers.inbox.values import Delivery
from workers.inbox.worker_inbox import WorkerInbox
from workers.redis_clients import drain_client

LEASE = 15
EVERY = 0.05
SLOW, HELD = 10, 100_000


@dataclass(slots=True)
class BusyRig:
    """A rig whose workers run slow handlers."""

    rig: Rig
    redis: Redis
    workers: list[subprocess.Popen[bytes]]
    #: The pid of the work-horse that runs the slow handlers.
    slow: int = 0

    def horses(self) -> list[int]:
        """The work-horses of the workers: where handlers run."""
        return [
            int(child)
            for worker in self.workers
            for child in Path(f"/proc/{worker.pid}/task/{worker.pid}/children").read_text().split()
        ]

    def send(self, status: str, response: str | None = None) -> str:
        """Accept an outcome; returns the id of its request."""
        one = delivery(status, response)
        store.accept(self.redis, [one], retention=86_400)
        return str(one.content.request_id)  # type: ignore[union-attr]


def delivery(status: str, response: str | None = None) -> Delivery:
    now = datetime.now(UTC)
    body = msgspec.json.encode(
        {
            "event": f"request.{status}",
            "request_id": secrets.token_hex(12),
            "status": status,
            "response_data": {"selected_value": response} if response else None,
            "response_by": {"user_id": "u1", "name": "Ada"} if response else None,
            "response_at": now.isoformat() if response else None,
            "created_at": now.isoformat(),
        }
    )
    return Delivery(content=parse(body), body=body, trust="signed", received_at=now)


@contextmanager
def busy_rig(workers: int, hold: int = 0) -> Iterator[BusyRig]:
    """Start workers that run slow handlers; `hold`: so many effects are held before."""
    with rig() as running:
        redis = Redis.from_url(running.server.url)
        if hold:
            pausing.pause(redis, "held")
            asyncio.run(_hold(running.server.url, hold))
        environ = running.environ() | {
            "HITL_HANDLERS": "benchmarks.neighbour_handlers",
            "HITL_LEASE_SECONDS": str(LEASE),
        }
        started = [subprocess.Popen(command("work"), env=environ) for _ in range(workers)]
        clock = subprocess.Popen(command("clock"), env=environ)
        busy = BusyRig(running, redis, started)
        try:
            _wait(lambda: redis.scard("rq:workers") >= workers)
            for _ in range(SLOW):
                busy.send("completed", "Slow")
            _wait(lambda: redis.hlen(keys.LEASES) == SLOW)
            [busy.slow] = busy.horses()
            while len(busy.horses()) < workers:  # the clock enqueues one drain after another
                redis.zadd(keys.DUE, {"|none": 0})
                time.sleep(1)
            yield busy
        finally:
            for process in (*started, clock):
                process.terminate()
            for process in (*started, clock):
                process.wait(30)
            redis.close()


async def _hold(url: str, count: int) -> None:
    client = drain_client(url)
    into = WorkerInbox(client, retention=86_400, lease=60)
    routed = Routed(effects=(RoutedEffect(handler="held", start="running"),))
    for start in range(0, count, 200):
        await into.accept([delivery("completed", "Held") for _ in range(min(200, count - start))])
        items = (await into.claim(200)).items
        await into.report([Report(item.lease, routed) for item in items])
        await into.report([Report(item.first_attempt("held").lease, Held()) for item in items])
    await client.aclose()


def _wait(condition: Callable[[], object], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError("the workers did not begin")
        time.sleep(0.05)


def probe(busy: BusyRig, seconds: float, change: Callable[[BusyRig], object]) -> list[float]:
    """Send fast events at a steady rate, and make the change after a second; returns how long each waited."""
    sent: dict[str, float] = {}
    changing = threading.Timer(1.0, change, [busy])
    changing.start()
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        at = time.time()
        sent[busy.send("cancelled")] = at
        time.sleep(EVERY)
    changing.join()
    busy.rig.observer.wait_for(len(sent), 120)
    waits = sorted(max(0.0, busy.rig.observer.seen[request] - at) for request, at in sent.items())
    busy.rig.observer.forget()
    return waits


def _nothing(_: BusyRig) -> None:
    return


def _kill(busy: BusyRig) -> None:
    """kill -9 of the work-horse that runs the slow handlers."""
    os.kill(busy.slow, signal.SIGKILL)


def _resume(busy: BusyRig) -> None:
    client = Redis.from_url(busy.rig.server.url)
    pausing.resume(client, "held")
    client.close()


@dataclass(frozen=True, slots=True)
class Case:
    name: str
    change: Callable[[BusyRig], object]
    seconds: float
    workers: int = 2
    held: int = 0


CASES = [
    Case("quiet", _nothing, 10),
    Case(f"a resume of {HELD:,} held effects", _resume, 30, held=HELD),
    Case("after a kill -9 of one of two workers", _kill, 45),
    Case("after a kill -9 of the only worker", _kill, 60, workers=1),
]


def main(*names: str) -> None:
    """`names`: parts of the names of the cases to run; all of them when empty."""
    for case in CASES:
        if names and not any(name in case.name for name in names):
            continue
        with busy_rig(case.workers, case.held) as busy:
            waits = probe(busy, case.seconds, case.change)
        p50, p99 = waits[len(waits) // 2], waits[int(len(waits) * 0.99)]
        print(
            f"neighbours  {case.name:<40} a fast handler waits p50 {p50 * 1000:8.1f} ms  p99 {p99 * 1000:8.1f} ms"
            f"  worst {waits[-1] * 1000:8.1f} ms",
            flush=True,
        )


if __name__ == "__main__":
    main(*sys.argv[1:])
