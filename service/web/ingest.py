"""Stores deliveries in the inbox, many in one script call, and monitors whether Redis can store more."""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING

import msgspec
from redis.exceptions import RedisError

from hitlsh.events import Event, Trust
from service.errors import ServiceError
from service.web.refused_deliveries import Inspector
from workers.inbox.group_commit import Closed, GroupCommit, Overloaded
from workers.inbox.store import Inbox
from workers.inbox.values import Delivery, Verdict
from workers.redis_clients import RECEIVER_TIMEOUT
from workers.telemetry import log_fields
from workers.telemetry.meter import Meter
from workers.telemetry.metric_catalog import ACCEPT_SECONDS

if TYPE_CHECKING:  # imported only where a `dev` stack watches
    from workers.telemetry.activity import ActivitySender

logger = logging.getLogger("hitl.receiver")

#: The reasons under which alarms count verified deliveries.
VERIFIED: Mapping[Trust, str] = {"signed": "verified_signed", "callback": "verified_callback"}
#: Share of `maxmemory` above which no delivery is stored, so that workers have room to finish stored work.
MEMORY_LIMIT = 0.9
#: The same for callbacks, which HITL.sh does not sign: the rest is reserved for signed deliveries.
CALLBACK_MEMORY_LIMIT = 0.8
#: Seconds between two warnings about deliveries beyond their quota.
QUOTA_WARNING_SECONDS = 60.0
#: Estimated bytes of memory for each byte of a body, until the next measurement.
BODY_COST = 2
MONITOR_SECONDS = 1.0
#: Seconds, instead of `RECEIVER_TIMEOUT`, while Redis hangs: queued deliveries are refused quickly, before HITL.sh
#: gives up on them.
SHORT_TIMEOUT = 0.2


