"""Inspects refused deliveries: one may come from HITL.sh while our secret is wrong.

HITL.sh does not retry after a 401, so a decision that we cannot verify would be found only by the next reconcile run
that checks its request. A refused body is used for one thing: if it names an open request that is tracked, that
request is checked sooner. Nothing else of it is stored or logged.

Anybody can post here, so everything has a limit: the bytes read, the inspections, their CPU time, and the calls to
Redis. The sender is answered first, so that neither status nor time shows what is tracked.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Collection

from redis.exceptions import RedisError
from starlette.types import Scope

from hitlsh.events import Event
from hitlsh.webhooks.delivery_headers import header, unsupported_form
from hitlsh.webhooks.parsing import parse
from workers.inbox.store import LONGEST_ID
from workers.redis_clients import RECEIVER_TIMEOUT

logger = logging.getLogger("hitl.receiver")

#: Bytes of the largest body that is inspected; those of HITL.sh have a few KB.
LARGEST = 64 << 10
#: Seconds to wait for the rest of a body.
SECONDS = 2.0
#: Inspections per second and process, on average; and in a burst.
RATE = 10.0
BURST = 10.0
#: Seconds of CPU time that count as one inspection: bodies that are made to be slow (10 ms) use up several.
CPU_SECONDS_PER_INSPECTION = 0.002


class Inspector:
    """Reads request ids from refused bodies, at a limited rate, and makes the checks of tracked ones due."""

    def __init__(
        self,
        expedite: Callable[[Collection[str]], Awaitable[int]],
        *,
        count: Callable[[str, int], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`expedite`: makes the checks of those of these requests due that are open, and returns how many were."""
        self._expedite = expedite
        self._count = count
        self._clock = clock
        self._credit = BURST
        self._credited_at = clock()
        #: Request ids that arrived while a call to Redis is in flight (`RECEIVER_TIMEOUT` at most), so they are few.
        self._pending: set[str] = set()
        self._expediting: asyncio.Task[None] | None = None
        self._closed = False

    def may_inspect(self) -> bool:
        """Whether one more inspection is allowed now; if so, it is counted."""
        now = self._clock()
        self._credit = min(BURST, self._credit + (now - self._credited_at) * RATE)
        self._credited_at = now
        if self._credit < 1 or self._closed:
            return False
        self._credit -= 1
        return True

    def inspect(self, body: bytes) -> None:
        """Parse a body, and expedite the request that it names in the background, one call to Redis at a time."""
        self._count("refused_inspected", 1)
        started = time.thread_time()
        content = parse(body)
        self._credit -= (time.thread_time() - started) / CPU_SECONDS_PER_INSPECTION
        request_id = content.request_id if isinstance(content, Event) else None
        if request_id is None or len(request_id) > LONGEST_ID or self._closed:
            return
        self._pending.add(request_id)
        if self._expediting is None or self._expediting.done():
            self._expediting = asyncio.create_task(self._expedite_pending())

    async def close(self) -> None:
        """Inspect no more, and wait until pending requests are expedited."""
        self._closed = True
        if self._expediting is not None:
            await self._expediting

    async def _expedite_pending(self) -> None:
        while self._pending:
            request_ids, self._pending = self._pending, set()
            try:
                async with asyncio.timeout(RECEIVER_TIMEOUT):
                    tracked = await self._expedite(request_ids)
            except (RedisError, TimeoutError):
                # Not retried: a reconcile run checks these requests anyway, only later.
                self._count("refused_not_expedited", len(request_ids))
                continue
            self._count("refused_tracked", tracked)
            if tracked:
                logger.warning(
                    "refusal.tracked requests=%d: refused deliveries name tracked requests; "
                    "compare the secrets here with those at HITL.sh",
                    tracked,
                )


def is_worth_inspecting(scope: Scope, body: bytes | None) -> bool:
    """Whether a body may come from HITL.sh: by its headers alone if it was not read yet (None).

    Not with `Expect: 100-continue`: an unverified sender gets no invitation to continue.
    """
    headers = scope["headers"]
    if unsupported_form(headers) is not None:
        return False
    if body is not None:
        return 0 < len(body) <= LARGEST
    if header(headers, b"expect"):
        return False
    declared = header(headers, b"content-length")
    if declared is None:
        return header(headers, b"transfer-encoding") is not None
    return declared.isdigit() and len(declared) < 10 and 0 < int(declared) <= LARGEST
