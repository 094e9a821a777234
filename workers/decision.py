"""What a handler is called with: one event, and how we came to know of it."""

import reprlib
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import msgspec

from hitlsh.events import Event, Outcome, Reviewer, Source, Trust
from hitlsh.request_details import RequestDetails


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """One event as its handlers see it; most often the final outcome of one request.

    Frozen, but what HITL.sh sent as a list or an object stays a list or a dict: leave it as it is.
    """

    #: The vendor's event name, such as ``request.completed``.
    event: str
    #: Equal for every delivery and every attempt: pass it on as an idempotency key. Another outcome of the same
    #: request has another key. At most 256 characters.
    event_key: str
    #: The payload form it came in, such as ``callback-v2`` or ``nested``; ``api`` when a reconcile run found it.
    variant: str
    #: How we know that it is real: ``signed`` (HMAC), ``callback`` (our signed URL) or ``confirmed`` (read
    #: at the API).
    trust: Trust
    #: When this receiver accepted it; aware.
    received_at: datetime
    request_id: str | None = None
    loop_id: str | None = None
    #: Only some payload forms carry it.
    loop_name: str | None = None
    #: The request's status word, aliases mapped (``timed_out`` is ``timeout``).
    status: str | None = None
    #: ``completed``, ``timeout`` or ``cancelled``; None when this event does not end its request.
    outcome: Outcome | None = None
    #: Who decided: ``human``, ``vendor_default`` (nobody did in time) or ``cancelled``.
    source: Source | None = None
    #: What the person answered: str, number, bool or list; None when nobody answered.
    #: ``False``, ``0``, ``""`` and ``[]`` are answers: ask `answered`, never ``if decision.response``.
    response: Any = None
    #: ``text``, ``editable_text``, ``single_select``, ``multi_select``, ``rating``, ``number``, ``boolean``;
    #: None when the payload does not tell.
    response_type: str | None = None
    #: What the reviewer saw for the response, when the payload says: ``("Looks good",)`` for ``looks_good``.
    labels: tuple[str, ...] = ()
    #: What HITL.sh would have assumed; nobody decided it. None when the payload does not carry it.
    default_response: Any = None
    #: Who answered or claimed; None when unknown, and each of its id, name and email may be None.
    reviewer: Reviewer | None = None
    #: What was put into the callback URL when the request was made; a JSON value.
    state: Any = None
    #: The request's own metadata or context, when the payload carries it.
    metadata: dict[str, Any] | None = None
    #: When it happened, by HITL.sh's clock; aware.
    occurred_at: datetime | None = None
    #: It arrived after its request had ended (such as a ``claimed`` overtaken by ``completed``).
    #: Not routed unless a route asks with ``late=True``.
    late: bool = False
    #: Another outcome of the request stands: one that came before with the same trust, or one with more trust.
    #: Not routed unless a route asks with ``conflict=True``.
    conflict: bool = False
    #: It takes the place of an outcome with less trust that differs, and of which some handler had begun. That
    #: handler does not run again, unless its route asks with ``conflict=True``.
    overrules: bool = False
    #: Which run of this handler for this event it is, from 1.
    attempt: int = 1
    #: What was asked: its text, options, context, priority and tags, as far as they are known.
    question: RequestDetails | None = None
    #: Names of fields that nobody has told us, sorted, such as ``state``, ``context`` or ``reviewer.name``. A field
    #: that is None and not named here was not given.
    missing: tuple[str, ...] = ()
    #: The API has not been read for what is missing: a route that needs it waits until that is done.
    is_completable: bool = False
    #: The person's answer was not offered: an unknown option, off the scale, or of another type than was asked for.
    unexpected: bool = False
    #: The delivery's body as received; for what the parsed fields leave out see `raw`.
    body: bytes = b""

    @classmethod
    def from_event(
        cls,
        event: Event,
        *,
        trust: Trust,
        received_at: datetime,
        state: Any = None,
        late: bool = False,
        conflict: bool = False,
        overrules: bool = False,
        attempt: int = 1,
        body: bytes = b"",
    ) -> "Decision":
        """The decision a handler sees for this event."""
        return cls(
            event=event.name,
            event_key=event.key,
            variant=event.variant,
            trust=trust,
            received_at=received_at,
            request_id=event.request_id,
            loop_id=event.loop_id,
            loop_name=event.loop_name,
            status=event.status,
            outcome=event.outcome,
            source=event.source,
            response=event.response,
            response_type=event.response_type,
            labels=event.labels,
            default_response=event.default_response,
            reviewer=event.reviewer,
            state=state,
            metadata=event.metadata,
            occurred_at=event.occurred_at,
            late=late,
            conflict=conflict,
            overrules=overrules,
            attempt=attempt,
            body=body,
        )

    @property
    def answered(self) -> bool:
        """A person answered; true for ``False``, ``0``, ``""`` and ``[]`` as well."""
        return self.source == "human" and self.response is not None

    @property
    def raw(self) -> Any:
        """The body as JSON, parsed afresh at every call; None when it is not JSON."""
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
        """What may stand in a log: who answered only by id, no body, state or metadata."""
        for name in ("event", "request_id", "loop_id", "outcome", "source", "trust", "response", "attempt"):
            yield name, getattr(self, name)
        if self.reviewer is not None:
            yield "reviewer_id", self.reviewer.id
        yield from ((name, True) for name in ("late", "conflict", "overrules") if getattr(self, name))
