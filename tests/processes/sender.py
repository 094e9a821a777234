"""Posts deliveries as HITL.sh does: repeats each until it gets a 2xx."""

import threading
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import httpx
import msgspec

#: Seconds after which a delivery that nobody took is a failure of the test.
LONGEST = 60.0


class Posting(msgspec.Struct, frozen=True):
    """One POST, to be repeated as it is."""

    url: str
    body: bytes
    headers: dict[str, str]


class Sender:
    """Several deliveries at a time, as many times as it takes."""

    def __init__(self, at_once: int = 8) -> None:
        self._client = httpx.Client(timeout=10.0)
        self._pool = ThreadPoolExecutor(at_once, thread_name_prefix="sender")
        self._lock = threading.Lock()
        self._sent: list[Future[None]] = []
        #: How the attempts ended: by status, 0 for none.
        self.answers: Counter[int] = Counter()

    def send(self, postings: Sequence[Posting]) -> None:
        """Begin to deliver; answers at once."""
        self._sent += [self._pool.submit(self._deliver, posting) for posting in postings]

    @property
    def finished(self) -> bool:
        """All was taken; raises what a delivery failed with."""
        return all(one.done() and one.result() is None for one in self._sent)

    def close(self) -> None:
        self._pool.shutdown(cancel_futures=True)
        self._client.close()

    def _deliver(self, posting: Posting) -> None:
        deadline = time.monotonic() + LONGEST
        while not 200 <= (status := self._post(posting)) < 300:
            if 0 < status < 500 or time.monotonic() > deadline:
                raise AssertionError(f"answered {status}, and HITL.sh would not come again")
            time.sleep(0.1)

    def _post(self, posting: Posting) -> int:
        try:
            status = self._client.post(posting.url, content=posting.body, headers=posting.headers).status_code
        except httpx.TransportError:
            status = 0
        with self._lock:
            self.answers[status] += 1
        return status
