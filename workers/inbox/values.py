"""Values that the inbox stores and returns."""

from datetime import UTC, datetime
from typing import Any, Literal

import msgspec

from hitlsh.events import Event, Trust, Unreadable
from hitlsh.request_details import DetailsSource, RequestDetails

#: How a delivery was stored. `conflict`: it differs from the decision, which stands. `overruled`: it is the decision
#: now, in place of weaker evidence that differs. `stale`: it ended before the horizon; kept, not routed. `misused`:
#: its callback URL may not report it; kept, not routed. `over_quota`, `busy`: not kept, because of the quotas in
#: quotas.lua; a later delivery may be kept after `busy`, not after `over_quota`.
Verdict = Literal["accepted", "duplicate", "conflict", "overruled", "stale", "misused", "over_quota", "busy"]
#: How we came to know of a request.
Learned = Literal["asked", "callback", "event", "listing"]


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """One verified HTTP POST, ready to be stored."""

    content: Event | Unreadable
    body: bytes
    trust: Trust
    received_at: datetime
    #: For a delivery to our callback URL: the id of its token, and the state in the token.
    callback_id: str | None = None
    state: Any = None
    #: The details of the request that it carries; None for an unverified delivery.
    details: RequestDetails | None = None
    details_source: DetailsSource = "event"
    #: The `traceparent` of the span that stores it; empty without tracing.
    traceparent: str = ""


def format_time(moment: datetime) -> str:
    """Seconds since 1970 with microseconds, the format of times in records."""
    return f"{moment.timestamp():.6f}"


def parse_time(text: bytes | str) -> datetime:
    """Parse a time that `format_time` or a script wrote."""
    return datetime.fromtimestamp(float(text), UTC)


class OpenRequest(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A request of the request tracker that has no outcome yet."""

    id: str
    created_at: float
    timeout_at: float | None = None
    #: When HITL.sh last told us that it is open; None when we never asked.
    last_checked: float | None = None
    learned: Learned = "asked"
    #: We refused a delivery that names it since it was last checked; it may have been its decision.
    refused: bool = False
    #: How many tracked requests of this API key, open or ended, were created later: its offset in the newest-first
    #: listing, unless other programs ask with the same key.
    newer: int = 0


class WebhookHealth(msgspec.Struct, frozen=True, kw_only=True):
    """How well webhooks deliver, measured by how recent decisions were found."""

    #: The share of decisions that a reconcile run had to find, as a moving average.
    loss: float = 0.0
    #: Decisions in an hour, by whichever way.
    ended_per_hour: float = 0.0
    last_webhook: float | None = None

    def is_silent(self, overdue: int, now: float, *, after: float = 3600.0) -> bool:
        """Whether requests are past due and no webhook has come for `after` seconds: worth an alarm."""
        return overdue > 0 and (self.last_webhook is None or now - self.last_webhook > after)
