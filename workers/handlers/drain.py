"""The drain: the RQ job that works off the inbox, and stays while there is nothing to do.

It claims due work in batches, routes events, runs `async def` handlers on one event loop and `def` handlers in
threads, and reports in batches. It blocks in Redis until something is due. It ends when it is told to, or when the
worker that forked it is gone. After a bounded life it hands over: it claims until its successor claims, then finishes
what runs.
"""

import asyncio
import contextlib
import logging
import os
import time
import uuid
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from redis.exceptions import RedisError

from workers.handlers.executor import EffectExecutor
from workers.handlers.watchdog import LoopWatch
from workers.inbox.lease_renewal import LeaseThread
from workers.inbox.worker_inbox import Caller, LeaseKeeper, WorkerInbox
from workers.routing.router import Router
from workers.telemetry.activity import ActivitySender

logger = logging.getLogger("hitl.workers")

#: Seconds that an idle drain blocks at a time; it checks for a stop in between.
WAIT = 1.0
#: Seconds after which a drain asks again for a successor that did not come.
ASK_AGAIN = 10.0
#: Seconds between two slices of a resume.
RESUME_PAUSE = 0.005
#: Seconds until a resume that was carried out is removed, so that drains with other handlers see it too.
RESUME_KEPT = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class DrainOptions:
    """How much a drain runs at once, and for how long."""

    concurrency: int = 50
    threads: int = 8
    lease: float = 15.0
    #: Seconds after which a drain hands over to a fresh process: what handlers leak goes with the old one. At least
    #: the longest timeout of a route, so that no more than one predecessor still finishes.
    life: float = 600.0
    #: Seconds that handlers in flight have left once the drain was told to stop.
    grace: float = 20.0
    #: HITL.sh's API can be asked for what is missing from a decision: reconcile runs have an API key.
    can_read: bool = False


