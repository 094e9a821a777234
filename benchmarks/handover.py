"""Neighbours: how long a fast event waits beside slow handlers, during reconcile runs and at the end of a drain.

Fourteen handlers are slow, and six places stay free, over one worker process or two. A fast event comes every
50 ms; its wait is the time from its acceptance to its handler.
"""

import asyncio
import secrets
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import msgspec
from redis import Redis

from benchmarks.rig import Rig
from hitlsh.webhooks.parsing import parse
from service.local.stack import free_port
from service.local.supervisor import command
from workers.inbox import keys
from workers.inbox.store import Inbox
from workers.inbox.tracker.api_keys import DISCOVERY
from workers.inbox.values import Delivery
from workers.redis_clients import drain_client

#: The longest timeout of the handlers is a second longer.
SLOW_SECONDS, SLOW, PLACES = 10.0, 14, 20
SECONDS, EVERY = 40.0, 0.05
#: Seconds: a reconcile run is due so often, and a drain lives so long.
RECONCILE_EVERY, LIFE = 5.0, 12.0
_KEY = "hitl_dev_benchmark"

#: A worker whose drains have a short life.
_WORKER = """
from workers.handlers.drain import DrainOptions
DrainOptions.__init__.__kwdefaults__["life"] = {life}
from service.cli.main import main
import sys
sys.argv = ["hitl-receiver", *{arguments!r}]
main()
"""


def main() -> None:
    cases = sys.argv[1:] or ["quiet", "reconcile runs", "a drain's end"]
    for workers in (1, 2):
        for case in cases:
            with tempfile.TemporaryDirectory(prefix="hitl-bench-") as folder:
                waits = sorted(_run(Path(folder), workers, case))
            p50, p99 = waits[len(waits) // 2], waits[int(len(waits) * 0.99)]
            print(
                f"neighbours {workers} worker{'s' if workers > 1 else ' '} {case:<15}"
                f" p50 {p50:9,.1f} ms  p99 {p99:9,.1f} ms  worst {waits[-1]:9,.1f} ms  of {len(waits)}",
                flush=True,
            )


class _Rig(Rig):
    def __init__(self, folder: Path, workers: int, *, api: str | None) -> None:
        super().__init__(folder)
        self._settings = {
            "HITL_HANDLERS": "benchmarks.handover_handlers",
            "HITL_HANDLER_CONCURRENCY": str(PLACES // workers),
            "BENCH_SLOW_SECONDS": str(SLOW_SECONDS),
        }
        if api:
            self._settings |= {
                "HITL_API_KEY": _KEY,
                "HITL_BASE_URL": f"{api}/v1",
                "SANDBOX_KEYS": f"{_KEY}=you@example.com",
            }

    def environ(self) -> dict[str, str]:
        return super().environ() | self._settings


def _run(folder: Path, workers: int, case: str) -> list[float]:
    """Milliseconds that each fast event waited."""
    port = free_port() if case == "reconcile runs" else None
    running = _Rig(folder, workers, api=f"http://127.0.0.1:{port}" if port else None)
    running.server.start()
    try:
        if port:
            running.start(sys.executable, "-m", "hitl_sandbox", "--port", str(port), "--db", str(folder / "sandbox.db"))
        running.start(*command("clock"))
        life = LIFE if case == "a drain's end" else 600.0
        arguments = ["work", "--processes", "1"]
        for _ in range(workers):
            running.start(sys.executable, "-c", _WORKER.format(life=life, arguments=arguments))
        redis = Redis.from_url(running.server.url)
        reconciling = _Reconciling(redis)
        waits = asyncio.run(_measure(running, workers, reconciling if port else _nothing))
        if port and not reconciling.runs - {None}:
            raise RuntimeError("No reconcile run was seen: the sandbox or the process that serves them did not start.")
        redis.close()
        return waits
    finally:
        running.stop()


async def _measure(running: _Rig, workers: int, each_moment: Callable[[], None]) -> list[float]:
    redis = drain_client(running.server.url)
    inbox = Inbox(redis, retention=86_400)
    sent: dict[str, float] = {}
    # The clock starts one drain; a backlog starts the second.
    await _accept(inbox, "Approve", {})
    await _until(redis, workers, inbox)
    for _ in range(SLOW):
        await _accept(inbox, "Slow", {})
        await asyncio.sleep(SLOW_SECONDS / SLOW)
    started, slow_at = time.monotonic(), time.monotonic()
    while time.monotonic() - started < SECONDS:
        each_moment()
        if time.monotonic() >= slow_at:
            await _accept(inbox, "Slow", {})
            slow_at += SLOW_SECONDS / SLOW
        await _accept(inbox, "Approve", sent)
        await asyncio.sleep(EVERY)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if sent.keys() <= running.observer.seen.keys():
            break
        await asyncio.sleep(0.05)
    await redis.aclose()
    missing = len(sent.keys() - running.observer.seen.keys())
    if missing:
        raise TimeoutError(f"{missing} of {len(sent)} fast events were not handled within 60 s")
    return [(running.observer.seen[name] - at) * 1000 for name, at in sent.items()]


async def _until(redis: object, workers: int, inbox: Inbox) -> None:
    """Wait until so many drains are resident: work that is due for a second causes another."""
    deadline = time.monotonic() + 60
    while (drains := int(await inbox.redis.zcard(keys.DRAINS))) < workers:
        if time.monotonic() > deadline:
            raise TimeoutError(f"{drains} of {workers} drains started")
        await inbox.redis.zadd(keys.DUE, {"|none": 1})
        await asyncio.sleep(0.2)
    await inbox.redis.zrem(keys.DUE, "|none")


def _nothing() -> None: ...


class _Reconciling:
    """Makes a reconcile run due every few seconds, and counts those that it sees."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._last = 0.0
        self.runs: set[object] = set()

    def __call__(self) -> None:
        self.runs.add(self._redis.get(keys.RECONCILE_LEASE))
        if time.monotonic() - self._last > RECONCILE_EVERY:
            self._last = time.monotonic()
            self._redis.zadd(keys.CHECKS, {DISCOVERY: 1})
            self._redis.hset(keys.RECONCILE_STATE, "rests_until", 0)


async def _accept(inbox: Inbox, answer: str, sent: dict[str, float]) -> None:
    request_id = secrets.token_hex(12)
    body = msgspec.json.encode(
        {
            "event": "request.completed",
            "request_id": request_id,
            "loop_id": "66c0ffee00000000000000b1",
            "status": "completed",
            "response_data": {"selected_value": answer},
            "response_by": {"user_id": "u1", "name": "Ada", "email": "ada@example.com"},
            "response_at": "2026-03-01T11:59:00Z",
        }
    )
    sent[request_id] = time.time()
    await inbox.accept([Delivery(content=parse(body), body=body, trust="callback", received_at=datetime.now(UTC))])


if __name__ == "__main__":
    main()
