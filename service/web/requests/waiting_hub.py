"""Notifies waiters of changed requests, with one Redis subscription for the whole process.

The record is authoritative; a message only says that it has changed. So a waiter registers first, then reads the
record, then waits. Because a message may be lost, the versions of all requests with waiters are compared after each
new subscription, and every `RECHECK_SECONDS`.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager, suppress

from redis.exceptions import RedisError

from hitlsh.asking.asked_request import AskedRequest
from service.web.requests import problems
from workers.asking.asking_service import AskingService
from workers.asking.check_times import next_check
from workers.inbox.group_commit import Closed, GroupCommit, Overloaded
from workers.inbox.questions.question_store import QuestionChange, QuestionChanges, QuestionUnreadable
from workers.inbox.questions.question_waits import QuestionWaits
from workers.redis_clients import RECEIVER_TIMEOUT

logger = logging.getLogger("hitl.receiver")

#: Seconds between two comparisons of versions: a lost message delays a waiter by at most so long.
RECHECK_SECONDS = 30.0
#: Concurrent waits of one process.
MAX_WAITS = 20_000
#: Requests read in one batch.
_BATCH = 200
#: Versions read in one batch.
_VERSION_BATCH = 2_000
#: Seconds until Redis is tried again after an error.
_RETRY_SECONDS = 0.5


class _WaitedRequest:
    """A request with waiters."""

    __slots__ = ("check_at", "hitl_id", "version", "watches")

    def __init__(self) -> None:
        self.watches: list[Watch] = []
        #: The version that was read last; -1 before the first read.
        self.version = -1
        #: HITL.sh's id, while the request is open there.
        self.hitl_id: str | None = None
        #: Seconds since 1970: when the request is checked at HITL.sh, unless its outcome arrives before.
        self.check_at = float("inf")


class Watch:
    """One waiter's view of one request."""

    __slots__ = ("_future", "_hub", "_id", "_version", "is_abandoned", "is_gone")

    def __init__(self, hub: "WaitingHub", request_id: str) -> None:
        self._hub = hub
        self._id = request_id
        self._version = -1
        self._future: asyncio.Future[AskedRequest | None] | None = None
        #: The client has disconnected.
        self.is_abandoned = False
        #: The request no longer exists.
        self.is_gone = False

    async def read(self) -> AskedRequest | None:
        """The current request; None if it does not exist. Raises `RequestProblem` if Redis cannot be read."""
        request = await self._hub.read(self._id)
        if request is not None:
            self._version = max(self._version, request.version)
        return request

    async def next_version(self, seconds: float) -> AskedRequest | None:
        """Wait for a version newer than the one read last.

        None after `seconds`, if the request no longer exists, if the client disconnects, and if the hub closes.
        """
        if not self.may_change():
            return None
        loop = asyncio.get_running_loop()
        self._future = loop.create_future()
        timer = loop.call_later(seconds, self.wake)
        try:
            self._hub.recheck_if_newer(self._id, self._version)
            return await self._future
        finally:
            timer.cancel()
            self._future = None

    def may_change(self) -> bool:
        """Whether waiting makes sense: the request exists, the client is connected, and the process is not stopping."""
        return not (self.is_gone or self.is_abandoned or self._hub.is_closing)

    def wake(self, request: AskedRequest | None = None) -> None:
        """End `next_version`."""
        if self._future is not None and not self._future.done():
            if request is not None:
                self._version = request.version
            self._future.set_result(request)

    def abandon(self) -> None:
        """End the wait, because the client has disconnected."""
        self.is_abandoned = True
        self.wake()

    def deliver(self, request: AskedRequest | None) -> None:
        """Wake the waiter, unless it has seen this version. None: the request no longer exists."""
        self.is_gone = request is None
        if request is None or request.version > self._version:
            self.wake(request)