class IntakeUnavailable(ServiceError):
    """The delivery could not be stored because of a failure on our side; the answer is 503."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(reason)


class Acknowledgement(msgspec.Struct, frozen=True):
    """The answer to a delivery that the inbox has processed."""

    status: int
    reason: str


ACCEPTED = Acknowledgement(202, "accepted")
CONFLICT = Acknowledgement(202, "conflict")
UNROUTED = Acknowledgement(200, "unrouted")
DUPLICATE = Acknowledgement(200, "duplicate")
OVERRULED = Acknowledgement(202, "overruled")
STALE = Acknowledgement(200, "stale")
MISUSED = Acknowledgement(202, "misused")
#: Counted, not stored: a quota is used up, and a retry would be refused too.
OVER_QUOTA = Acknowledgement(202, "over_quota")

#: By verdict, except for `accepted`, which depends on the routes.
_ACKNOWLEDGEMENTS: dict[Verdict, Acknowledgement] = {
    "duplicate": DUPLICATE,
    "conflict": CONFLICT,
    "overruled": OVERRULED,
    "stale": STALE,
    "misused": MISUSED,
    "over_quota": OVER_QUOTA,
}


#: Verdicts on deliveries that are counted and not stored.
_NOT_STORED = frozenset[Verdict]({"over_quota", "busy"})


class Intake:
    """Stores deliveries, and monitors whether the inbox can store more."""

    def __init__(
        self,
        inbox: Inbox,
        *,
        listens_to: Callable[[str], bool],
        enqueue_drain: Callable[[], bool],
        activity: "ActivitySender | None" = None,
    ) -> None:
        """`listens_to`: whether a route may want an event of this name. `enqueue_drain` may block.

        `activity`: receives each answer.
        """
        self._activity = activity
        self._inbox = inbox
        self._listens_to = listens_to
        self._enqueue_drain = enqueue_drain
        self._commits: GroupCommit[Delivery, Verdict] = GroupCommit(
            self._flush, weigh=lambda delivery: len(delivery.body), max_waiting=5_000
        )
        self._counters: Counter[str] = Counter()
        self._verified: Counter[str] = Counter()
        self._meter = Meter()
        self._accept_seconds = self._meter.histogram(ACCEPT_SECONDS)
        self._unavailable_reason: str | None = "starting"
        #: Bytes: `maxmemory` (0: no limit), and the memory in use (measured, plus an estimate for later deliveries).
        self._limit = self._used = 0
        self._quota_warned_at = -QUOTA_WARNING_SECONDS
        self._enqueue_task: asyncio.Task[None] | None = None
        self._monitor: asyncio.Task[None] | None = None
        self._closing = asyncio.Event()
        self.inspector = Inspector(inbox.expedite_checks, count=self.count)

    @property
    def ready(self) -> bool:
        """Deliveries can be stored."""
        return self._unavailable_reason is None

    def count(self, reason: str, times: int = 1) -> None:
        """Add to a counter of deliveries by reason."""
        self._counters[reason] += times

    def send_activity(self, status: int, reason: str, event: Event | None = None) -> None:
        """Send the answer to a request to the `dev` stack that prints activity."""
        if self._activity is not None:
            self._activity.send_answer(status, reason, event)

    def count_verified(self, trust: Trust) -> None:
        """Count a verified delivery, whatever it contains."""
        self._verified[VERIFIED[trust]] += 1

    async def start(self) -> None:
        """Check Redis, and go on checking it in the background."""
        await self._check_redis()
        self._monitor = asyncio.create_task(self._check_forever())

    async def close(self) -> None:
        """Store the deliveries that were accepted; refuse later ones."""
        await self._commits.close()
        await self.inspector.close()
        self._closing.set()
        if self._monitor is not None:
            await self._monitor  # not cancelled: it may be writing the counters
        if self._enqueue_task is not None:
            await asyncio.wait({self._enqueue_task})
        await self._check_redis()
        if self._activity is not None:
            self._activity.close()

    async def accept(self, delivery: Delivery) -> Acknowledgement:
        """Store a delivery; it is in the inbox when this returns. Raises `IntakeUnavailable`."""
        if self._unavailable_reason == "redis_full":
            raise IntakeUnavailable("redis_full")
        self._reserve_room(delivery)
        began = time.perf_counter()
        try:
            verdict = await self._commits.submit(delivery)
        except RedisError as error:
            raise IntakeUnavailable(_reason(error)) from error
        except TimeoutError as error:
            raise IntakeUnavailable("redis_slow") from error
        except Overloaded as error:
            raise IntakeUnavailable("overloaded") from error
        except Closed as error:
            raise IntakeUnavailable("shutting_down") from error
        self._accept_seconds.observe(time.perf_counter() - began)
        if verdict == "accepted":
            content = delivery.content
            return ACCEPTED if isinstance(content, Event) and self._listens_to(content.name) else UNROUTED
        if verdict == "misused":
            logger.error(
                "callback.misused event=%s: a callback URL delivered an event that it may not report",
                delivery.content.key,
            )
        elif verdict == "overruled":
            logger.error(
                "decision.overruled event=%s trust=%s: it disagrees with weaker evidence; see "
                "`hitl-receiver requests --state overruled`",
                delivery.content.key, delivery.trust,
            )  # fmt: skip
        if verdict in {"over_quota", "busy", "duplicate"}:  # nothing was stored
            self._used = max(0, self._used - BODY_COST * len(delivery.body))
        if verdict in {"over_quota", "busy"}:
            self._warn_of_quota()
        if verdict == "busy":
            raise IntakeUnavailable("over_quota")
        return _ACKNOWLEDGEMENTS[verdict]

    async def _flush(self, deliveries: list[Delivery]) -> list[Verdict]:
        try:
            async with asyncio.timeout(SHORT_TIMEOUT if self._unavailable_reason == "redis_slow" else RECEIVER_TIMEOUT):
                verdicts, drains = await self._inbox.accept(deliveries)
        except (RedisError, TimeoutError) as error:
            self._set_unavailable(_reason(error))
            raise
        if not drains:
            self._request_drain()
        if logger.isEnabledFor(logging.INFO):
            _log_stored(deliveries, verdicts)
        return verdicts

    def _request_drain(self) -> None:
        if self._enqueue_task is None or self._enqueue_task.done():
            self._enqueue_task = asyncio.create_task(self._request_drain_in_thread())

    async def _request_drain_in_thread(self) -> None:
        try:
            await asyncio.to_thread(self._enqueue_drain)
        except RedisError as error:
            logger.info("drain.not_asked error=%s: the clock enqueues one", type(error).__name__)
        # A drain takes a moment to begin: do not enqueue another meanwhile.
        await asyncio.sleep(0.25)

    # -- the state of Redis --------------------------------------------------------------------------

    async def _check_forever(self) -> None:
        while True:
            try:
                async with asyncio.timeout(MONITOR_SECONDS):
                    await self._closing.wait()
            except TimeoutError:
                await self._check_redis()
            else:
                return

    async def _check_redis(self) -> None:
        """Write the counters, the metrics and a tick of the inbox clock, and measure the memory.

        It writes, because a replica that lost its primary still answers a ping.
        """
        counts, self._counters = self._counters, Counter()
        metrics = self._meter.take()
        try:
            async with asyncio.timeout(RECEIVER_TIMEOUT):
                await self._inbox.announce_web()
                await self._inbox.count(counts + Counter({"beats": 1}), metrics)
                await self._inbox.keep_clock()
                full = await self._measure_memory()
        except (RedisError, TimeoutError) as error:
            self._counters += counts
            self._meter.give_back(metrics)
            self._set_unavailable(_reason(error))
        else:
            self._set_unavailable("redis_full" if full else None)
            await self._count_recent(counts)

    async def _count_recent(self, counts: Counter[str]) -> None:
        verified, self._verified = self._verified, Counter()
        with suppress(RedisError, TimeoutError):  # only alarms read these counts
            async with asyncio.timeout(RECEIVER_TIMEOUT):
                await self._inbox.count_recent(counts + verified)

    async def _measure_memory(self) -> bool:
        self._used, self._limit = await self._inbox.memory_usage()
        return self._limit > 0 and self._used > MEMORY_LIMIT * self._limit

    def _reserve_room(self, delivery: Delivery) -> None:
        """Raise `IntakeUnavailable` if the delivery would use memory reserved for workers or signed deliveries."""
        if not self._limit:
            return
        size = BODY_COST * len(delivery.body)
        share = CALLBACK_MEMORY_LIMIT if delivery.trust == "callback" else MEMORY_LIMIT
        if self._used + size > share * self._limit:
            raise IntakeUnavailable("redis_full")
        self._used += size

    def _warn_of_quota(self) -> None:
        if time.monotonic() - self._quota_warned_at > QUOTA_WARNING_SECONDS:
            self._quota_warned_at = time.monotonic()
            logger.warning(
                "delivery.over_quota: deliveries of a callback URL, or unreadable bodies, are beyond their quota and "
                "are not stored; see `hitl-receiver status`, and replace the URL if it leaked"
            )

    def _set_unavailable(self, reason: str | None) -> None:
        if reason == self._unavailable_reason:
            return
        self._unavailable_reason = reason
        if reason:
            logger.warning("intake.unavailable reason=%s", reason)
        else:
            logger.info("intake.ready")


def _log_stored(deliveries: list[Delivery], verdicts: list[Verdict]) -> None:
    """Log each stored delivery; for a quarantined one, the reason."""
    stored: list[log_fields.Fields] = []
    for delivery, verdict in zip(deliveries, verdicts, strict=True):
        content = delivery.content
        if not isinstance(content, Event):
            if verdict == "accepted":
                logger.warning(
                    "delivery.quarantined event=%s reason=%s trust=%s: it is verified and cannot be parsed; see "
                    "`hitl-receiver show`",
                    content.key, content.reason, delivery.trust,
                )  # fmt: skip
        elif verdict not in _NOT_STORED:
            fields = {"event_key": content.key, "name": content.name, "trust": delivery.trust, "verdict": verdict}
            stored.append(fields if content.request_id is None else {**fields, "request": content.request_id})
    log_fields.log_each(logger, logging.INFO, "delivery.accepted", stored)


def _reason(error: Exception) -> str:
    """A reason for logs and counters: ``redis_busyloading`` for a `BusyLoadingError`."""
    name = type(error).__name__.removesuffix("Error").lower()
    return {"timeout": "redis_slow", "connection": "redis_unreachable"}.get(name, f"redis_{name}")
