"""Sixty days of one request: deliveries, repeats, forgeries, kills between any two scripts, records that expire.

Each handler runs for one decision, once, and nothing runs after the record of the request expired.
"""

import asyncio
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from redis import Redis
from redis.asyncio import Redis as AsyncRedis

from tests.builders import claimed, delivery, payload
from tests.workers.inbox.api_reading import save_notes
from tests.workers.inbox.invariants import broken
from tests.workers.inbox.one_worker import OneWorker, Run
from tests.workers.inbox.passing_time import DAY, pass_time
from tests.workers.inbox.stuck_work import find_stuck
from workers import Router
from workers.clock import Clock
from workers.inbox import keys
from workers.inbox.maintenance.repairing import Repairer
from workers.inbox.tracker.reconcile_lease import Note
from workers.inbox.worker_inbox import WorkerInbox
from workers.trust import LEVELS

pytestmark = pytest.mark.slow

REQUEST = "66c0ffee00000000000000a1"
RETENTION = 30 * DAY
BODIES = {"Approve": payload(), "Reject": payload(response="Reject"), "timeout": payload(status="timeout")}
DEMANDS = {"plain": "callback", "signed": "signed", "strict": "confirmed"}

evidence = st.tuples(st.just("accept"), st.sampled_from(sorted(BODIES)), st.sampled_from(sorted(LEVELS)))
steps = st.one_of(
    evidence,
    evidence,
    st.tuples(st.just("progress")),
    st.tuples(st.just("claim"), st.integers(1, 3)),
    st.tuples(st.just("end"), st.sampled_from(["done", "done", "retry", "release"])),
    st.tuples(st.just("die")),
    st.tuples(st.just("settle")),
    st.tuples(st.just("days"), st.integers(1, 31)),
    st.tuples(st.just("answer"), st.sampled_from(["open", "missing"])),
)


def routes() -> Router:
    router = Router()
    for name, trust in DEMANDS.items():
        router.on("request.*", name=name, trust=trust)(lambda decision: None)  # type: ignore[arg-type]
    router.on("request.*", name="conflicts", conflict=True, late=True)(lambda decision: None)
    return router


class Life:
    """The inbox with one worker that may die, HITL.sh, and passing time."""

    def __init__(self, redis: Redis, inbox: WorkerInbox) -> None:
        self.redis = redis
        self.inbox = inbox
        self.worker = OneWorker(inbox, routes())
        self.clock = Clock(redis, retention=RETENTION)
        self.days_left = 60
        #: What arrived since HITL.sh last denied all, until the request was over and forgotten.
        self.arrived: list[tuple[str, str]] = []
        self.denied = False
        #: The record of the request expired: what arrives now is stale.
        self.forgotten = False

    async def take(self, verb: str, *rest: Any) -> None:
        await getattr(self, verb)(*rest)
        assert broken(self.redis) == []

    async def accept(self, answer: str, trust: str) -> None:
        await self.inbox.accept([delivery(BODIES[answer], trust=trust)])
        if not self.forgotten:
            self.arrived.append((answer, trust))

    async def progress(self) -> None:
        if not self.forgotten:
            await self.inbox.accept([delivery(claimed())])

    async def claim(self, most: int) -> None:
        await self.worker.claim(most)

    async def end(self, verb: str) -> None:
        await self.worker.end(verb)

    async def die(self) -> None:
        self.worker.die()
        await self.worker.expire_leases(self.redis)

    async def settle(self) -> None:
        await self.worker.settle()

    async def days(self, count: int) -> None:
        """Workers are down all the while; the leases of the last one run out."""
        count = min(count, self.days_left)
        self.days_left -= count
        self.worker.die()
        pass_time(self.redis, count * DAY)
        self.clock.trim()
        self.forgotten = self.forgotten or bool(self.arrived and not self.redis.exists(keys.request(REQUEST)))

    async def answer(self, verb: Any) -> None:
        had = self.redis.hget(keys.request(REQUEST), "event")
        save_notes(self.redis, Note(verb, REQUEST), retention=RETENTION)
        if had and not self.redis.hget(keys.request(REQUEST), "event"):
            self.arrived, self.denied = [], True


@example(story=[("accept", "Approve", "callback"), ("settle",), *[("answer", "open")] * 3])
@example(story=[("accept", "Approve", "callback"), ("claim", 1), *[("answer", "open")] * 3])
@example(story=[("accept", "Approve", "callback"), ("settle",), ("answer", "missing")])
@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(story=st.lists(steps, min_size=4, max_size=20))
def test_each_handler_runs_for_one_decision_in_sixty_days(
    redis: Redis, server: Any, story: list[tuple[Any, ...]]
) -> None:
    redis.flushall()

    async def live() -> Life:
        async with AsyncRedis.from_url(server.url) as client:
            life = Life(redis, WorkerInbox(client, retention=RETENTION, lease=15.0))
            for step in story:
                await life.take(*step)
            await life.settle()
            assert Repairer(redis, retention=RETENTION).repair() == []
            assert broken(redis) + find_stuck(redis) == []
            await life.days(60)
            begun = len(life.worker.begun)
            for answer, trust in [*life.arrived, ("Reject", "callback"), ("Approve", "signed")]:
                await life.accept(answer, trust)
            await life.settle()
            assert life.worker.begun[begun:] == [] or not life.forgotten, "something ran after all was over"
            return life

    _check(asyncio.run(live()))


def _check(life: Life) -> None:
    runs = [run for run in life.worker.begun if run.ends]
    for name, demanded in DEMANDS.items():
        of_handler = [run for run in runs if run.handler == name]
        assert all(LEVELS[run.trust] >= LEVELS[demanded] for run in of_handler)  # type: ignore[index]
        # What a worker began before its routing was on record, and died, may run for the decision too.
        outcomes = {(run.event_key, run.response) for run in of_handler if not run.after_death}
        assert len(outcomes) <= 1 or life.worker.died, (name, outcomes)
        _check_reached(life, name, demanded, of_handler)


def _check_reached(life: Life, name: str, demanded: str, runs: list[Run]) -> None:
    """Check that each handler ran whose demanded evidence arrived."""
    if any(LEVELS[trust] >= LEVELS[demanded] for _, trust in life.arrived):  # type: ignore[index]
        assert runs, f"{name} never ran"
    confirmed = [answer for answer, trust in life.arrived if trust == "confirmed"]
    if name == "strict" and confirmed and not life.denied:
        assert {run.response for run in runs} == {None if confirmed[0] == "timeout" else confirmed[0]}
