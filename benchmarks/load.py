"""A cheap load generator: keep-alive connections, and requests that are built before the measurement."""

import asyncio
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import cast


@dataclass(slots=True)
class Outcome:
    """The measurements of one run."""

    seconds: float = 0.0
    statuses: dict[int, int] = field(default_factory=dict)
    #: Seconds from sending a request to the first byte of its answer.
    latencies: list[float] = field(default_factory=list)
    #: Wall-clock time of the last answer.
    answered_at: float = 0.0

    @property
    def accepted(self) -> int:
        return sum(count for status, count in self.statuses.items() if 200 <= status < 300)

    @property
    def rate(self) -> float:
        return self.accepted / self.seconds

    def percentile(self, percent: float) -> float:
        """A percentile of the latencies, in milliseconds."""
        ordered = sorted(self.latencies)
        return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))] * 1000


def request(path: str, body: bytes, headers: dict[str, str]) -> bytes:
    """The bytes of one POST."""
    lines = [
        f"POST {path} HTTP/1.1",
        "Host: bench",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
    ]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + body


class _Connection(asyncio.Protocol):
    """Sends the next request as soon as the last one is answered."""

    def __init__(self, requests: Iterator[bytes], outcome: Outcome, until: float) -> None:
        self._requests = requests
        self._outcome = outcome
        self._until = until
        self._sent = 0.0
        self.finished: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's does not inherit from it
        self._next()

    def data_received(self, data: bytes) -> None:
        start = data.find(b"HTTP/1.1 ")
        if start < 0:
            return  # the body of an answer that is already counted
        now = time.perf_counter()
        self._outcome.latencies.append(now - self._sent)
        self._outcome.answered_at = time.time()
        status = int(data[start + 9 : start + 12])
        self._outcome.statuses[status] = self._outcome.statuses.get(status, 0) + 1
        self._next()

    def connection_lost(self, error: Exception | None) -> None:
        if not self.finished.done():
            self.finished.set_exception(error or ConnectionResetError("the receiver closed the connection"))

    def _next(self) -> None:
        following = next(self._requests, None) if time.perf_counter() < self._until else None
        if following is None:
            self.finished.set_result(None)
            self._transport.close()
            return
        self._sent = time.perf_counter()
        self._transport.write(following)


async def run(port: int, requests: Iterable[bytes], *, connections: int, seconds: float) -> Outcome:
    """Post the requests over so many connections, until none or no time is left."""
    outcome = Outcome()
    supply = iter(requests)
    loop = asyncio.get_running_loop()
    start = time.perf_counter()
    opened = [
        await loop.create_connection(lambda: _Connection(supply, outcome, start + seconds), "127.0.0.1", port)
        for _ in range(connections)
    ]
    await asyncio.gather(*(protocol.finished for _, protocol in opened))
    outcome.seconds = time.perf_counter() - start
    return outcome
