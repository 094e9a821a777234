"""Runs every cell of the matrix through the inbox, and records the decision that each route received."""

import asyncio
import time
from datetime import UTC, datetime
from typing import Any

from redis import Redis

from hitl_sandbox.testing import Sandbox
from hitlsh.callbacks import CallbackSigner
from tests.workers.inbox.invariants import broken
from tests.workers.matrix.cells import CALLBACK_KEY, CONTEXT, KEY, STATE, TEXT, AskedCell, Cell, ask_all
from workers import Decision, Router
from workers.asking import RedisRequestRecorder
from workers.handlers.drain import Drain, DrainOptions
from workers.inbox import keys
from workers.inbox.tracker import tracked_requests
from workers.inbox.values import Delivery
from workers.inbox.worker_inbox import LeaseKeeper, WorkerInbox
from workers.reconcile import api_reading, runner
from workers.redis_clients import drain_client
from workers.routing.decision_fields import NEEDABLE
from workers.settings import Settings

RETENTION, LEASE = 86_400, 15.0
#: What the routes were given: by cell, then by route.
Given = dict[Cell, dict[str, list[Decision]]]


class Routes:
    """One router for all cells: `audit` needs nothing, `full` all that there is, each other route one thing."""

    def __init__(self, loops: dict[str, str]) -> None:
        self.given: dict[str | None, dict[str, list[Decision]]] = {}
        self.router = Router()
        self._add("audit")
        self._add("full", when=lambda decision: True, needs=tuple(NEEDABLE))
        self._add(
            "response", events=("request.completed",), response=["Pay it", "Dear Bo", "Approve it", "v1", "approve"]
        )
        self._add("number", events=("request.completed",), response=[4, 12.5, True])
        self._add("answer", events=("request.completed",), response=lambda response: response in ("v1", ["v1", "v2"]))
        self._add("response_type", response_type=["text", "rating", "boolean"])
        self._add("state", state=STATE)
        self._add("context", metadata=CONTEXT)
        self._add("loop", loop=list(loops.values()))
        self._add("loop_name", loop=list(loops))
        self._add(
            "default",
            when=lambda decision: decision.default_response in ("v2", "reject", "Dear Ada"),
            needs="default_response",
        )
        self._add("question", when=lambda decision: decision.question.text == TEXT, needs="question")
        self._add("edited", when=lambda decision: decision.was_edited is True, needs="was_edited")

    def _add(self, name: str, *, events: tuple[str, ...] = ("request.*",), **conditions: Any) -> None:
        def keep(decision: Decision) -> None:
            self.given.setdefault(decision.request_id, {}).setdefault(name, []).append(decision)

        self.router.on(*events, name=name, **conditions)(keep)


def decide_all(redis: Redis, server_url: str) -> tuple[Given, dict[str, str]]:
    """Ask, deliver step by step and decide every cell; returns what the routes were given, and the loops by name."""
    start = time.time() - 7_200
    with Sandbox(speed=0, start=start, rate_limit=100_000, callback_delays=(0,), account_delays=(0,)) as sandbox:
        recorder = RedisRequestRecorder(redis, CallbackSigner((CALLBACK_KEY,)), retention=86_400, api_key=KEY)
        loops, asked = ask_all(sandbox, recorder)
        settings = Settings(
            redis_url=server_url, api_key=KEY, base_url=sandbox.base_url, discover=False,
            callback_secrets=(CALLBACK_KEY,),
        )  # fmt: skip
        routes = Routes(loops)
        asyncio.run(_decide(redis, settings, routes.router, asked))
    return {one.cell: routes.given.get(one.request_id, {}) for one in asked}, loops


async def _decide(redis: Redis, settings: Settings, router: Router, asked: list[AskedCell]) -> None:
    async_redis = drain_client(settings.redis_url)
    inbox = WorkerInbox(async_redis, retention=RETENTION, lease=LEASE)
    options = DrainOptions(lease=LEASE, can_read=True)
    drain = Drain(inbox, router, LeaseKeeper(redis, lease=LEASE), options)
    running = asyncio.create_task(drain.run())
    for step in range(3):
        deliveries = [_delivery(redis, one, one.cell.order[step]) for one in asked if step < len(one.cell.order)]
        for first in range(0, len(deliveries), 64):
            await inbox.accept(deliveries[first : first + 64])
        await _until_idle(redis)
        await _read_what_is_waited_for(redis, settings)
    drain.stop()
    await running
    await async_redis.aclose()
    assert broken(redis) == []


def _delivery(redis: Redis, asked: AskedCell, channel: str) -> Delivery:
    """As the web process or a reconcile run hands it to the inbox."""
    now = datetime.now(UTC)
    if channel == "poll":
        tracked = tracked_requests.read(redis, [asked.request_id]).get(asked.request_id)
        return api_reading.delivery(asked.row, tracked.callback if tracked else None, now)
    verified = asked.delivered[channel]  # type: ignore[index] # a channel that is not "poll"
    return Delivery(
        content=verified.event,
        body=verified.body,
        trust=verified.trust,
        received_at=now,
        callback_id=verified.callback.id if verified.callback else None,
        state=verified.callback.state if verified.callback else None,
    )


async def _read_what_is_waited_for(redis: Redis, settings: Settings) -> None:
    deadline = time.monotonic() + 30
    while redis.zcard(keys.UNCONFIRMED):
        assert time.monotonic() < deadline, redis.zrange(keys.UNCONFIRMED, 0, 5)
        await asyncio.to_thread(runner.run, settings, redis)
        await _until_idle(redis)


async def _until_idle(redis: Redis) -> None:
    deadline = time.monotonic() + 30
    while redis.zcard(keys.DUE):
        assert time.monotonic() < deadline, redis.zrange(keys.DUE, 0, 5)
        await asyncio.sleep(0.01)
