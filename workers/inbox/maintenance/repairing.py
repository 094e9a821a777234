"""Finds unfinished work that would never go on, and has it go on; see repair.lua."""

import logging
from typing import cast

from redis import Redis

from workers.inbox import keys, scripts

logger = logging.getLogger("hitl.inbox")

#: Events that one script call looks at: about 4 ms of the server's time, with three effects each.
SLICE = 50


class Repairer:
    """Looks through the unfinished events, a slice at a time, and begins again at the end.

    Nothing is to be repaired while the scripts do what they promise: what is found is logged as an error, and counted
    as `repaired`.
    """

    def __init__(self, redis: Redis, *, retention: int) -> None:
        """`retention`: seconds that finished events are kept."""
        self._script = scripts.script(redis, "maintenance/repair")
        self._retention = retention
        self._rank = 0

    def repair_slice(self) -> list[tuple[str, str]]:
        """Look at the next events; answers what was repaired: ``handler|event key``, and what was found."""
        words = (self._retention, self._rank, SLICE)
        self._rank += SLICE  # should the script fail on a record, the next call looks at others
        rank, *found = cast("list[bytes | int]", self._script(keys=[keys.PREFIX], args=words))
        self._rank = max(0, cast("int", rank))
        texts = [cast("bytes", text).decode(errors="replace") for text in found]
        repaired = list(zip(texts[::2], texts[1::2], strict=True))
        for member, what in repaired:
            logger.error("inbox.repaired member=%r found=%r", member, what)
        return repaired

    def repair(self) -> list[tuple[str, str]]:
        """Look at all events once."""
        self._rank = 0
        repaired = self.repair_slice()
        while self._rank:
            repaired += self.repair_slice()
        return repaired
