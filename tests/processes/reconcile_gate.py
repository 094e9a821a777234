"""A proxy between reconcile runs and the sandbox that records connections, holds them, or refuses them."""

import asyncio
import threading
import time
from collections.abc import Coroutine
from types import TracebackType
from typing import Any, Self

import msgspec

from tests.ports import free_port

_HERE = "127.0.0.1"
_CHUNK = 65_536


class Visit(msgspec.Struct, kw_only=True):
    """One connection: a reconcile run makes all its calls over one, one after another."""

    opened: float
    closed: float | None = None
    calls: int = 0


class Gate:
    """Forwards to a port of this machine; counts calls by the ends of their heads: reconcile runs make only GETs."""

    def __init__(self, port: int) -> None:
        """`port`: where the sandbox listens."""
        self._target = port
        self._port = free_port()
        self.base_url = f"http://{_HERE}:{self._port}/v1"
        self.visits: list[Visit] = []
        #: The visit whose reply is withheld, until its visitor gives up or dies.
        self.held: Visit | None = None
        self._hold_at: int | None = None
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="gate", daemon=True)
        self._listener: asyncio.Server | None = None
        self._serving: set[asyncio.Task[None]] = set()

    def __enter__(self) -> Self:
        self._thread.start()
        self.open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.shut()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(timeout=10)
        self._loop.close()

    def open(self) -> None:
        """Forward again; without effect on an open gate."""
        self._do(self._listen())

    def shut(self) -> None:
        """Nobody gets a connection, and those that have one lose it."""
        self._do(self._turn_away())

    def calls(self) -> int:
        """How many were made through here."""
        return sum(visit.calls for visit in self.visits)

    def hold(self, call: int) -> None:
        """Withhold the reply to the call of this number, from 1, of the next visit that makes so many."""
        self.held, self._hold_at = None, call

    def _do(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(timeout=10)

    async def _listen(self) -> None:
        if self._listener is not None and self._listener.is_serving():
            return
        self._listener = await asyncio.start_server(self._serve, host=_HERE, port=self._port)

    async def _turn_away(self) -> None:
        if self._listener is not None:
            self._listener.close()
        serving = list(self._serving)
        for task in serving:
            task.cancel()
        await asyncio.gather(*serving, return_exceptions=True)

    async def _serve(self, visitor: asyncio.StreamReader, to_visitor: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        visit = Visit(opened=time.time())
        self.visits.append(visit)
        self._serving.add(task)
        try:
            await self._forward(visitor, to_visitor, visit)
        finally:
            visit.closed = time.time()
            to_visitor.close()
            self._serving.discard(task)

    async def _forward(self, visitor: asyncio.StreamReader, to_visitor: asyncio.StreamWriter, visit: Visit) -> None:
        from_target, to_target = await asyncio.open_connection(_HERE, self._target)
        ways = [
            asyncio.create_task(self._inward(visitor, to_target, visit)),
            asyncio.create_task(self._outward(from_target, to_visitor, visit)),
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
            to_target.close()

    async def _inward(self, visitor: asyncio.StreamReader, to_target: asyncio.StreamWriter, visit: Visit) -> None:
        while words := await visitor.read(_CHUNK):
            visit.calls += words.count(b"\r\n\r\n")
            to_target.write(words)
            await to_target.drain()

    async def _outward(self, from_target: asyncio.StreamReader, to_visitor: asyncio.StreamWriter, visit: Visit) -> None:
        while words := await from_target.read(_CHUNK):
            if visit.calls == self._hold_at:
                self._hold_at, self.held = None, visit
            if visit is self.held:
                await asyncio.Event().wait()
            to_visitor.write(words)
            await to_visitor.drain()
