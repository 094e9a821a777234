"""Values of a claim: leases on events and effects, and the items that are leased."""

import secrets

import msgspec

from workers.decision import StoredEvent


class Lease(msgspec.Struct, frozen=True, kw_only=True):
    """A worker's hold on one effect, or on the routing of one event."""

    #: Empty for the routing.
    handler: str
    event_key: str
    #: The fencing token of the claim.
    token: int

    @property
    def member(self) -> str:
        """The member of `due` that is leased: ``handler|event key``."""
        return f"{self.handler}|{self.event_key}"


class ClaimedItem(msgspec.Struct, frozen=True, kw_only=True):
    """An event to route or an effect to run, leased to this worker."""

    lease: Lease
    stored: StoredEvent
    attempt: int
    #: How often the handler raised so far.
    errors: int = 0
    #: How often a worker died while it held this item.
    crashes: int = 0
    #: A worker died while it held this item, and it has not ended since: it runs alone.
    is_suspect: bool = False
    #: Bytes of its evidence: body, head and details.
    size: int = 0
    #: For an event to route: its request has other outcomes, so the inbox decides which effects begin.
    has_rivals: bool = False

    def log_fields(self) -> dict[str, str | int]:
        """Fields that identify the effect in a log line."""
        request_id = self.stored.event.request_id
        fields: dict[str, str | int] = {"handler": self.lease.handler, "event_key": self.lease.event_key}
        if request_id is not None:
            fields["request"] = request_id
        return fields | {"attempt": self.attempt}

    def trace_attributes(self) -> dict[str, str | int]:
        """Attributes of the span of its effect."""
        attributes = {f"hitl.{name}": value for name, value in self.log_fields().items()}
        attributes["hitl.trust"] = self.stored.trust
        if self.stored.conflict:
            attributes["hitl.conflict"] = True
        if self.stored.overrules:
            attributes["hitl.overrules"] = True
        return attributes

    def first_attempt(self, handler: str) -> "ClaimedItem":
        """The effect of a handler on this event, under the same token."""
        lease = msgspec.structs.replace(self.lease, handler=handler)
        return ClaimedItem(lease=lease, stored=self.stored, attempt=1, size=self.size)


class UndecodableItem(msgspec.Struct, frozen=True, kw_only=True):
    """An event or effect, leased to this worker, whose record this version cannot decode."""

    lease: Lease
    #: How often an attempt failed so far.
    errors: int
    #: What is wrong with the record, without its values.
    reason: str


class Claim(msgspec.Struct, frozen=True, kw_only=True):
    """The reply to one claim."""

    items: list[ClaimedItem]
    undecodable: list[UndecodableItem]
    #: Seconds until the next item is due (0 or less: now); None if there is none.
    next_due_in: float | None
    #: A suspect is due, which only an idle worker may claim.
    suspects_wait: bool
    #: Names of paused handlers; `*` stands for all.
    paused: frozenset[str]


def fencing_token() -> int:
    """A random token. It has no order, because a failover may repeat a counter."""
    return secrets.randbelow(2**63 - 1) + 1