class WaitingHub:
    """All waits of one web process."""

    def __init__(
        self,
        service: AskingService,
        waits: QuestionWaits,
        *,
        max_waits: int = MAX_WAITS,
        recheck_seconds: float = RECHECK_SECONDS,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._service = service
        self._questions = waits
        self._max_waits = max_waits
        self._recheck_seconds = recheck_seconds
        self._clock = clock
        self._waited_requests: dict[str, _WaitedRequest] = {}
        self._count = 0
        self._reads: GroupCommit[str, AskedRequest | QuestionUnreadable | None] = GroupCommit(
            self._read_batch, batch_size=_BATCH, max_waiting=2 * max_waits
        )
        self._stale: set[str] = set()
        self._has_stale = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._is_subscribed = True
        #: Seconds since 1970: checks that were due by then have been expedited.
        self._expedited_at = clock()
        #: Waits end, and no new one begins.
        self.is_closing = False

    def __len__(self) -> int:
        return self._count

    def start(self) -> None:
        """Subscribe, in the background."""
        self._tasks = [asyncio.create_task(self._follow_changes()), asyncio.create_task(self._read_stale())]

    def end_waits(self) -> None:
        """End every wait, because the process is about to stop; clients repeat the call at another process."""
        if self.is_closing:
            return
        self.is_closing = True
        if self._count:
            logger.info("waits.ended waits=%d", self._count)
        for waited in self._waited_requests.values():
            for watch in waited.watches:
                watch.wake()

    async def close(self) -> None:
        """End all waits and background tasks."""
        self.end_waits()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._reads.close()

    @contextmanager
    def watching(self, request_id: str) -> Iterator[Watch]:
        """Register a waiter for one of our own ids; raises `RequestProblem` if there are too many."""
        if self._count >= self._max_waits:
            raise problems.unavailable("Too many waits are under way in this process")
        watch = Watch(self, request_id)
        waited = self._waited_requests.get(request_id)
        if waited is None:
            waited = self._waited_requests[request_id] = _WaitedRequest()
        waited.watches.append(watch)
        self._count += 1
        try:
            yield watch
        finally:
            self._count -= 1
            waited.watches.remove(watch)
            if not waited.watches:
                del self._waited_requests[request_id]

    async def read(self, request_id: str) -> AskedRequest | None:
        """Read one request, batched with others; raises `RequestProblem` if Redis cannot be read."""
        try:
            request = await self._reads.submit(request_id)
        except (RedisError, TimeoutError) as error:
            raise problems.unavailable("The inbox cannot be read now") from error
        except Overloaded as error:
            raise problems.unavailable("Too many requests are being read") from error
        except Closed as error:
            raise problems.unavailable("This process is stopping", 1) from error
        if isinstance(request, QuestionUnreadable):
            raise problems.failed() from request
        return request

    def recheck_if_newer(self, request_id: str, version: int) -> None:
        """Read the request again if a newer version was seen before the waiter began to wait."""
        if self._waited_requests[request_id].version > version:
            self._mark_stale([request_id])

    # -- reading ------------------------------------------------------------------------------------------

    async def _read_batch(self, request_ids: Sequence[str]) -> list[AskedRequest | QuestionUnreadable | None]:
        async with asyncio.timeout(2 * RECEIVER_TIMEOUT):
            requests = await self._service.get_many(list(dict.fromkeys(request_ids)))
        replies = [requests.get(request_id) for request_id in request_ids]
        for request_id, request in zip(request_ids, replies, strict=True):
            if not isinstance(request, QuestionUnreadable):
                self._record_read(request_id, request)
        return replies

    def _record_read(self, request_id: str, request: AskedRequest | None) -> "_WaitedRequest | None":
        waited = self._waited_requests.get(request_id)
        if waited is None:
            return None
        waited.version = 0 if request is None else max(waited.version, request.version)
        is_open = request is not None and request.status == "open"
        waited.hitl_id = request.request_id if is_open and request is not None else None
        waited.check_at = next_check(request, self._expedited_at) if is_open and request is not None else float("inf")
        return waited

    def _mark_stale(self, request_ids: Collection[str]) -> None:
        if request_ids:
            self._stale.update(request_ids)
            self._has_stale.set()

    async def _read_stale(self) -> None:
        """Read requests that have changed, and wake their waiters."""
        while True:
            await self._has_stale.wait()
            batch = [self._stale.pop() for _ in range(min(_BATCH, len(self._stale)))]
            if not self._stale:
                self._has_stale.clear()
            batch = [request_id for request_id in batch if request_id in self._waited_requests]
            if not batch:
                continue
            try:
                requests = await self._read_batch(batch)
            except (RedisError, TimeoutError):
                self._mark_stale(batch)
                await asyncio.sleep(_RETRY_SECONDS)
                continue
            for request_id, request in zip(batch, requests, strict=True):
                waited = self._waited_requests.get(request_id)
                if waited is None or isinstance(request, QuestionUnreadable):
                    continue  # a wait reads it again at its end
                for watch in list(waited.watches):
                    watch.deliver(request)

    # -- following ----------------------------------------------------------------------------------------

    async def _follow_changes(self) -> None:
        """Subscribe, and again after each error, for as long as the process runs.

        redis-py can swallow the cancellation of a read that times out at that moment: so each loop ends by itself too.
        """
        while not self.is_closing:
            try:
                await self._run_subscription()
            except (RedisError, OSError, TimeoutError) as error:
                self._set_subscribed(False, type(error).__name__)
                await asyncio.sleep(_RETRY_SECONDS)

    async def _run_subscription(self) -> None:
        async with asyncio.timeout(2 * RECEIVER_TIMEOUT):
            changes = await self._service.subscribe()
        try:
            await self._follow(changes)
        finally:
            with suppress(RedisError, OSError, TimeoutError):
                await changes.close()

    async def _follow(self, changes: QuestionChanges) -> None:
        """Follow one subscription until no message comes for `recheck_seconds`: the connection may be broken."""
        is_silent = False
        while not is_silent and not self.is_closing:
            await self._compare_versions()
            await self._expedite_checks()
            self._set_subscribed(True)
            is_silent = True
            loop = asyncio.get_running_loop()
            ends_at = loop.time() + self._recheck_seconds
            while (seconds := ends_at - loop.time()) > 0 and not self.is_closing:
                change = await changes.next_change(seconds=seconds)
                if change is not None:
                    is_silent = False
                    self._handle_change(change)

    def _handle_change(self, change: QuestionChange) -> None:
        waited = self._waited_requests.get(change.id)
        if waited is not None and (change.version == 0 or change.version > waited.version):
            self._mark_stale([change.id])

    async def _compare_versions(self) -> None:
        request_ids = list(self._waited_requests)
        for start in range(0, len(request_ids), _VERSION_BATCH):
            batch = request_ids[start : start + _VERSION_BATCH]
            async with asyncio.timeout(2 * RECEIVER_TIMEOUT):
                versions = await self._questions.read_versions(batch)
            self._mark_stale(
                [name for name, version in zip(batch, versions, strict=True) if self._is_stale(name, version)]
            )

    def _is_stale(self, request_id: str, version: int) -> bool:
        waited = self._waited_requests.get(request_id)
        return waited is not None and waited.version != version

    async def _expedite_checks(self) -> None:
        """Expedite the checks of requests whose webhooks may have been lost."""
        now = self._clock()
        due = {name: waited for name, waited in self._waited_requests.items() if waited.check_at <= now}
        self._expedited_at = now
        if not due:
            return
        hitl_ids = [waited.hitl_id for waited in due.values() if waited.hitl_id is not None]
        async with asyncio.timeout(2 * RECEIVER_TIMEOUT):
            expedited = await self._questions.expedite_checks(hitl_ids)
        # Reading them again sets the time of their next checks.
        self._mark_stale(due)
        if expedited:
            logger.info("checks.expedited requests=%d", expedited)

    def _set_subscribed(self, is_subscribed: bool, reason: str = "") -> None:
        if is_subscribed == self._is_subscribed:
            return
        self._is_subscribed = is_subscribed
        if is_subscribed:
            logger.info("waits.subscribed")
        else:
            logger.warning("waits.unsubscribed reason=%s: waits continue once Redis is available again", reason)
