"""One worker as a drain is to the inbox, a step at a time: it claims, routes, runs and reports, and may die."""

from typing import Any

import msgspec
from redis import Redis

from workers import Router
from workers.handlers.executor import _decision, _effect
from workers.inbox import keys
from workers.inbox.store import Inbox
from workers.inbox.values import Item, Settlement


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
    def __init__(self, inbox: Inbox, router: Router) -> None:
        self._inbox = inbox
        self._router = router
        self._items: list[Item] = []
        #: Attempts begun, and those that came to their end.
        self.begun: list[Run] = []
        self.runs: list[Run] = []
        self.died = False

    async def claim(self, most: int = 10, *, caller: Any = "suspect") -> int:
        """Claim, and route at once what is to be routed."""
        items = (await self._inbox.claim(most, caller=caller)).items
        for item in items:
            if item.handler:
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
        route = self._router[item.handler]
        decision = _decision(item)
        line = Settlement(verb, item.handler, item.event_key, item.token, "0")
        if not route.matches(decision):
            wait = route.waits(decision)
            line = msgspec.structs.replace(
                line, verb="unconfirmed" if wait else "skipped", word=wait.needs if wait else ""
            )
        elif verb == "done":
            self.runs.append(self._run(item))
        elif verb == "release":  # it was not begun after all
            self.begun.remove(self._run(item))
        await self._inbox.report([line])

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

    def _begin(self, item: Item) -> None:
        self._items.append(item)
        if self._router[item.handler].matches(_decision(item)):
            self.begun.append(self._run(item))

    async def _route(self, item: Item) -> None:
        decision = _decision(item)
        at_once = not item.suspect and not item.has_rivals
        routes = self._router.match(decision)
        modes = [route.with_mode("run" if at_once else "due") for route in routes]
        modes += [
            wait.route.with_mode(f"{'await' if wait.is_urgent else 'later'}-{wait.needs}")
            for wait in self._router.waits(decision)
        ]
        await self._inbox.report(
            [Settlement("route", "", item.event_key, item.token, ",".join(modes), "suspect" * item.suspect)]
        )
        for route in routes if at_once else ():
            self._begin(_effect(item, route.name))

    def _run(self, item: Item) -> Run:
        return Run(
            handler=item.handler, event_key=item.event_key, response=item.event.response, state=item.state,
            trust=item.trust, conflict=item.conflict, ends=item.event.outcome is not None, after_death=item.crashes > 0,
        )  # fmt: skip
