"""The executor of a drain: runs claimed effects as there is room, and reports how each is settled."""

import asyncio
import logging
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable

import msgspec
from redis.exceptions import RedisError

from workers.decision import Decision
from workers.handlers.effects import MAX_CRASHES, run, undecodable
from workers.handlers.prefetch import Pace
from workers.handlers.threads import HandlerThreads
from workers.inbox.claims import ClaimedItem, UndecodableItem
from workers.inbox.group_commit import GroupCommit
from workers.inbox.settlements import (
    Done,
    Failed,
    Held,
    Released,
    Report,
    Retry,
    Routed,
    RoutedEffect,
    Settlement,
)
from workers.inbox.worker_inbox import WorkerInbox
from workers.routing.route import Route
from workers.routing.router import Router
from workers.telemetry import log_fields, traces
from workers.telemetry.activity import ActivitySender
from workers.telemetry.meter import Meter
from workers.telemetry.metric_catalog import EFFECTS, HANDLER_SECONDS, HANDLER_WAIT_SECONDS, SETTLE_SECONDS

logger = logging.getLogger("hitl.workers")

#: A drain claims no more while it holds this many bytes of evidence. Decoded, a large decision takes two to five times
#: as much memory.
MAX_BYTES = 32 << 20


class EvidenceMemory:
    """Counts the bytes of evidence that are in memory: once for an event and all of its effects that share it."""

    def __init__(self) -> None:
        self.size = 0
        self._uses: Counter[int] = Counter()

    def hold(self, item: ClaimedItem) -> None:
        shared = id(item.stored)
        if not self._uses[shared]:
            self.size += item.size
        self._uses[shared] += 1

    def release(self, item: ClaimedItem) -> None:
        shared = id(item.stored)
        self._uses[shared] -= 1
        if not self._uses[shared]:
            del self._uses[shared]
            self.size -= item.size


