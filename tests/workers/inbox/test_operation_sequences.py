"""Any sequence of operations on the inbox loses no effect and keeps the counters correct."""

import asyncio
from functools import partial
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from redis import Redis
from redis.asyncio import Redis as AsyncRedis

from tests.builders import claimed, delivery, payload, routed, settled
from tests.workers.inbox.api_reading import save_notes
from tests.workers.inbox.invariants import broken
from tests.workers.inbox.passing_time import DAY, pass_time
from tests.workers.inbox.stuck_work import find_stuck
from workers import Router
from workers.clock import Clock
from workers.inbox import keys
from workers.inbox.claims import ClaimedItem
from workers.inbox.operations import pausing
from workers.inbox.operations.failures import discard, retry
from workers.inbox.operations.replaying import replay
from workers.inbox.queries.search import Filter
from workers.inbox.tracker.reconcile_lease import Note
from workers.inbox.worker_inbox import WorkerInbox

pytestmark = pytest.mark.slow

HANDLERS = ("pay", "notify", "audit")
CONDITIONS: dict[str, Any] = {"audit": {"trust": "confirmed"}}
BODIES = [
    body
    for one in ("a", "b")
    for body in (claimed(one), payload(one), payload(one, response="Reject"), payload(one, status="timeout"))
]
ENDS = ("done", "skipped", "retry", "failed", "held", "unconfirmed", "release")
#: As a routing names them: begun, due, or waiting for confirmation.
ROUTED = [f"{name}:{mode}" for name in HANDLERS for mode in ("run", "due", "await-signed", "later-confirmed")]

handler_filters = st.sampled_from([Filter(), *(Filter(handler=name) for name in HANDLERS), Filter(event="*.timeout")])
discards = handler_filters | st.just(Filter(state="unconfirmed"))
trusts = st.sampled_from(["callback", "signed", "confirmed"])
routings = st.lists(st.sampled_from(ROUTED), unique_by=lambda name: name.partition(":")[0])
endings = st.dictionaries(st.sampled_from(HANDLERS), st.sampled_from(ENDS), max_size=3)
steps = st.one_of(
    st.tuples(st.just("live_through"), st.sampled_from(BODIES), endings),
    st.tuples(st.just("accept"), st.sampled_from(BODIES), trusts),
    st.tuples(st.just("claim"), st.integers(1, 5), st.dictionaries(st.sampled_from(HANDLERS), st.just(1))),
    st.tuples(st.just("settle"), st.sampled_from(ENDS), routings),
    st.tuples(st.just("contradict"), st.sampled_from("abc"), routings),
    st.tuples(st.just("die")),
    st.tuples(st.just("days"), st.integers(1, 20)),
    st.tuples(st.just("answer"), st.sampled_from(["open", "missing"]), st.sampled_from("ab")),
    st.tuples(st.just("retry"), handler_filters),
    st.tuples(st.just("discard"), discards),
    st.tuples(st.just("replay"), handler_filters, st.booleans(), st.sets(st.sampled_from(HANDLERS), min_size=1)),
    st.tuples(st.just("pause"), st.sampled_from(HANDLERS)),
    st.tuples(st.just("resume"), st.sampled_from(HANDLERS)),
)


