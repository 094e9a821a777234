"""A worker that acts on the inbox like a drain, one step at a time: claim, route, run, report, die."""

from typing import Any

import msgspec
from redis import Redis

from tests.builders import settled
from workers import Router
from workers.decision import Decision
from workers.inbox import keys
from workers.inbox.claims import ClaimedItem
from workers.inbox.settlements import Report, Routed, RoutedEffect
from workers.inbox.worker_inbox import WorkerInbox


class Run(msgspec.Struct, frozen=True):
    """One attempt of a handler."""

    handler: str
    event_key: str
    response: Any
    state: Any
    trust: str
    conflict: bool
    ends: bool
    after_death: bool


class OneWorker:
    def __init__(self, inbox: WorkerInbox, router: Router) -> None:
        self._inbox = inbox
        self._router = router
        self._items: list[ClaimedItem] = []
        #: Attempts begun, and those that came to their end.
        self.begun: list[Run] = []
        self.runs: list[Run] = []
        self.died = False

    async def claim(self, most: int = 10, *, caller: Any = "suspect") -> int:
        """Claim, and route at once what is to be routed."""
        items = (await self._inbox.claim(most, caller=caller)).items
        for item in items:
            if item.lease.handler:
                self._begin(item)
            else:
                await self._route(item)
        return len(items)

    async def work(self, most: int = 1) -> None:
        """Bring the oldest attempts to their end."""
        for _ in range(min(most, len(self._items))):
            await self.end("done")

    async def end(self, verb: Any) -> None:
        """Bring the oldest attempt to this end."""
        if not self._items:
            return
        item = self._items.pop(0)
        route = self._router[item.lease.handler]
        decision = Decision.from_stored(item.stored, attempt=item.attempt)
        report = settled(item, verb)
        if not route.matches(decision):
            wait = route.waits(decision)
            report = settled(item, "unconfirmed", needs=wait.needs) if wait else settled(item, "skipped")
        elif verb == "done":
            self.runs.append(self._run(item))
        elif verb == "release":  # it was not begun after all
            self.begun.remove(self._run(item))
        await self._inbox.report([report])

    async def settle(self) -> None:
        """Until nothing is due."""
        for _ in range(400):
            claimed = await self.claim(caller="suspect" if not self._items else "busy")
            if not claimed and not self._items:
                return
            await self.work(3)
        raise AssertionError("the inbox does not come to rest")

    def die(self) -> None:
        """What it had in hand is never reported."""
        self.died = self.died or bool(self._items)
        self._items = []

    async def expire_leases(self, redis: Redis) -> None:
        if leased := redis.hkeys(keys.LEASES):
            redis.zadd(keys.DUE, dict.fromkeys(leased, 0), xx=True)

    def _begin(self, item: ClaimedItem) -> None:
        self._items.append(item)
        if self._router[item.lease.handler].matches(Decision.from_stored(item.stored)):
            self.begun.append(self._run(item))

    async def _route(self, item: ClaimedItem) -> None:
        decision = Decision.from_stored(item.stored)
        at_once = not item.is_suspect and not item.has_rivals
        routes = self._router.match(decision)
        effects = [RoutedEffect.of(route, "running" if at_once else "due") for route in routes]
        effects += map(RoutedEffect.waiting, self._router.waits(decision))
        routed = Routed(effects=tuple(effects), is_suspect=item.is_suspect)
        await self._inbox.report([Report(item.lease, routed)])
        for route in routes if at_once else ():
            self._begin(item.first_attempt(route.name))

    def _run(self, item: ClaimedItem) -> Run:
        stored = item.stored
        return Run(
            handler=item.lease.handler, event_key=item.lease.event_key, response=stored.event.response,
            state=Decision.from_stored(stored).state, trust=stored.trust,
            conflict=stored.conflict, ends=stored.event.outcome is not None,
            after_death=item.crashes > 0,
        )  # fmt: skip
