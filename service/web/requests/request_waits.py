"""Waits for the outcome of a request or for its next version, until the client disconnects."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.types import Receive

from hitlsh.asking.ask_errors import AskUnknown
from hitlsh.asking.asked_request import AskedRequest
from hitlsh.events import Trust
from service.web.requests.api_endpoint import Call
from service.web.requests.query_parameters import is_own_id
from service.web.requests.token_access import TokenAccess
from service.web.requests.waiting_hub import WaitingHub, Watch
from workers.asking.asking_service import AskingService
from workers.trust import LEVELS


class RequestWaits:
    """Waits on the hub with the demanded trust, within the limits of the caller's token."""

    def __init__(self, service: AskingService, hub: WaitingHub, access: TokenAccess) -> None:
        self._service = service
        self._hub = hub
        self._access = access

    @property
    def is_closing(self) -> bool:
        """Whether this process is about to stop."""
        return self._hub.is_closing

    async def read(self, request_id: str, trust: Trust) -> AskedRequest | None:
        """Read a request by either id; an outcome with less trust is left out."""
        if not is_own_id(request_id):
            return await self._service.get(request_id, trust=trust)
        return await self.trusted(await self._hub.read(request_id), trust)

    async def trusted(self, request: AskedRequest | None, trust: Trust) -> AskedRequest | None:
        """The request; an outcome with less trust is left out, and a check at HITL.sh is scheduled."""
        outcome = None if request is None else request.outcome
        if request is None or outcome is None or LEVELS[outcome.trust] >= LEVELS[trust]:
            return request
        return await self._service.get(request.id, trust=trust)

    async def wait(self, call: Call, request_id: str, *, trust: Trust, seconds: float) -> AskedRequest | None:
        """Wait for the outcome; returns the current request after `seconds`, and None if the client disconnects."""
        ends_at = asyncio.get_running_loop().time() + seconds
        with self._access.waiting(call.token), self._hub.watching(request_id) as watch:
            # Read after the registration: every later change wakes this waiter.
            request = await self.trusted(await watch.read(), trust)
            if request is None:
                raise AskUnknown(request_id)
            if request.outcome is not None:
                return request
            del request
            async with _abandoned_with_caller(watch, call.receive):
                return await self._wait_for_outcome(watch, request_id, trust, ends_at)

    async def _wait_for_outcome(
        self, watch: Watch, request_id: str, trust: Trust, ends_at: float
    ) -> AskedRequest | None:
        while True:
            remaining = ends_at - asyncio.get_running_loop().time()
            newer = await watch.next_version(remaining) if remaining > 0 else None
            if watch.is_abandoned:
                return None
            # Without a newer version it is read once more: an answer may arrive at the very end.
            request = await self.trusted(newer or await watch.read(), trust)
            if request is None:
                raise AskUnknown(request_id)
            if request.outcome is not None or newer is None:
                return request
            del request

    @asynccontextmanager
    async def watching(self, call: Call, request_id: str) -> AsyncIterator[Watch]:
        """A watch that ends when the client disconnects."""
        with self._access.waiting(call.token), self._hub.watching(request_id) as watch:
            async with _abandoned_with_caller(watch, call.receive):
                yield watch


@asynccontextmanager
async def _abandoned_with_caller(watch: Watch, receive: Receive) -> AsyncIterator[None]:
    """End the watch when the client disconnects."""
    listening = asyncio.create_task(_wait_for_disconnect(watch, receive))
    try:
        yield
    finally:
        listening.cancel()


async def _wait_for_disconnect(watch: Watch, receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    watch.abandon()
