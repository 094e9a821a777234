"""What goes into the inbox and what comes out of it, as values."""

from datetime import UTC, datetime
from typing import Any, Literal

import msgspec

from hitlsh.events import Event, Trust, Unreadable
from hitlsh.request_details import DetailsSource, RequestDetails

#: `conflict`: another outcome stands. `overruled`: it is the decision now, in place of weaker evidence that differs.
#: `stale`: it ended before the horizon, and is kept without being routed. `misused`: it came by a callback URL that
#: may not speak of it, and is set aside. `over_quota`, `busy`: it is not kept, because of the quotas in quotas.lua; of
#: `busy` a later delivery is.
Verdict = Literal["accepted", "duplicate", "conflict", "overruled", "stale", "misused", "over_quota", "busy"]
#: How we came to know of a request.
Learned = Literal["asked", "callback", "event", "listing"]


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """One verified HTTP POST, ready to be kept."""

    content: Event | Unreadable
    body: bytes
    trust: Trust
    received_at: datetime
    #: From our callback URL: its unique id and the state that was minted into it.
    callback_id: str | None = None
    state: Any = None
    #: What it says was asked in its request; None for what nobody can verify.
    details: RequestDetails | None = None
    details_source: DetailsSource = "event"
    #: The `traceparent` of the span that stores it; empty without tracing.
    traceparent: str = ""


def stamp(moment: datetime) -> str:
    """Seconds since 1970 with microseconds, as the records hold times."""
    return f"{moment.timestamp():.6f}"


def moment(text: bytes | str) -> datetime:
    """The time that `stamp` or a script wrote."""
    return datetime.fromtimestamp(float(text), UTC)


class OpenRequest(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A request of the request tracker that has no outcome yet."""

    id: str
    created_at: float
    timeout_at: float | None = None
    #: When HITL.sh last told us that it is open; None when we never asked.
    last_checked: float | None = None
    learned: Learned = "asked"
    #: A delivery that names it was refused by us since it was last checked: perhaps its decision.
    refused: bool = False
    #: How many requests of this API key, open or ended, the request tracker knows to be created later. That is its
    #: offset in the newest-first listing, or less when others ask with the same key.
    newer: int = 0


class WebhookHealth(msgspec.Struct, frozen=True, kw_only=True):
    """How the webhooks do, from how decisions were found lately."""

    #: The share of decisions that a reconcile run had to find, as a moving average.
    loss: float = 0.0
    #: Decisions in an hour, by whichever way.
    ended_per_hour: float = 0.0
    last_webhook: float | None = None

    def silent(self, overdue: int, now: float, *, after: float = 3600.0) -> bool:
        """Requests are past due and no webhook has come for so many seconds: worth an alarm."""
        return overdue > 0 and (self.last_webhook is None or now - self.last_webhook > after)
