"""The drain: works the inbox from inside one RQ job, and stays resident between bursts.

Claims due work in batches, routes events, runs `async def` handlers on one loop and `def` handlers in
threads, and reports in batches. It waits blocked, not polling; it gives way to other RQ jobs; it ends
after a bounded life, when told to, or when the worker that forked it is gone.
"""

import asyncio
import logging
import os
import time
import uuid
from collections import deque
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass
from typing import Any

from redis.exceptions import RedisError

from workers.decision import Decision
from workers.effects import CRASHES, run
from workers.inbox.group_commit import GroupCommit
from workers.inbox.inbox import Caller, Inbox, LeaseKeeper
from workers.inbox.records import Item, Line
from workers.leases import LeaseThread
from workers.loop_watch import LoopWatch
from workers.pace import Pace
from workers.route import Route
from workers.router import Router
from workers.threads import HandlerThreads

logger = logging.getLogger("hitl.workers")

#: RQ job ids of drains begin so; any other job that waits makes a drain give way.
DRAIN_JOB = "drain-"
#: Seconds that an idle drain blocks at a time; a stop is heard in between.
WAIT = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What a drain may use, and for how long."""

    concurrency: int = 50
    threads: int = 8
    lease: float = 15.0
    #: Seconds after which a drain ends, so that RQ's own supervision and scaling still apply.
    life: float = 600.0
    #: Seconds that handlers in flight have left once the drain was told to stop.
    grace: float = 20.0


class Drain:
    """One run over the inbox."""

    def __init__(
        self, inbox: Inbox, router: Router, keeper: LeaseKeeper, terms: Terms, *, parent: int | None = None
    ) -> None:
        """`parent`: pid of the worker that forked this process; the drain ends when it is gone."""
        self._inbox = inbox
        self._router = router
        self._terms = terms
        self._id = uuid.uuid4().hex
        self._parent = os.getppid() if parent is None else parent
        self._threads = HandlerThreads(terms.threads)
        self._reports: GroupCommit[Line, bool] = GroupCommit(self._report, most=200, waiting=1_000_000)
        self._held: dict[str, int] = {}
        self._running: set[asyncio.Task[None]] = set()
        #: Handlers that run: a place is free when its handler ends, not when that is on record.
        self._busy = 0
        #: Claimed and not begun: what will be wanted while the next claim is on its way.
        self._ready: deque[Item] = deque()
        self._pace = Pace()
        self._room = asyncio.Event()
        self._stopping = asyncio.Event()
        self._give_up_at = float("inf")
        self._leases = LeaseThread(keeper, lambda: list(self._held.items()), lease=terms.lease)
        self._watch = LoopWatch(router.routes)
        self._caps = {route.name: cap for route in router.routes if (cap := route.policy.concurrency)}
        self._paused: frozenset[str] = frozenset()
        #: Seconds that the next claim may wait for something to become due.
        self._patience = 0.0
        self._suspects_wait = False
        self.settled = 0

    def stop(self, *, grace: float | None = None) -> None:
        """Claim no more; finish what runs, within the grace."""
        if not self._stopping.is_set():
            self._give_up_at = time.monotonic() + (self._terms.grace if grace is None else grace)
            self._stopping.set()

    async def run(self) -> int:
        """Work until stopped or the life is over; answers how many effects were settled."""
        self._leases.start()
        self._watch.start()
        presence = asyncio.create_task(self._stay_present())
        try:
            await self._resume_held()
            await self._claim_until_stopped()
            await self._finish_running()
        finally:
            presence.cancel()
            await asyncio.wait({presence}, timeout=1.0)
            self._leases.stop()
            self._watch.stop()
            self._threads.close()
        return self.settled

    # -- claiming ------------------------------------------------------------------------------------

    async def _claim_until_stopped(self) -> None:
        while not self._stopping.is_set():
            if not self._wants_more():
                await self._wait_for_room()
                continue
            try:
                await self._claim_or_wait()
            except RedisError as error:
                logger.warning("inbox.unreachable error=%s", type(error).__name__)
                await self._pause(0.5)

    def _wants_more(self) -> bool:
        """There is room, and what was claimed ahead is half used up (so that claims come in batches)."""
        ahead = self._pace.ahead(self._terms.concurrency)
        return self._terms.concurrency + ahead - self._busy > len(self._ready) and len(self._ready) <= ahead // 2

    async def _claim_or_wait(self) -> None:
        ahead = self._pace.ahead(self._terms.concurrency)
        room = self._terms.concurrency + ahead - self._busy - len(self._ready)
        caller: Caller = "busy" if self._running else "suspect" if self._suspects_wait else "idle"
        if self._patience:
            claim = await self._inbox.claim_when_woken(room, self._patience, caller=caller, caps=self._caps)
        else:
            claim = await self._inbox.claim(room, caller=caller, caps=self._caps)
        self._paused = claim.paused
        self._suspects_wait = claim.suspects_wait
        # Something was due: look again at once. Nothing: wait until something is.
        self._patience = 0.0 if claim.items else min(WAIT, max(0.001, claim.next_due_in or WAIT))
        for item in claim.items:
            self._held[item.member] = item.token
        self._ready.extend(claim.items)
        self._start_ready()
        if claim.suspects_wait or any(item.suspect for item in claim.items):
            # What a worker died with runs alone: nobody else goes down with it again.
            await self._wait_until_idle()

    async def _wait_until_idle(self) -> None:
        while self._running and not self._stopping.is_set():
            await self._wait_for_room()
        self._patience = 0.0

    async def _wait_for_room(self) -> None:
        self._room.clear()
        await self._until_stopped(self._room.wait())

    async def _pause(self, seconds: float) -> None:
        await self._until_stopped(asyncio.sleep(seconds))

    async def _until_stopped(self, waiting: Coroutine[Any, Any, object]) -> None:
        """Wait for it, or until this drain is told to stop; raises what it raises."""
        task = asyncio.ensure_future(waiting)
        stopping = asyncio.ensure_future(self._stopping.wait())
        try:
            await asyncio.wait({task, stopping}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            stopping.cancel()
            if not task.done():
                task.cancel()
                # Bounded: redis-py may swallow a cancellation that meets it while it connects.
                await asyncio.wait({task}, timeout=0.5)
        if task.done() and not task.cancelled():
            task.result()

    # -- working -------------------------------------------------------------------------------------

    def _start_ready(self) -> None:
        while self._ready and (self._busy < self._terms.concurrency or self._stopping.is_set()):
            self._start(self._ready.popleft())

    def _start(self, item: Item) -> None:
        if self._stopping.is_set():  # told to stop while it waited for this very item
            self._reports.submit(Line("release", item.handler, item.event_key, item.token))
            del self._held[item.member]
            return
        if item.handler:
            self._start_effect(self._router.get(item.handler), item)
            return
        if item.crashes >= CRASHES:
            wrong = f"{item.crashes} workers died while they routed this event or began its handlers"
            self._reports.submit(Line("failed", "", item.event_key, item.token, "", wrong))
            del self._held[item.member]
            return
        routes = self._router.match(_decision(item))
        begun = [route for route in routes if not item.suspect and self._may_begin(route)]
        names = ",".join(route.name if route in begun else f"!{route.name}" for route in routes)
        suspect = "suspect" if item.suspect else ""
        # Handlers need not wait for this line: should it be lost with this process, the event is due
        # again when its lease runs out. Their own lines come after it, in the same order.
        routed = self._reports.submit(Line("route", "", item.event_key, item.token, names, suspect))
        started = [self._start_effect(route, _effect(item, route.name)) for route in begun]
        routed.add_done_callback(lambda reply: self._hold_effects(item, reply, started))

    def _may_begin(self, route: Route) -> bool:
        """At once, with the routing; else its effect is due, and the claim sees what stands in its way."""
        return not route.policy.concurrency and route.name not in self._paused

    def _hold_effects(
        self, item: Item, reply: asyncio.Future[bool], started: list[tuple[asyncio.Task[None], Item]]
    ) -> None:
        """Once the routing is on record, the leases are those of the effects; until then, that of the event."""
        self._held.pop(item.member, None)
        if reply.cancelled() or reply.exception() or not reply.result():
            logger.warning("event.lease_lost event=%s", item.event_key)
            return
        for task, effect in started:
            if not task.done():
                self._held[effect.member] = effect.token

    def _start_effect(self, route: Route | None, item: Item) -> tuple[asyncio.Task[None], Item]:
        task = asyncio.create_task(self._work(route, item))
        self._running.add(task)
        self._busy += 1
        task.add_done_callback(self._ended)
        return task, item

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        self._room.set()
        if not task.cancelled() and (error := task.exception()):
            logger.error("drain.broken", exc_info=error)

    async def _work(self, route: Route | None, item: Item) -> None:
        try:
            if route is None:
                logger.warning("handler.missing handler=%s event=%s", item.handler, item.event_key)
                line = Line("held", item.handler, item.event_key, item.token)
            else:
                line = await run(route, _decision(item), item, self._threads)
                if self._threads.stuck:
                    self._recycle()
        except asyncio.CancelledError:
            # Told to stop and out of grace: somebody else runs it again, at once.
            line = Line("release", item.handler, item.event_key, item.token)
        finally:
            self._busy -= 1
            self._pace.ended()
            self._start_ready()
            self._room.set()
        if await self._reports.submit(line):
            self.settled += 1
        else:
            logger.warning("effect.lease_lost handler=%s event=%s", item.handler, item.event_key)
        self._held.pop(item.member, None)

    def _recycle(self) -> None:
        """A thread that does not end cannot be stopped: let its neighbours finish, then the process ends."""
        if not self._stopping.is_set():
            logger.warning("drain.recycled stuck_threads=%d", self._threads.stuck)
            self.stop(grace=max(route.policy.timeout for route in self._router.routes))

    async def _report(self, lines: list[Line]) -> list[bool]:
        """Nobody else can claim while Redis is away, so a report is worth repeating until it is heard."""
        while True:
            try:
                return await self._inbox.report(lines)
            except RedisError as error:
                if time.monotonic() > self._give_up_at:
                    raise
                logger.warning("report.delayed lines=%d error=%s", len(lines), type(error).__name__)
                await asyncio.sleep(0.2)

    async def _finish_running(self) -> None:
        self._start_ready()  # gives back what was not begun
        if self._running:
            await asyncio.wait(self._running, timeout=max(0.0, self._give_up_at - time.monotonic()))
        for task in self._running:
            task.cancel()
        if self._running:
            await asyncio.wait(self._running, timeout=2.0)
        await self._reports.close()

    # -- being there ---------------------------------------------------------------------------------

    async def _resume_held(self) -> None:
        try:
            resumed = await self._inbox.resume(route.name for route in self._router.routes)
        except RedisError:
            return  # the next drain does it
        if resumed:
            logger.info("effects.resumed count=%d", resumed)

    async def _stay_present(self) -> None:
        """Once a second: say that we are here, and see whether there is a reason to go."""
        ends_at = time.monotonic() + self._terms.life
        try:
            while not self._stopping.is_set():
                if os.getppid() != self._parent:
                    logger.warning("worker.gone: its drain ends too")
                    self.stop()
                elif time.monotonic() > ends_at or _other_job(await self._announce()):
                    self.stop()
                await asyncio.sleep(1.0)
        finally:
            await self._leave()

    async def _announce(self) -> Sequence[str]:
        try:
            return await self._inbox.announce(self._id, seconds=3.0)
        except RedisError:
            return ()

    async def _leave(self) -> None:
        try:
            await self._inbox.leave(self._id)
        except RedisError:
            return  # it is forgotten within seconds


def _other_job(waiting: Sequence[str]) -> bool:
    return any(not job.startswith(DRAIN_JOB) for job in waiting)


def _effect(item: Item, handler: str) -> Item:
    """The first attempt of a handler on an event that was just routed."""
    return Item(
        handler=handler,
        event_key=item.event_key,
        token=item.token,
        attempt=1,
        errors=0,
        crashes=0,
        suspect=False,
        event=item.event,
        body=item.body,
        trust=item.trust,
        received_at=item.received_at,
        state=item.state,
        late=item.late,
        conflict=item.conflict,
    )


def _decision(item: Item) -> Decision:
    return Decision.from_event(
        item.event,
        trust=item.trust,
        state=item.state,
        received_at=item.received_at,
        late=item.late,
        conflict=item.conflict,
        attempt=item.attempt,
        body=item.body,
    )