class EffectExecutor:
    """Runs what a drain has claimed, and reports each settlement."""

    def __init__(
        self,
        inbox: WorkerInbox,
        router: Router,
        *,
        concurrency: int,
        threads: int,
        lease: float,
        on_overdue: Callable[[], None],
        can_read: bool = False,
        activity: ActivitySender | None = None,
    ) -> None:
        """`on_overdue` is called when a `def` handler goes on after its timeout.

        `can_read`: HITL.sh's API can be asked for missing details. `activity`: receives each attempt.
        """
        self._activity = activity
        self._can_read = can_read
        self._inbox = inbox
        self._router = router
        self._concurrency = concurrency
        self._threads = HandlerThreads(threads)
        self._lease = lease
        self._on_overdue = on_overdue
        self._reports: GroupCommit[Report, bool] = GroupCommit(self._report, batch_size=200, max_waiting=1_000_000)
        #: Leases: member to token.
        self._held: dict[str, int] = {}
        #: Effects that run: member to the token under which they report.
        self._running_tokens: dict[str, int] = {}
        self._running: set[asyncio.Task[None]] = set()
        #: Those of them whose thread goes on after the timeout of its handler.
        self._overdue: set[asyncio.Task[None]] = set()
        #: Number of handlers that run: a place is free when its handler ends, before that is recorded.
        self._busy = 0
        self._memory = EvidenceMemory()
        #: Claimed and not begun: used while the next claim is on its way.
        self._ready: deque[ClaimedItem] = deque()
        self._paused: frozenset[str] = frozenset()
        self._pace = Pace()
        self.meter = Meter()
        self._wait_seconds = self.meter.histogram(HANDLER_WAIT_SECONDS)
        self._settle_seconds = self.meter.histogram(SETTLE_SECONDS)
        #: Of effects that are done and not yet in the log.
        self._unlogged: list[log_fields.Fields] = []
        self._give_up_at: float | None = None
        #: Set whenever something ended.
        self.changed = asyncio.Event()
        self.settled = 0

    @property
    def is_empty(self) -> bool:
        """Nothing runs."""
        return not self._running

    def leases(self) -> list[tuple[str, int]]:
        """The leases held, as (member, token); may be called from another thread."""
        return list(self._held.copy().items())  # a copy is made in one step, iteration is not

    def room(self) -> int:
        """How many more items to claim.

        0 until half of what was claimed ahead has begun, so that claims come in batches.
        """
        ahead = self._pace.ahead(self._concurrency)
        if len(self._ready) > ahead // 2 or not self.room_in_bytes():
            return 0
        return max(0, self._concurrency + ahead - self._busy - len(self._ready))

    def spare_room(self) -> int:
        """How many held effects may become due: at most half of the places, so that new work finds one."""
        if not self.room_in_bytes():
            return 0
        half = (self._concurrency + self._pace.ahead(self._concurrency) + 1) // 2
        return max(0, half - self._busy - len(self._ready))

    def room_in_bytes(self) -> int:
        """How many more bytes of evidence to claim."""
        return max(0, MAX_BYTES - self._memory.size)

    def submit(self, items: Iterable[ClaimedItem], paused: frozenset[str]) -> None:
        """Begin these items, now or when a place is free."""
        self._paused = paused
        for item in items:
            self._held[item.lease.member] = item.lease.token
            if item.lease.member in self._running_tokens:
                # After an outage longer than a lease, a drain may claim an effect that it still runs.
                self._running_tokens[item.lease.member] = item.lease.token
            else:
                self._memory.hold(item)
                self._ready.append(item)
        self._start_ready()

    def settle_undecodable(self, items: Iterable[UndecodableItem]) -> None:
        """Schedule these items again, perhaps for a worker of another version; fail them after the last try."""
        for item in items:
            settlement = undecodable(item)
            logger.log(
                logging.ERROR if settlement.retry_after is None else logging.WARNING,
                "record.undecodable handler=%s event=%s errors=%d retry_in=%s reason=%s: if a newer version wrote it, "
                "update this worker; then run `hitl-receiver retry` for what failed",
                item.lease.handler or "-", item.lease.event_key, item.errors + 1,
                "never" if settlement.retry_after is None else f"{settlement.retry_after:g}", item.reason,
            )  # fmt: skip
            self._reports.submit(Report(item.lease, settlement))

    def stop(self, grace: float) -> None:
        """Begin nothing more, and release what has not begun. Handlers have `grace` seconds to end."""
        give_up_at = time.monotonic() + grace
        self._give_up_at = give_up_at if self._give_up_at is None else min(give_up_at, self._give_up_at)

    async def finish(self) -> None:
        """Wait, within the grace, for handlers that are not overdue; then until every report is recorded."""
        self._start_ready()  # releases what has not begun
        while (in_time := self._running - self._overdue) and (left := (self._give_up_at or 0.0) - time.monotonic()) > 0:
            await asyncio.wait(in_time, timeout=min(left, 0.25))  # the grace may shrink meanwhile
        for task in self._running:
            task.cancel()
        if self._running:
            await asyncio.wait(self._running, timeout=2.0)
        await self._reports.close()
        self._threads.close()

    def _start_ready(self) -> None:
        while self._ready and (self._busy < self._concurrency or self._give_up_at is not None):
            item = self._ready.popleft()
            self._start(item)
            self._memory.release(item)

    def _start(self, item: ClaimedItem) -> None:
        if self._give_up_at is not None:
            self._settle_unstarted(item, Released())
        elif item.lease.handler:
            self._start_effect(self._router.get(item.lease.handler), item)
        elif item.crashes >= MAX_CRASHES:
            error = f"{item.crashes} workers died while they routed this event or began its handlers"
            self._settle_unstarted(item, Failed(error=error))
        else:
            self._route(item)

    def _settle_unstarted(self, item: ClaimedItem, settlement: Settlement) -> None:
        self._reports.submit(Report(item.lease, settlement))
        del self._held[item.lease.member]

    def _route(self, item: ClaimedItem) -> None:
        """Begin the handlers that may begin at once, and report the effects that the event has."""
        decision = Decision.from_stored(item.stored, can_read=self._can_read)
        routes = self._router.match(decision)
        # Where the request has other outcomes, the inbox decides which of them has which effects.
        at_once = not item.is_suspect and not item.has_rivals
        begun = [route for route in routes if at_once and self._may_begin(route)]
        effects = [RoutedEffect.of(route, "running" if route in begun else "due") for route in routes]
        effects += map(RoutedEffect.waiting, waits := self._router.waits(decision))
        if self._activity is not None:
            is_unrouted = not effects and self._router.listens_to(
                decision.event
            )  # else the answer to the delivery says so
            self._activity.send_routing(item, waits, is_unrouted=is_unrouted)
        # Handlers need not wait for this report: should it be lost with this process, the event is due
        # again when its lease expires. Their own reports come after it, in the same order.
        routed = self._reports.submit(Report(item.lease, Routed(effects=tuple(effects), is_suspect=item.is_suspect)))
        self._memory.hold(item)
        started = [self._start_effect(route, item.first_attempt(route.name)) for route in begun]
        routed.add_done_callback(lambda reply: self._hold_effects(item, reply, started))

    def _may_begin(self, route: Route) -> bool:
        """Whether it may begin with the routing; otherwise its effect is due, and a claim applies the limits."""
        return not route.policy.concurrency and route.name not in self._paused

    def _hold_effects(
        self, item: ClaimedItem, reply: asyncio.Future[bool], started: list[tuple[asyncio.Task[None], ClaimedItem]]
    ) -> None:
        """Once the routing is recorded, hold the leases of the effects in place of that of the event."""
        self._memory.release(item)
        self._drop(item.lease.member, item.lease.token)
        if reply.cancelled() or reply.exception() or not reply.result():
            logger.warning("event.lease_lost event=%s", item.lease.event_key)
            return
        for task, effect in started:
            if not task.done():
                self._held.setdefault(effect.lease.member, effect.lease.token)

    def _start_effect(self, route: Route | None, item: ClaimedItem) -> tuple[asyncio.Task[None], ClaimedItem]:
        task = asyncio.create_task(self._run_effect(route, item))
        self._running.add(task)
        self._running_tokens[item.lease.member] = item.lease.token
        self._busy += 1
        self._memory.hold(item)
        task.add_done_callback(lambda task: self._on_effect_end(task, item))
        return task, item

    def _on_effect_end(self, task: asyncio.Task[None], item: ClaimedItem) -> None:
        self._memory.release(item)
        self._running.discard(task)
        self._overdue.discard(task)
        self.changed.set()
        if not task.cancelled() and (error := task.exception()):
            logger.error("drain.broken", exc_info=error)

    def _note_overdue(self) -> None:
        if task := asyncio.current_task():
            self._overdue.add(task)
        self._on_overdue()

    async def _run_effect(self, route: Route | None, item: ClaimedItem) -> None:
        settlement: Settlement
        log_fields.bind(item.log_fields)
        began = time.perf_counter()
        try:
            if route is None:
                logger.warning("handler.missing handler=%s event=%s", item.lease.handler, item.lease.event_key)
                settlement = Held()
            else:
                if item.attempt == 1:
                    self._wait_seconds.observe(time.time() - item.stored.received_at.timestamp())
                decision = Decision.from_stored(item.stored, attempt=item.attempt, can_read=self._can_read)
                settlement = await self._run_traced(route, decision, item)
                task = asyncio.current_task()
                if isinstance(settlement, Retry) and not route.is_async and task and task.cancelling():
                    # Its thread goes on until this process ends.
                    settlement = msgspec.structs.replace(settlement, after=max(settlement.after, self._lease))
        except asyncio.CancelledError:
            # The grace is over: another worker runs it again at once. It has begun, so it is not released. A thread
            # goes on until this process ends, so its effect waits for the length of a lease.
            settlement = Retry(after=0.0 if route is None or route.is_async else self._lease)
        finally:
            self._busy -= 1
            self._pace.count_end()
            self._start_ready()
            self.changed.set()
        ended = time.perf_counter()
        seconds = ended - began
        if self._activity is not None:
            self._activity.send_settlement(item, settlement, seconds)
        # A later claim of this drain may have given it another token meanwhile.
        token = self._running_tokens.pop(item.lease.member, item.lease.token)
        lease = msgspec.structs.replace(item.lease, token=token)
        try:
            if await self._reports.submit(Report(lease, settlement)):
                self.settled += 1
                self._settle_seconds.observe(time.perf_counter() - ended)
                self._count_effect(item.lease.handler, settlement, seconds)
                if isinstance(settlement, Done):
                    self._log_done({**item.log_fields(), "seconds": round(seconds, 6)})
            else:
                self.meter.count(EFFECTS, item.lease.handler, "lost")
                logger.warning("effect.lease_lost handler=%s event=%s", item.lease.handler, item.lease.event_key)
        finally:
            self._drop(item.lease.member, token)

    async def _run_traced(self, route: Route, decision: Decision, item: ClaimedItem) -> Settlement:
        """Run the handler in a span: each attempt has one, in the trace of the delivery."""
        stored = item.stored
        with traces.span(
            "consumer",
            route.name,
            parent=stored.traceparent,
            links=(stored.known_details.traceparent,),
            attributes=item.trace_attributes,
        ) as span:
            settlement = await run(self._router, route, decision, item, self._threads, self._note_overdue)
            span.add({"hitl.outcome": _outcome(settlement)}, error=_trace_error(settlement))
        return settlement

    def _count_effect(self, handler: str, settlement: Settlement, seconds: float) -> None:
        self.meter.count(EFFECTS, handler, _outcome(settlement))
        if not isinstance(settlement, Held):  # else no handler ran
            self.meter.histogram(HANDLER_SECONDS, handler).observe(seconds)

    def _log_done(self, fields: log_fields.Fields) -> None:
        """Log what a report has settled with the rest of that report."""
        if not self._unlogged:
            asyncio.get_running_loop().call_soon(self._log_all_done)
        self._unlogged.append(fields)

    def _log_all_done(self) -> None:
        done, self._unlogged = self._unlogged, []
        log_fields.log_each(logger, logging.INFO, "effect.done", done)

    def _drop(self, member: str, token: int) -> None:
        """Drop a lease, unless a later claim has renewed it before the reply to a report came."""
        if self._held.get(member) == token:
            del self._held[member]

    async def _report(self, reports: list[Report]) -> list[bool]:
        """Report; repeats while Redis does not answer, since nobody else can claim in that time either."""
        while True:
            try:
                return await self._inbox.report(reports)
            except RedisError as error:
                if self._give_up_at is not None and time.monotonic() > self._give_up_at:
                    raise
                logger.warning("report.delayed reports=%d error=%s", len(reports), type(error).__name__)
                await asyncio.sleep(0.2)


def _outcome(settlement: Settlement) -> str:
    """The name of a settlement in metrics and traces."""
    return type(settlement).__name__.lower()


def _trace_error(settlement: Settlement) -> str | None:
    """Why an attempt failed, without the text of the error, which may hold personal data."""
    match settlement:
        case Failed():
            return "the effect is a dead letter"
        case Retry(error=str()):
            return "the attempt failed and is repeated"
    return None