class Drain:
    """One resident run over the inbox."""

    def __init__(
        self,
        inbox: WorkerInbox,
        router: Router,
        keeper: LeaseKeeper,
        options: DrainOptions,
        *,
        parent: int | None = None,
        on_ready: Callable[[], None] = lambda: None,
        ask_for_successor: Callable[[], None] | None = None,
        activity: ActivitySender | None = None,
    ) -> None:
        """`parent`: pid of the worker that forked this process; the drain ends when it is gone.

        `on_ready` is called after the first claim. `ask_for_successor` is called when the life is over, and calls for
        `retire` once the successor is ready; without it the drain retires at once.
        """
        self._inbox = inbox
        self._router = router
        self._options = options
        self._id = uuid.uuid4().hex
        self._parent = os.getppid() if parent is None else parent
        self._executor = EffectExecutor(
            inbox,
            router,
            concurrency=options.concurrency,
            threads=options.threads,
            lease=options.lease,
            on_overdue=self._recycle,
            can_read=options.can_read,
            activity=activity,
        )
        self._leases = LeaseThread(keeper, self._executor.leases, lease=options.lease)
        self._on_ready: Callable[[], None] | None = on_ready
        self._ask_for_successor = ask_for_successor or self.retire
        self._ask_at = time.monotonic() + max(options.life, self._longest_timeout())
        self._recycled = False
        #: A successor claims in its place.
        self.retired = False
        self._watch = LoopWatch(router.routes)
        self._names = [route.name for route in router.routes]
        self._caps = {route.name: cap for route in router.routes if (cap := route.policy.concurrency)}
        self._stopping = asyncio.Event()
        #: Seconds that the next claim may wait for something to become due.
        self._patience = 0.0
        #: A suspect waits until this drain holds nothing, to be run alone.
        self._suspects_wait = False
        #: After a suspect, other work has as much time as that took, unless there is none.
        self._healthy_until = 0.0

    @property
    def settled(self) -> int:
        """How many effects were settled here."""
        return self._executor.settled

    def stop(self, *, grace: float | None = None) -> None:
        """Claim no more; what runs has `grace` seconds to end."""
        self._executor.stop(self._options.grace if grace is None else grace)
        self._stopping.set()

    def retire(self) -> None:
        """Claim no more, because a successor does; what runs has the timeout of its route to end."""
        self.retired = True
        self.stop(grace=self._longest_timeout())

    async def run(self) -> int:
        """Work until stopped or retired; return how many effects were settled."""
        self._leases.start()
        self._watch.start()
        presence = asyncio.create_task(self._stay_present())
        resuming = asyncio.create_task(self._resume_held_forever())
        waking = asyncio.create_task(self._wake_when_stopped())
        try:
            await self._claim_until_stopped()
            await self._executor.finish()
            with contextlib.suppress(RedisError):  # the counts of its last seconds are lost
                await self._inbox.count({}, self._executor.meter.take())
        finally:
            for task in (presence, resuming, waking):
                task.cancel()
            await asyncio.wait({presence, resuming, waking}, timeout=1.0)
            self._leases.stop()
            self._watch.stop()
        return self.settled

    # -- claiming ------------------------------------------------------------------------------------

    async def _claim_until_stopped(self) -> None:
        while not self._stopping.is_set():
            room = self._executor.room()
            if not room:
                await self._wait_for_change()
                continue
            try:
                await self._claim(room)
                if self._on_ready is not None:
                    self._on_ready()
                    self._on_ready = None
            except RedisError as error:
                logger.warning("inbox.unreachable error=%s", type(error).__name__)
                await self._pause(0.5)

    async def _claim(self, room: int) -> None:
        is_suspects_turn = self._suspects_wait and time.monotonic() > self._healthy_until
        caller: Caller = "busy" if not self._executor.is_empty else "suspect" if is_suspects_turn else "idle"
        max_bytes = self._executor.room_in_bytes()
        if self._patience:
            claim = await self._inbox.claim_when_woken(
                room, self._patience, caller=caller, caps=self._caps, claimant=self._id, max_bytes=max_bytes
            )
        else:
            claim = await self._inbox.claim(
                room, caller=caller, caps=self._caps, claimant=self._id, max_bytes=max_bytes
            )
        self._suspects_wait = claim.suspects_wait
        # Claim again at once when something was due; otherwise wait until something is.
        self._patience = 0.0 if claim.items or claim.undecodable else min(WAIT, max(0.001, claim.next_due_in or WAIT))
        self._executor.settle_undecodable(claim.undecodable)
        self._executor.submit(claim.items, claim.paused)
        if any(item.is_suspect for item in claim.items):
            # It runs alone, so that no other effect is lost when it kills this process too.
            began = time.monotonic()
            await self._wait_until_empty()
            self._healthy_until = 2 * time.monotonic() - began
        elif claim.suspects_wait and (not claim.items or time.monotonic() > self._healthy_until):
            await self._wait_until_empty()

    async def _wake_when_stopped(self) -> None:
        """Do not let an idle drain that stops wait for work any longer."""
        await self._stopping.wait()
        with contextlib.suppress(RedisError):  # it ends when it has waited long enough
            await self._inbox.wake()

    async def _wait_until_empty(self) -> None:
        while not self._executor.is_empty and not self._stopping.is_set():
            await self._wait_for_change()
        self._patience = 0.0

    async def _wait_for_change(self) -> None:
        self._executor.changed.clear()
        await self._until_stopped(self._executor.changed.wait())

    async def _pause(self, seconds: float) -> None:
        await self._until_stopped(asyncio.sleep(seconds))

    async def _until_stopped(self, waiting: Coroutine[Any, Any, object]) -> None:
        """Wait for the coroutine, or until this drain is told to stop; raises what the coroutine raises."""
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

    def _recycle(self) -> None:
        """Ask for a successor, so that this process ends: Python cannot stop a thread."""
        if not self._recycled:
            logger.warning("drain.recycled: a handler thread did not end in time, so a new process takes over")
            self._recycled, self._ask_at = True, time.monotonic()

    def _longest_timeout(self) -> float:
        return max((route.policy.timeout for route in self._router.routes), default=0.0)

    # -- resuming ------------------------------------------------------------------------------------

    async def _resume_held_forever(self) -> None:
        """Make held effects due at the start and whenever a person resumes a handler, as places are free."""
        #: By the id of a resume: when this drain had carried it out.
        carried_out: dict[bytes, float] = {}
        is_first = True
        while not self._stopping.is_set():
            with contextlib.suppress(RedisError):  # retried a second later
                resumes = await self._inbox.resumes()
                if is_first or resumes - carried_out.keys():
                    await self._resume_held()
                    is_first = False
                    carried_out |= dict.fromkeys(resumes - carried_out.keys(), time.monotonic())
                # By then, drains with other handlers have carried them out too.
                if ended := [each for each, at in carried_out.items() if time.monotonic() > at + RESUME_KEPT]:
                    await self._inbox.end_resumes(ended)
                    carried_out = {each: at for each, at in carried_out.items() if each not in ended}
            await self._pause(1.0)

    async def _resume_held(self) -> None:
        cursor, count = 0, 0
        while not self._stopping.is_set():
            resumed = 0
            if spare := self._executor.spare_room():
                resumed, cursor, is_over = await self._inbox.resume(
                    self._names, limit=spare, caps=self._caps, cursor=cursor
                )
                count += resumed
                if is_over:
                    break
            await asyncio.sleep(RESUME_PAUSE)
        if count:
            logger.info("effects.resumed count=%d", count)

    # -- presence ------------------------------------------------------------------------------------

    async def _stay_present(self) -> None:
        """Once a second, announce this drain and check whether its life or its worker is over."""
        try:
            while not self._stopping.is_set():
                if os.getppid() != self._parent:
                    logger.warning("worker.gone: the drain that it forked ends too")
                    self.stop()
                    break
                await self._announce()
                if time.monotonic() > self._ask_at:
                    self._ask_at = time.monotonic() + ASK_AGAIN
                    self._ask_for_successor()
                await self._pause(1.0)
        finally:
            await self._leave()
        await self._outlive_parent()
        self.stop()

    async def _outlive_parent(self) -> None:
        while os.getppid() == self._parent:  # noqa: ASYNC110 - there is no event to wait for
            await asyncio.sleep(1.0)

    async def _announce(self) -> None:
        increments = self._executor.meter.take()
        try:
            await self._inbox.announce(self._id, 3.0, handlers=self._names, increments=increments)
        except RedisError:
            self._executor.meter.give_back(increments)  # retried a second later

    async def _leave(self) -> None:
        try:
            await self._inbox.leave(self._id)
        except RedisError:
            return  # its announcement expires within seconds
