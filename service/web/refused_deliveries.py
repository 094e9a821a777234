"""A look at what was refused: it may be HITL.sh itself, and the wrong secret ours.

HITL.sh does not repeat what is answered with 401, so a decision that we cannot verify would come to light
only when a reconcile run next asks for its request. Whatever a refused body says is believed for one thing alone:
if it names a request that we wait for, HITL.sh is worth a call now. Nothing else of it is kept or logged.

Anybody can knock, so all of it is bounded: how much is read, how often, how much time it takes, and how
often Redis is asked. The sender is answered before, so that neither status nor time tells what we know.
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

logger = logging.getLogger("hitl.door")

#: Of a body that may be looked at; HITL.sh's have a few KB.
LARGEST = 64 << 10
#: Seconds that the rest of a body is waited for, to be looked at.
SECONDS = 2.0
#: Looks a second and process, in the long run, and at once.
RATE = 10.0
BURST = 10.0
#: Seconds of CPU that cost as much as one look: bodies made to be slow (10 ms) are looked at less often.
CPU_SECONDS_PER_INSPECTION = 0.002


class Inspector:
    """Reads the request out of refused bodies, seldom, and has those made due that we wait for."""

    def __init__(
        self,
        refused: Callable[[Collection[str]], Awaitable[int]],
        *,
        count: Callable[[str, int], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`refused`: makes those of these requests due that are open, and answers how many were."""
        self._refused = refused
        self._count = count
        self._clock = clock
        self._credit = BURST
        self._credited_at = clock()
        #: Few: what comes within `DOOR_PATIENCE`, while the last call is in flight.
        self._named: set[str] = set()
        self._asking: asyncio.Task[None] | None = None
        self._closed = False

    def may_inspect(self) -> bool:
        """Whether there may be one more look now; if so, it is counted as taken."""
        now = self._clock()
        self._credit = min(BURST, self._credit + (now - self._credited_at) * RATE)
        self._credited_at = now
        if self._credit < 1 or self._closed:
            return False
        self._credit -= 1
        return True

    def inspect(self, body: bytes) -> None:
        """Answers at once; Redis is asked in the background, one call at a time for whatever was named."""
        self._count("refused_looked_at", 1)
        started = time.thread_time()
        content = parse(body)
        self._credit -= (time.thread_time() - started) / CPU_SECONDS_PER_INSPECTION
        named = content.request_id if isinstance(content, Event) else None
        if named is None or len(named) > LONGEST_ID or self._closed:
            return
        self._named.add(named)
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(self._ask())

    async def close(self) -> None:
        """Look no more, and wait until what was named is asked for."""
        self._closed = True
        if self._asking is not None:
            await self._asking

    async def _ask(self) -> None:
        while self._named:
            named, self._named = self._named, set()
            try:
                async with asyncio.timeout(RECEIVER_TIMEOUT):
                    known = await self._refused(named)
            except (RedisError, TimeoutError):
                # Not tried again: the reconcile run comes to these requests all the same, only later.
                self._count("refused_not_asked", len(named))
                continue
            self._count("refused_known", known)
            if known:
                logger.warning(
                    "refusal.known requests=%d: we refused what names requests of ours; "
                    "compare the secrets here with those at HITL.sh",
                    known,
                )


def is_worth_inspecting(scope: Scope, body: bytes | None) -> bool:
    """Whether a body may be one of HITL.sh's: by its headers alone, where it was not read yet (None).

    One that the sender wants to be asked for is not: who has proven nothing is asked for nothing.
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
