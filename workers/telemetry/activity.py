"""Sends each delivery and each attempt to `hitl-receiver dev`, as one datagram each.

Off unless the environment names a Unix socket. A datagram that cannot be sent at once is dropped: no process waits for
the reader.
"""

import os
import socket
from collections.abc import Iterable, Mapping

import msgspec

from hitlsh.events import Event
from workers.inbox.claims import ClaimedItem
from workers.inbox.settlements import Retry, Settlement, Unconfirmed
from workers.routing.route import Wait
from workers.telemetry.error_text import error_summary

#: The variable with the path of the socket. `dev` sets it for the processes that it starts.
VARIABLE = "HITL_ACTIVITY_SOCKET"
#: Bytes of a datagram.
LARGEST = 8_192
#: Characters of each text.
LONGEST_TEXT = 500


class DeliveryAnswered(msgspec.Struct, frozen=True, kw_only=True, tag="delivery"):
    """A delivery got its answer."""

    status: int
    reason: str
    #: Empty if the delivery was refused before it was read.
    event: str = ""
    event_key: str = ""


class AttemptEnded(msgspec.Struct, frozen=True, kw_only=True, tag="attempt"):
    """A handler ended, or did not start."""

    #: Empty if the event is for no handler.
    handler: str
    event: str
    event_key: str
    #: done, skipped, retry, failed, held, released, unconfirmed, incomplete or unrouted
    end: str
    #: Seconds that the handler ran.
    seconds: float = 0.0
    #: The last line of the error.
    error: str = ""
    #: Seconds until the next attempt.
    retry_after: float | None = None


Activity = DeliveryAnswered | AttemptEnded

_encode = msgspec.json.Encoder().encode
decode = msgspec.json.Decoder(Activity).decode


class ActivitySender:
    """Sends activity to the socket of a `dev` stack."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setblocking(False)

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ) -> "ActivitySender | None":
        """The sender; None without a `dev` stack."""
        path = environ.get(VARIABLE)
        return cls(path) if path else None

    def close(self) -> None:
        self._socket.close()

    def send(self, activity: Activity) -> None:
        try:
            self._socket.sendto(_encode(activity), self._path)
        except OSError:
            return  # the reader is gone, or too slow

    def send_answer(self, status: int, reason: str, event: Event | None) -> None:
        """Send that a delivery got this answer; `event` is None if it was refused before it was read."""
        name, key = ("", "") if event is None else _names(event)
        self.send(DeliveryAnswered(status=status, reason=reason, event=name, event_key=key))

    def send_settlement(self, item: ClaimedItem, settlement: Settlement, seconds: float) -> None:
        """Send how the attempt of a handler ended."""
        end = type(settlement).__name__.lower()
        if isinstance(settlement, Unconfirmed) and settlement.needs == "details":
            end = "incomplete"
        error = getattr(settlement, "error", None) or ""
        self._send_end(
            item,
            item.lease.handler,
            end,
            seconds=seconds,
            error=error_summary(error)[:LONGEST_TEXT],
            retry_after=settlement.after if isinstance(settlement, Retry) else None,
        )

    def send_routing(self, item: ClaimedItem, waits: Iterable[Wait], *, is_unrouted: bool) -> None:
        """Send which handlers of an event wait, or that it has none."""
        for wait in waits:
            end = "incomplete" if wait.needs == "details" else "unconfirmed"
            self._send_end(item, wait.route.name, end)
        if is_unrouted:
            self._send_end(item, "", "unrouted")

    def _send_end(
        self,
        item: ClaimedItem,
        handler: str,
        end: str,
        *,
        seconds: float = 0.0,
        error: str = "",
        retry_after: float | None = None,
    ) -> None:
        name, key = _names(item.stored.event)
        self.send(
            AttemptEnded(
                handler=handler,
                event=name,
                event_key=key,
                end=end,
                seconds=seconds,
                error=error,
                retry_after=retry_after,
            )
        )


def _names(event: Event) -> tuple[str, str]:
    return event.name[:LONGEST_TEXT], event.key[:LONGEST_TEXT]
