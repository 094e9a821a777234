"""How many items to claim ahead, so that every place is in use while a claim is on its way."""

import time

#: Seconds that a claim may take.
CLAIM_SECONDS = 0.03
#: Seconds over which the pace is measured.
WINDOW = 0.1


class Pace:
    """Measures how many handlers end per second, so that a worker with slow handlers leaves work to other workers."""

    def __init__(self) -> None:
        self._since = time.monotonic()
        self._ended = 0
        self._rate = 0.0

    def count_end(self) -> None:
        self._ended += 1

    def ahead(self, limit: int) -> int:
        """How many handlers are likely to end while a claim is on its way, `limit` at the most."""
        elapsed = time.monotonic() - self._since
        if elapsed > WINDOW:
            self._rate = self._ended / elapsed
            self._since, self._ended = time.monotonic(), 0
        return min(limit, int(self._rate * CLAIM_SECONDS))
