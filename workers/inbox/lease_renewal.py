"""Leases renewed from a thread of their own, so that a handler that blocks the event loop keeps them."""

import logging
import threading
from collections.abc import Callable, Iterable
from typing import Protocol

from redis.exceptions import RedisError

logger = logging.getLogger("hitl.workers")


class LeaseRenewer(Protocol):
    """An object that can lengthen leases."""

    def renew(self, held: Iterable[tuple[str, int]], /) -> list[str]:
        """Lengthen these (name, token) leases; returns the names of those that were lost."""


class LeaseThread:
    """Renews the leases that `held` returns, three times per lease duration, until stopped."""

    def __init__(self, keeper: LeaseRenewer, held: Callable[[], list[tuple[str, int]]], *, lease: float) -> None:
        self._keeper = keeper
        self._held = held
        self._every = lease / 3
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._renew_forever, name="hitl-leases", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopped.set()
        self._thread.join(timeout=2 * self._every)

    def _renew_forever(self) -> None:
        while not self._stopped.wait(self._every):
            if held := self._held():
                self._renew(held)

    def _renew(self, held: list[tuple[str, int]]) -> None:
        try:
            lost = self._keeper.renew(held)
        except RedisError as error:
            # Nobody else can claim either while Redis is away; the next round tries again.
            logger.warning("lease.not_renewed held=%d error=%s", len(held), type(error).__name__)
            return
        still_held = {member for member, _ in self._held()}
        for member in still_held.intersection(lost):
            logger.warning("lease.lost item=%s", member)
