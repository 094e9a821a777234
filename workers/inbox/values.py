"""What goes into the inbox and what comes out of it, as values."""

from datetime import UTC, datetime
from typing import Any, Literal

import msgspec

from hitlsh.events import Event, Trust, Unreadable

#: `conflict`: another outcome stands. `overruled`: it is the decision now, in place of weaker evidence that differs.
#: `stale`: it ended before the horizon, and is kept without being routed. `misused`: it came by a callback URL that
#: may not speak of it, and is set aside. `over_quota`, `busy`: it is not kept, because of the quotas in quotas.lua; of
#: `busy` a later delivery is.
Verdict = Literal["accepted", "duplicate", "conflict", "overruled", "stale", "misused", "over_quota", "busy"]
#: How we came to know of a request.
Learned = Literal["asked", "callback", "event", "listing"]
Verb = Literal["route", "done", "skipped", "retry", "failed", "held", "unconfirmed", "undecodable", "release"]


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """One verified HTTP POST, ready to be kept."""

    content: Event | Unreadable
    body: bytes
    trust: Trust
    received_at: datetime
    #: From our callback URL: its unique id and the state that was minted into it.
    callback_id: str | None = None
    state: Any = None


class Item(msgspec.Struct, frozen=True, kw_only=True):
    """Something due, leased to this worker: an event to route (`handler` is empty) or an effect to run."""

    handler: str
    event_key: str
    token: int
    attempt: int
    #: How often the handler raised so far.
    errors: int
    #: How often a worker died while it held this item.
    crashes: int
    #: It was in hand when a worker died and has not ended since: it runs alone.
    suspect: bool
    event: Event
    body: bytes
    trust: Trust
    received_at: datetime
    state: Any
    late: bool
    conflict: bool
    overrules: bool = False
    #: Bytes of its evidence: the body, and the head that was made of it.
    size: int = 0
    #: Of an event to route: its request has other outcomes, so that what begins is for the record to say.
    has_rivals: bool = False

    @property
    def member(self) -> str:
        return f"{self.handler}|{self.event_key}"


class Undecodable(msgspec.Struct, frozen=True, kw_only=True):
    """Something due, leased to this worker, whose record this version cannot decode."""

    handler: str
    event_key: str
    token: int
    #: How often an attempt went wrong so far.
    errors: int
    #: What is wrong with the record, without its values.
    reason: str


class Claim(msgspec.Struct, frozen=True, kw_only=True):
    """What one look at the inbox gave."""

    items: list[Item]
    undecodable: list[Undecodable]
    #: Seconds until something else is due (0 or less: now); None when nothing is.
    next_due_in: float | None
    #: Something is due that only a worker with nothing in hand may take.
    suspects_wait: bool
    #: Names of paused handlers; `*` stands for all.
    paused: frozenset[str]


class Settlement(msgspec.Struct, frozen=True):
    """One line of a worker's report; see report.lua."""

    verb: Verb
    handler: str
    event_key: str
    token: int
    word: str = ""
    wrong: str = ""


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
