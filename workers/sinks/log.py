"""A sink that logs: to see what would be forwarded, or for a log collector."""

import logging
import reprlib

from workers.decision import Decision


class Log:
    """Logs one line at level INFO for each decision: ids, outcome and answer, no other content."""

    def __init__(self, logger_name: str = "hitl.decisions") -> None:
        self._logger = logging.getLogger(logger_name)

    @property
    def name(self) -> str:
        """The default name of its route."""
        return f"log-{self._logger.name}"

    def __repr__(self) -> str:
        return f"<Log {self._logger.name}>"

    async def send(self, decision: Decision) -> None:
        """Log the decision."""
        self._logger.info(
            "decision.forwarded event=%s key=%s request=%s loop=%s outcome=%s source=%s trust=%s response=%s",
            decision.event, decision.event_key, decision.request_id, decision.loop_id, decision.outcome,
            decision.source, decision.trust, reprlib.repr(decision.response),
        )  # fmt: skip
