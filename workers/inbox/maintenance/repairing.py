"""Finds unfinished work that nothing would continue, and makes it due again; see repair.lua."""

import logging
from typing import cast

from redis import Redis

from workers.inbox import keys, scripts

logger = logging.getLogger("hitl.inbox")

#: Events per script call: about 4 ms of the server's time, with three effects each.
SLICE = 50


class Repairer:
    """Checks the unfinished events in slices, over and over.

    It also ends the wait for details that could not be read for a day.

    While the scripts are correct there is nothing to repair: each repair is logged as an error, and counted as
    `repaired`.
    """

    def __init__(self, redis: Redis, *, retention: int) -> None:
        """`retention`: seconds that finished events are kept."""
        self._script = scripts.script(redis, "maintenance/repair")
        self._retention = retention
        self._rank = 0

    def repair_slice(self) -> list[tuple[str, str]]:
        """Check the next slice; returns (``handler|event key``, fault) for each repair."""
        arguments = (self._retention, self._rank, SLICE)
        self._rank += SLICE  # if the script fails on a record, the next call checks others
        rank, given_up, *repairs = cast("list[bytes | int]", self._script(keys=[keys.PREFIX], args=arguments))
        self._rank = max(0, cast("int", rank))
        texts = [cast("bytes", text).decode(errors="replace") for text in repairs]
        repaired = list(zip(texts[::2], texts[1::2], strict=True))
        for member, fault in repaired:
            logger.error("inbox.repaired member=%r fault=%r", member, fault)
        if given_up:
            logger.warning(
                "details.given_up requests=%d: for a day these requests could not be read at HITL.sh; their effects "
                "go on with what is known. See `hitl-receiver status`", given_up,
            )  # fmt: skip
        return repaired

    def repair(self) -> list[tuple[str, str]]:
        """Check all unfinished events once."""
        self._rank = 0
        repaired = self.repair_slice()
        while self._rank:
            repaired += self.repair_slice()
        return repaired