class OperationSequence:
    """The inbox with one worker that may die and restart, HITL.sh, and an operator."""

    def __init__(self, redis: Redis, inbox: WorkerInbox) -> None:
        self.redis = redis
        self.inbox = inbox
        self.held: list[tuple[str, ClaimedItem]] = []

    async def take(self, step: tuple[Any, ...]) -> None:
        verb, *rest = step
        before = self.leased()
        await getattr(self, verb)(*rest)
        if verb in {"retry", "discard", "replay"}:
            assert self.leased() == before
        assert broken(self.redis) + find_stuck(self.redis) == []

    def leased(self) -> dict[str, Any]:
        """Who holds what, until when."""
        tokens = self.redis.hgetall(keys.LEASES)
        return {name.decode(): (token, self.redis.zscore(keys.DUE, name)) for name, token in tokens.items()}

    async def accept(self, body: bytes, trust: str = "callback") -> None:
        await self.inbox.accept([delivery(body, trust=trust)])

    async def die(self) -> None:
        """The leases run out."""
        self.held = []
        if leased := self.redis.hkeys(keys.LEASES):
            self.redis.zadd(keys.DUE, dict.fromkeys(leased, 0), xx=True)

    async def days(self, count: int) -> None:
        """Nothing of ours runs; finished records expire, leases run out."""
        self.held = []
        pass_time(self.redis, count * DAY)
        Clock(self.redis, retention=86_400).trim()

    async def answer(self, verb: Any, request_id: str) -> None:
        """HITL.sh's API shows the request as open, or not at all."""
        save_notes(self.redis, Note(verb, request_id))

    async def live_through(self, body: bytes, ends: dict[str, Any]) -> None:
        """Accept, and let what is due come to these ends: the way to what a person has to do with."""
        await self.accept(body)
        for item in (await self.inbox.claim(10)).items:
            if not item.lease.handler:
                await self.inbox.report([routed(item, *ends)])
            names = [item.lease.handler] if item.lease.handler else list(ends)
            await self.inbox.report([settled(item, ends.get(name, "done"), name, error="no") for name in names])

    async def claim(self, most: int, caps: dict[str, int]) -> None:
        items = (await self.inbox.claim(most, caps=caps)).items
        assert not any(
            self.redis.hexists(keys.event(item.lease.event_key), f"{item.lease.handler}:overruled") for item in items
        )
        self.held += [(item.lease.handler, item) for item in items]

    async def settle(self, end: Any, names: list[str]) -> None:
        for handler, item in self.held[:2]:
            if handler or end == "failed":
                await self.inbox.report([settled(item, end, handler, error="no")])
            else:
                await self.inbox.report([routed(item, *names)])
                self.held += [(name.removesuffix(":run"), item) for name in names if name.endswith(":run")]
        self.held = self.held[2:]

    async def contradict(self, request_id: str, names: list[str]) -> None:
        """Something of an event runs, is due or waits for confirmation, and HITL.sh says otherwise."""
        await self.accept(payload(request_id))
        waiting = [name.replace(":due", ":await-confirmed") for name in names] or ["audit:await-confirmed"]
        for item in (await self.inbox.claim(10)).items:
            self.held.insert(0, (item.lease.handler, item))
            if not item.lease.handler:
                await self.settle("done", waiting)
        await self.accept(payload(request_id, response="Reject"), "confirmed")

    async def retry(self, conditions: Filter) -> None:
        retry(self.redis, conditions, retention=60)

    async def discard(self, conditions: Filter) -> None:
        discard(self.redis, conditions, reason="no", retention=60)

    async def replay(self, conditions: Filter, force: bool, names: set[str]) -> None:
        routes = Router()
        for name in sorted(names):
            routes.on("*", name=name, late=True, conflict=True, **CONDITIONS.get(name, {}))(partial(str))
        replay(self.redis, routes, conditions, retention=60, force=force)

    async def pause(self, name: str) -> None:
        pausing.pause(self.redis, name)

    async def resume(self, name: str) -> None:
        pausing.resume(self.redis, name)


#: An effect on a conflict, whose handler is begun for the decision by a route that does not ask for conflicts any more.
EFFECT_MOVES = [
    ("live_through", payload("a"), {}),
    ("replay", Filter(), False, {"pay"}),
    ("accept", payload("a", response="Reject"), "signed"),
    ("claim", 2, {}),
    ("settle", "done", ["pay:due"]),
]


@example(story=EFFECT_MOVES)
@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(story=st.lists(steps, min_size=5, max_size=40))
def test_no_effect_is_lost_or_counted_twice(redis: Redis, server: Any, story: list[tuple[Any, ...]]) -> None:
    redis.flushall()

    async def live() -> None:
        async with AsyncRedis.from_url(server.url) as client:
            sequence = OperationSequence(redis, WorkerInbox(client, retention=86_400, lease=15.0))
            for step in story:
                await sequence.take(step)

    asyncio.run(live())
