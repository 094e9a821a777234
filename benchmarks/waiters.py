"""Waits for outcomes: 10,000 on one web process, and how soon the last of them hears.

The waiters are long polls over real connections, ten for each of 1,000 requests of a sandbox. Outcomes are posted as
signed account webhooks. Beside it, what it would cost to poll HITL.sh for each request.

`python -m benchmarks.waiters [waiters]` takes about a minute.
"""

import asyncio
import secrets
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import cast

import msgspec
import uvloop
from redis.asyncio import Redis as AsyncRedis

from benchmarks import load
from benchmarks.rig import SECRET, Rig, rig, wait_until_served
from hitl_sandbox.testing import Sandbox
from hitlsh.api import Client
from hitlsh.api.calls.requests import POLLING
from hitlsh.api.questions.new_question import NewQuestion
from hitlsh.asking.asked_request import AskedRequest
from hitlsh.signatures import headers
from service.local.stack import free_port
from service.local.supervisor import command
from service.web.app import WEBHOOKS
from workers.asking.asking_service import AskingService
from workers.settings import Settings

WAITERS = 10_000
REQUESTS = 1_000
#: Seconds of one long poll.
WAIT = 60
#: Of HITL.sh, by its documents: calls of one API key in an hour.
CALLS_PER_HOUR = 100
_API_KEY = "hitl_bench_0123456789abcdef01234567"
_TOKEN = secrets.token_urlsafe(32)
_SECONDS = 120.0


class Waiter(asyncio.Protocol):
    """One long poll; costs this program as little as it can."""

    __slots__ = ("_request", "_transport", "ended_at", "finished", "reply")

    def __init__(self, request_id: str) -> None:
        self._request = (
            f"GET /requests/{request_id}?wait={WAIT} HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {_TOKEN}\r\n\r\n"
        ).encode()
        self.reply = b""
        self.ended_at = 0.0
        self.finished: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        self.reply += data
        if b'"version":' in self.reply:
            self.ended_at = time.perf_counter()
            self._transport.close()

    def connection_lost(self, _error: Exception | None) -> None:
        if not self.finished.done():
            self.finished.set_result(None)


def main(waiters: int = WAITERS) -> None:
    with Sandbox(rate_limit=1_000_000) as sandbox, rig() as running:
        with Client(_API_KEY, base_url=sandbox.base_url) as client:
            loop = client.loops.create("Payouts", icon="key", description="Questions of a benchmark").loop
        sandbox.add_member(loop.id, "ada@example.com")
        port = free_port()
        settings = {
            "HITL_API_KEY": _API_KEY,
            "HITL_BASE_URL": sandbox.base_url,
            "HITL_CALLBACK_SECRETS": secrets.token_urlsafe(32),
            "HITL_PUBLIC_URL": f"http://127.0.0.1:{port}",
            "HITL_TOKENS": f"bench:{_TOKEN}",
        }
        running.more_environ.update(settings)
        running.start(*command("serve", "--port", str(port)))
        wait_until_served(port, "/health/ready")
        for count in (REQUESTS, waiters):
            uvloop.run(_measure(running, sandbox, port, count, loop.id))
    _print_polling()


async def _measure(running: Rig, sandbox: Sandbox, port: int, waiters: int, loop_id: str) -> None:
    async with asyncio.timeout(_SECONDS):
        asked = await _ask(Settings.from_env(running.environ()), loop_id)
        calls = len(await asyncio.to_thread(sandbox.calls))
        before = _memory(running.last_pid)
        opened = await _open(port, [asked[number % len(asked)].id for number in range(waiters)])
        await asyncio.sleep(3.0)
        memory = (_memory(running.last_pid) - before) / waiters
        started = time.perf_counter()
        posts = [_webhook(request) for request in asked]
        outcome = await load.run(port, posts, connections=16, seconds=_SECONDS)
        await asyncio.gather(*(waiter.finished for waiter in opened))
        last = max(waiter.ended_at for waiter in opened) - started
        answered = sum(b'"kind":"answered"' in waiter.reply for waiter in opened)
        made = len(await asyncio.to_thread(sandbox.calls)) - calls
    print(
        f"waiters   {waiters:>6,} on {len(asked):,} requests   {memory / 1024:5.1f} KiB each   "
        f"{outcome.accepted:,} webhooks in {outcome.seconds:.2f} s, last waiter {last - outcome.seconds:.2f} s later   "
        f"{answered:,} answered   {made} calls to HITL.sh"
    )


async def _ask(settings: Settings, loop_id: str) -> list[AskedRequest]:
    """Ask as a program beside Redis does, a few at a time."""
    redis = AsyncRedis.from_url(settings.redis_url)
    places = asyncio.Semaphore(8)
    async with AskingService(settings, redis) as service:

        async def ask(number: int) -> AskedRequest:
            question = NewQuestion(
                text=f"May payout {number} go out?",
                loop=loop_id,
                response_type="single_select",
                response_config={"options": ["Approve", "Reject"]},
                default_response="Reject",
                timeout_seconds=3600,
            )
            async with places:
                return (await service.submit(question)).request

        asked = await asyncio.gather(*(ask(number) for number in range(REQUESTS)))
    await redis.aclose()
    return asked


async def _open(port: int, request_ids: Sequence[str]) -> list[Waiter]:
    loop = asyncio.get_running_loop()
    opened: list[Waiter] = []
    for start in range(0, len(request_ids), 100):
        connected = await asyncio.gather(
            *(
                loop.create_connection(lambda request_id=request_id: Waiter(request_id), "127.0.0.1", port)  # type: ignore[misc]
                for request_id in request_ids[start : start + 100]
            )
        )
        opened += [protocol for _, protocol in connected]
    return opened


def _webhook(request: AskedRequest) -> bytes:
    now = datetime.now(UTC)
    body = msgspec.json.encode(
        {
            "event": "request.completed",
            "timestamp": now,
            "data": {
                "request": {
                    "id": request.request_id, "loop_id": request.steps[0].loop, "processing_type": "time-sensitive",
                    "type": "markdown", "priority": "medium", "request_text": request.text,
                    "response_type": "single_select", "status": "completed", "response_data": "Approve",
                    "response_by": "66c0ffee00000000000000d1", "response_at": now, "response_time_seconds": 1.5,
                    "timeout_at": now + timedelta(hours=1), "created_at": request.asked_at, "updated_at": now,
                },
                "loop": {"id": request.steps[0].loop, "name": "Payouts", "creator_id": "66c0ffee00000000000000c1"},
                "reviewer": {"user_id": "66c0ffee00000000000000d1", "email": "ada@example.com"},
            },
        }
    )  # fmt: skip
    return load.request(WEBHOOKS, body, headers(SECRET, body))


def _memory(pid: int) -> int:
    """Bytes of a process that no other shares."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) << 10 for line in lines if line.startswith("Private_"))


def _print_polling() -> None:
    seconds, calls = 0.0, 1
    while seconds < 3600:
        seconds += POLLING[min(calls - 1, len(POLLING) - 1)]
        calls += 1
    calls -= 1
    needed = calls * REQUESTS
    print(
        f"waiters   polling HITL.sh for each request: {calls} calls in the first hour; for {REQUESTS:,} requests "
        f"{needed:,}, as many as {needed // CALLS_PER_HOUR} API keys may make"
    )


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
