"""What a handler is called with: one event, and how this receiver learned of it."""

import reprlib
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import msgspec

from hitlsh.callbacks import CallbackState
from hitlsh.events import Event, LoopMember, Outcome, RefundInfo, Reviewer, Source, Trust
from hitlsh.request_details import RequestDetails
from workers.completion import NOTHING_KNOWN, Completion, KnownDetails, complete


class StoredEvent(msgspec.Struct, frozen=True, kw_only=True):
    """One event as the inbox keeps it: what its strongest evidence says, and how it relates to its request."""

    event: Event
    #: As received; empty when it was not read from the record.
    body: bytes = b""
    trust: Trust
    received_at: datetime
    #: The id and the state of the callback URL by which it was delivered; None if it came another way.
    callback: CallbackState | None = None
    #: What the request tracker knows of its request.
    known_details: KnownDetails = NOTHING_KNOWN
    #: See the attributes of `Decision`.
    late: bool = False
    conflict: bool = False
    overrules: bool = False
    #: Of its delivery: handler runs belong to the same trace. Empty without tracing.
    traceparent: str = ""


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """One event as its handlers see it; most often the final outcome of one request.

    Frozen, but what HITL.sh sent as a list or an object stays a list or a dict: do not change it.
    `workers.testing` makes decisions for tests.
    """

    _stored: StoredEvent
    _completion: Completion
    _attempt: int = 1
    _can_read: bool = False

    @classmethod
    def from_stored(cls, stored: StoredEvent, *, attempt: int = 1, can_read: bool = False) -> "Decision":
        """Return the decision that a handler sees for a stored event: the only place where one becomes the other.

        `can_read`: HITL.sh's API can be asked for what is missing.
        """
        completion = complete(stored.event, stored.known_details, callback=stored.callback)
        return cls(_stored=stored, _completion=completion, _attempt=attempt, _can_read=can_read)

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
        """The loop of the request; None if unknown."""
        return self._completion.event.loop_id

    @property
    def loop_name(self) -> str | None:
        """The name of the loop; None if unknown: account webhooks and the API's list of loops have it."""
        return self._completion.event.loop_name

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

        Of a select it is the option's value; for an option that is a plain string, that string as it was asked.
        ``False``, ``0``, ``""`` and ``[]`` are answers: test `answered`, never ``if decision.response``.
        """
        return self._completion.event.response

    @property
    def response_type(self) -> str | None:
        """The type of the answer; None if unknown.

        ``text``, ``editable_text``, ``single_select``, ``multi_select``, ``rating``, ``number`` or ``boolean``.
        """
        return self._completion.event.response_type

    @property
    def labels(self) -> tuple[str, ...]:
        """What the reviewer saw for the response: ``("Looks good",)`` for ``looks_good``; empty when not known."""
        return self._completion.event.labels

    @property
    def label(self) -> str | None:
        """What the reviewer saw for the one option chosen; None for other answers and when not known."""
        return self.labels[0] if len(self.labels) == 1 else None

    @property
    def default_response(self) -> Any:
        """What HITL.sh assumes when nobody answers, spelled like `response`; None if unknown."""
        return self._completion.event.default_response

    @property
    def reviewer(self) -> Reviewer | None:
        """Who answered or claimed; None when unknown, and each of its id, name and email may be None."""
        return self._stored.event.reviewer

    @property
    def state(self) -> Any:
        """The JSON value that was put into the callback URL when the request was made."""
        return self._completion.state

    @property
    def metadata(self) -> dict[str, Any] | None:
        """The JSON object that was attached to the request (its context, or metadata); None without one."""
        return self._completion.event.metadata

    @property
    def was_edited(self) -> bool | None:
        """Whether the reviewer changed the draft of an ``editable_text``; None for other answers and when not known."""
        return self._completion.event.was_edited

    @property
    def refund_info(self) -> RefundInfo | None:
        """Whether a cancellation gave an API call back; None unless an account webhook of the cancellation says so."""
        return self._stored.event.refund_info

    @property
    def workflow_id(self) -> str | None:
        """Of an ``execution.*`` event: the workflow that was executed; None for other events."""
        return self._stored.event.workflow_id

    @property
    def execution_id(self) -> str | None:
        """Of an ``execution.*`` event: the execution; None for other events."""
        return self._stored.event.execution_id

    @property
    def session_id(self) -> str | None:
        """Of a ``turn.*`` event: the session of the agent; None for other events."""
        return self._stored.event.session_id

    @property
    def member(self) -> LoopMember | None:
        """Of a ``loop.member_*`` event: who joined or left; None for other events."""
        return self._stored.event.member

    @property
    def question(self) -> RequestDetails:
        """What was asked: text, options, context, priority, tags; each None or empty if unknown."""
        return self._completion.details

    @property
    def missing(self) -> tuple[str, ...]:
        """Names of the fields that no source has provided, sorted, such as ``state``, ``context`` or ``reviewer.name``.

        A field that is None and not among them was not given.
        """
        return self._completion.missing

    @property
    def unexpected(self) -> bool:
        """The answer was not offered: an unknown option, off the scale, or of another type than was asked for."""
        return self._completion.is_unexpected

    @property
    def is_completable(self) -> bool:
        """Something is missing, and HITL.sh's API has not been asked for it yet.

        A route that needs what is missing waits until the request has been read.
        """
        known = self._stored.known_details
        can_read = self._can_read and self.outcome is not None and bool(self.request_id)
        return can_read and bool(self.missing) and known.api is None and not known.is_unavailable

    @property
    def is_doubtful(self) -> bool:
        """The answer was not offered, and HITL.sh's API can still confirm or deny it.

        Routes wait until it has: what was posted may be forged, or HITL.sh may allow more than the question says.
        """
        is_confirmable = self._can_read and bool(self.request_id) and self.trust != "confirmed"
        return is_confirmable and self.unexpected and not self.conflict

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


#: They follow from others.
_DERIVED = frozenset({"delivered", "answered", "raw", "label", "is_completable", "is_doubtful"})
#: Every attribute that `workers.testing` can set and JSON output shows: not those that follow from others.
ATTRIBUTES = tuple(
    name for name, value in vars(Decision).items() if isinstance(value, property) and name not in _DERIVED
)


def with_trust(decision: Decision, trust: Trust) -> Decision:
    """The decision as it would be with evidence of this trust that says the same."""
    stored = msgspec.structs.replace(decision._stored, trust=trust)
    return Decision.from_stored(stored, attempt=decision.attempt, can_read=decision._can_read)
