"""From the door to the inbox: many requests, one script call; and how Redis is doing meanwhile."""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Callable

import msgspec
from redis.exceptions import RedisError

from hitlsh.events import Event
from service.errors import ServiceError
from service.web.refused_deliveries import Inspector
from workers.inbox.group_commit import Closed, GroupCommit, Overloaded
from workers.inbox.store import Inbox
from workers.inbox.values import Delivery, Verdict
from workers.redis_clients import RECEIVER_TIMEOUT

logger = logging.getLogger("hitl.door")

#: Of `maxmemory`: above it nothing more is taken in, so that the workers have room to finish what is there.
FULLEST = 0.9
#: The same for callbacks: HITL.sh signs none of them, and what is signed always finds room.
FULLEST_FOR_CALLBACKS = 0.8
#: Seconds between two warnings that deliveries are beyond their quota.
QUOTA_WARNING_SECONDS = 60.0
#: Bytes of memory that a byte of a body is taken for, until the next measurement.
BODY_COST = 2
PULSE_SECONDS = 1.0
#: Instead of `DOOR_PATIENCE` while Redis is known to hang, so that those who queue are not told one batch every
#: two seconds: HITL.sh would have given up on the last of them.
SHORT_PATIENCE = 0.2


class IntakeUnavailable(ServiceError):
    """The delivery was not kept, through no fault of its sender."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(reason)


class Kept(msgspec.Struct, frozen=True):
    """The answer for a delivery that is in the inbox."""

    status: int
    reason: str


ACCEPTED = Kept(202, "accepted")
CONFLICT = Kept(202, "conflict")
UNROUTED = Kept(200, "unrouted")
DUPLICATE = Kept(200, "duplicate")
OVERRULED = Kept(202, "overruled")
STALE = Kept(200, "stale")
MISUSED = Kept(202, "misused")
#: Not in the inbox: the sender had its quota, and a repetition would change nothing.
OVER_QUOTA = Kept(202, "over_quota")


#: But for `accepted`, of which the routes have a say.
_KEPT: dict[Verdict, Kept] = {
    "duplicate": DUPLICATE,
    "conflict": CONFLICT,
    "overruled": OVERRULED,
    "stale": STALE,
    "misused": MISUSED,
    "over_quota": OVER_QUOTA,
}


class Intake:
    """Takes deliveries in, and knows whether it can."""

    def __init__(
        self,
        inbox: Inbox,
        *,
        listens_to: Callable[[str], bool],
        ask_for_drain: Callable[[], bool],
    ) -> None:
        """`hears`: whether some route may want an event of this name. `ask_for_drain` may block."""
        self._inbox = inbox
        self._hears = listens_to
        self._ask_for_drain = ask_for_drain
        self._commits: GroupCommit[Delivery, Verdict] = GroupCommit(
            self._flush, weigh=lambda delivery: len(delivery.body), waiting=5_000
        )
        self._counters: Counter[str] = Counter()
        self._trouble: str | None = "starting"
        #: `maxmemory` (0: no limit), and what is used of it: measured, plus what was taken since.
        self._limit = self._used = 0
        self._warned_of_quota = -QUOTA_WARNING_SECONDS
        self._asking: asyncio.Task[None] | None = None
        self._pulse: asyncio.Task[None] | None = None
        self._closing = asyncio.Event()
        #: At what a door refused.
        self.inspector = Inspector(inbox.refused, count=self.count)

    @property
    def ready(self) -> bool:
        return self._trouble is None

    def count(self, reason: str, times: int = 1) -> None:
        self._counters[reason] += times

    async def start(self) -> None:
        await self._beat()
        self._pulse = asyncio.create_task(self._beat_forever())

    async def close(self) -> None:
        """Keep what was taken; refuse what comes after."""
        await self._commits.close()
        await self.inspector.close()
        self._closing.set()
        if self._pulse is not None:
            await self._pulse  # not cancelled: it may be about to write the counters
        if self._asking is not None:
            await asyncio.wait({self._asking})
        await self._beat()

    async def accept(self, delivery: Delivery) -> Kept:
        """Kept when this returns. Raises `IntakeUnavailable`."""
        if self._trouble == "redis_full":
            raise IntakeUnavailable("redis_full")
        self._reserve_room(delivery)
        try:
            verdict = await self._commits.submit(delivery)
        except RedisError as error:
            raise IntakeUnavailable(_slug(error)) from error
        except TimeoutError as error:
            raise IntakeUnavailable("redis_slow") from error
        except Overloaded as error:
            raise IntakeUnavailable("overloaded") from error
        except Closed as error:
            raise IntakeUnavailable("shutting_down") from error
        if verdict == "accepted":
            content = delivery.content
            return ACCEPTED if isinstance(content, Event) and self._hears(content.name) else UNROUTED
        if verdict == "misused":
            logger.error("callback.misused: a callback URL was used for something else than it was made for")
        elif verdict == "overruled":
            logger.error(
                "decision.overruled event=%s trust=%s: weaker evidence said otherwise; see what had begun with "
                "`hitl-receiver requests --state overruled`",
                delivery.content.key, delivery.trust,
            )  # fmt: skip
        if verdict in {"over_quota", "busy", "duplicate"}:  # nothing was stored
            self._used = max(0, self._used - BODY_COST * len(delivery.body))
        if verdict in {"over_quota", "busy"}:
            self._warn_of_quota()
        if verdict == "busy":
            raise IntakeUnavailable("over_quota")
        return _KEPT[verdict]

    async def _flush(self, deliveries: list[Delivery]) -> list[Verdict]:
        try:
            async with asyncio.timeout(SHORT_PATIENCE if self._trouble == "redis_slow" else RECEIVER_TIMEOUT):
                verdicts, drains = await self._inbox.accept(deliveries)
        except (RedisError, TimeoutError) as error:
            self._note(_slug(error))
            raise
        if not drains:
            self._ask()
        return verdicts

    def _ask(self) -> None:
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(self._ask_in_thread())

    async def _ask_in_thread(self) -> None:
        try:
            await asyncio.to_thread(self._ask_for_drain)
        except RedisError as error:
            logger.info("drain.not_asked error=%s: the clock will", type(error).__name__)
        # A drain needs a moment to begin; asking again meanwhile would be noise.
        await asyncio.sleep(0.25)

    # -- how Redis is doing --------------------------------------------------------------------------

    async def _beat_forever(self) -> None:
        while True:
            try:
                async with asyncio.timeout(PULSE_SECONDS):
                    await self._closing.wait()
            except TimeoutError:
                await self._beat()
            else:
                return

    async def _beat(self) -> None:
        """Write the counters, and keep the inbox clock.

        A write, because a replica that lost its primary still answers a ping.
        """
        counted, self._counters = self._counters, Counter()
        try:
            async with asyncio.timeout(RECEIVER_TIMEOUT):
                await self._inbox.count(counted + Counter({"beats": 1}))
                await self._inbox.keep_clock()
                full = await self._is_full()
        except (RedisError, TimeoutError) as error:
            self._counters += counted
            self._note(_slug(error))
        else:
            self._note("redis_full" if full else None)

    async def _is_full(self) -> bool:
        self._used, self._limit = await self._inbox.memory_usage()
        return self._limit > 0 and self._used > FULLEST * self._limit

    def _reserve_room(self, delivery: Delivery) -> None:
        """Raises `IntakeUnavailable` where the delivery would take the room of stronger evidence or of the workers."""
        if not self._limit:
            return
        size = BODY_COST * len(delivery.body)
        fullest = FULLEST_FOR_CALLBACKS if delivery.trust == "callback" else FULLEST
        if self._used + size > fullest * self._limit:
            raise IntakeUnavailable("redis_full")
        self._used += size

    def _warn_of_quota(self) -> None:
        if time.monotonic() - self._warned_of_quota > QUOTA_WARNING_SECONDS:
            self._warned_of_quota = time.monotonic()
            logger.warning(
                "delivery.over_quota: deliveries of a callback URL, or unreadable bodies, are beyond their quota and "
                "are not kept; see over_quota in `hitl-receiver status`, and replace the URL if it leaked"
            )

    def _note(self, trouble: str | None) -> None:
        if trouble != self._trouble:
            level = logging.WARNING if trouble else logging.INFO
            logger.log(level, "intake.%s", f"unavailable reason={trouble}" if trouble else "ready")
            self._trouble = trouble


def _slug(error: Exception) -> str:
    """`BusyLoadingError` and its kin, as a reason."""
    name = type(error).__name__.removesuffix("Error").lower()
    return {"timeout": "redis_slow", "connection": "redis_unreachable"}.get(name, f"redis_{name}")
