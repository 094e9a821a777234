"""What a handler is called with: one event, and how this receiver learned of it."""

import reprlib
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import msgspec

from hitlsh.events import Event, Outcome, Reviewer, Source, Trust


class StoredEvent(msgspec.Struct, frozen=True, kw_only=True):
    """One event as the inbox keeps it: what its strongest evidence says, and how it relates to its request."""

    event: Event
    #: As received; empty when it was not read from the record.
    body: bytes = b""
    trust: Trust
    received_at: datetime
    #: What our callback URL carried.
    state: Any = None
    #: See the attributes of `Decision`.
    late: bool = False
    conflict: bool = False
    overrules: bool = False


class Decision(msgspec.Struct, frozen=True, kw_only=True, rename={"_stored": "stored", "_attempt": "attempt"}):
    """One event as its handlers see it; most often the final outcome of one request.

    Frozen, but what HITL.sh sent as a list or an object stays a list or a dict: do not change it.
    `workers.testing` makes decisions for tests.
    """

    _stored: StoredEvent
    _attempt: int = 1

    @classmethod
    def from_stored(cls, stored: StoredEvent, *, attempt: int = 1) -> "Decision":
        """Return the decision that a handler sees for a stored event: the only place where one becomes the other."""
        return cls(_stored=stored, _attempt=attempt)

    @property
    def event(self) -> str:
        """HITL.sh's name of the event, such as ``request.completed``."""
        return self._stored.event.name

    @property
    def event_key(self) -> str:
        """Equal for every delivery and every attempt: pass it on as an idempotency key.

        Another outcome of the same request has another key. At most 256 characters.
        """
        return self._stored.event.key

    @property
    def variant(self) -> str:
        """The payload form, such as ``callback-v2`` or ``nested``; ``api`` when a reconcile run read it."""
        return self._stored.event.variant

    @property
    def trust(self) -> Trust:
        """How we know that it is real.

        ``signed`` (HMAC), ``callback`` (our signed URL) or ``confirmed`` (read at HITL.sh's API).
        """
        return self._stored.trust

    @property
    def received_at(self) -> datetime:
        """When this receiver accepted it; with a time zone."""
        return self._stored.received_at

    @property
    def request_id(self) -> str | None:
        """The request that it is about; None when it is about something else."""
        return self._stored.event.request_id

    @property
    def loop_id(self) -> str | None:
        """The loop of the request; None when the payload does not tell."""
        return self._stored.event.loop_id

    @property
    def loop_name(self) -> str | None:
        """The name of the loop; only some payload forms carry it."""
        return self._stored.event.loop_name

    @property
    def status(self) -> str | None:
        """The status of the request, with aliases mapped (``timed_out`` is ``timeout``)."""
        return self._stored.event.status

    @property
    def outcome(self) -> Outcome | None:
        """``completed``, ``timeout`` or ``cancelled``; None when this event does not end its request."""
        return self._stored.event.outcome

    @property
    def source(self) -> Source | None:
        """Who decided: ``human``, ``vendor_default`` (nobody did in time) or ``cancelled``."""
        return self._stored.event.source

    @property
    def response(self) -> Any:
        """What the person answered: str, number, bool or list; None when nobody answered.

        ``False``, ``0``, ``""`` and ``[]`` are answers: test `answered`, never ``if decision.response``.
        """
        return self._stored.event.response

    @property
    def response_type(self) -> str | None:
        """The type of the answer; None when the payload does not tell.

        ``text``, ``editable_text``, ``single_select``, ``multi_select``, ``rating``, ``number`` or ``boolean``.
        """
        return self._stored.event.response_type

    @property
    def labels(self) -> tuple[str, ...]:
        """What the reviewer saw for the response, when the payload tells: ``("Looks good",)`` for ``looks_good``."""
        return self._stored.event.labels

    @property
    def default_response(self) -> Any:
        """What HITL.sh would have assumed; nobody decided it. None when the payload does not carry it."""
        return self._stored.event.default_response

    @property
    def reviewer(self) -> Reviewer | None:
        """Who answered or claimed; None when unknown, and each of its id, name and email may be None."""
        return self._stored.event.reviewer

    @property
    def state(self) -> Any:
        """The JSON value that was put into the callback URL when the request was made."""
        return self._stored.state

    @property
    def metadata(self) -> dict[str, Any] | None:
        """The request's own metadata or context, when the payload carries it."""
        return self._stored.event.metadata

    @property
    def occurred_at(self) -> datetime | None:
        """When it happened, by HITL.sh's clock; with a time zone."""
        return self._stored.event.occurred_at

    @property
    def late(self) -> bool:
        """It arrived after its request had ended (such as a ``claimed`` overtaken by ``completed``).

        Not routed unless a route asks with ``late=True``.
        """
        return self._stored.late

    @property
    def conflict(self) -> bool:
        """Another outcome of the request stands: an earlier one with the same trust, or one with more trust.

        Not routed unless a route asks with ``conflict=True``.
        """
        return self._stored.conflict

    @property
    def overrules(self) -> bool:
        """It replaces an outcome with less trust that differs, and for which some handler had begun.

        That handler does not run again, unless its route asks with ``conflict=True``.
        """
        return self._stored.overrules

    @property
    def attempt(self) -> int:
        """Which run of this handler for this event it is, from 1."""
        return self._attempt

    @property
    def body(self) -> bytes:
        """The body of the delivery as received; see `raw` for what the other attributes leave out."""
        return self._stored.body

    @property
    def delivered(self) -> Event:
        """The event as it was parsed from the delivery."""
        return self._stored.event

    @property
    def answered(self) -> bool:
        """A person answered; true for ``False``, ``0``, ``""`` and ``[]`` as well."""
        return self.source == "human" and self.response is not None

    @property
    def raw(self) -> Any:
        """The body as JSON, parsed anew at every call; None when it is not JSON."""
        try:
            return msgspec.json.decode(self.body)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return None

    def __repr__(self) -> str:
        return f"Decision({', '.join(f'{name}={reprlib.repr(value)}' for name, value in self._shown())})"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        # msgspec's own would show every field to whoever prints with rich.
        return list(self._shown())

    def _shown(self) -> Iterator[tuple[str, Any]]:
        """What may appear in a log: of the reviewer only the id; no body, state or metadata."""
        for name in ("event", "request_id", "loop_id", "outcome", "source", "trust", "response", "attempt"):
            yield name, getattr(self, name)
        if self.reviewer is not None:
            yield "reviewer_id", self.reviewer.id
        yield from ((name, True) for name in ("late", "conflict", "overrules") if getattr(self, name))


#: Every attribute that `workers.testing` can set and JSON output shows: not those that follow from others.
ATTRIBUTES = tuple(
    name
    for name, value in vars(Decision).items()
    if isinstance(value, property) and name not in {"delivered", "answered", "raw"}
)


def with_trust(decision: Decision, trust: Trust) -> Decision:
    """The decision as it would be with evidence of this trust that says the same."""
    stored = msgspec.structs.replace(decision._stored, trust=trust)
    return Decision.from_stored(stored, attempt=decision.attempt)
