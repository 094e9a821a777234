"""Single fields of a payload. A value of the wrong type counts as none.

Follows https://docs.hitl.sh, whose pages write times, people and status words in several ways.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from hitlsh.events import LoopMember, Outcome, RefundInfo, Reviewer

#: Characters of an event name, a time and a status word.
_LONGEST_NAME = 100
_LONGEST_TIME = 64
_LONGEST_WORD = 64
#: HITL.sh's status words, and the aliases that its pages use for them.
_STATUSES = {
    "pending": "pending",
    "claimed": "claimed",
    "completed": "completed",
    "answered": "completed",
    "resolved": "completed",
    "timeout": "timeout",
    "timed_out": "timeout",
    "timedout": "timeout",
    "expired": "timeout",
    "cancelled": "cancelled",
    "canceled": "cancelled",
}
_OUTCOMES: dict[str | None, Outcome] = {
    "completed": "completed",
    "timeout": "timeout",
    "cancelled": "cancelled",
}


def text(value: Any) -> str | None:
    """Return a string that is not empty; None for anything else, numbers included."""
    return value if isinstance(value, str) and value else None


def identifier(*candidates: Any) -> str | None:
    """Return the first candidate that is a string and not empty."""
    for candidate in candidates:
        if isinstance(candidate, str) and candidate:
            return candidate
    return None


def mapping(value: Any) -> dict[str, Any] | None:
    """Return a JSON object, or None for anything else."""
    return value if isinstance(value, dict) else None


def event_name(value: Any) -> str | None:
    """Return an event name; None for a value that cannot be one."""
    return value if isinstance(value, str) and 0 < len(value) <= _LONGEST_NAME else None


def status(word: str) -> str:
    """Return HITL.sh's status word for an alias; an unknown word is returned as it is."""
    return _STATUSES.get(word) or _STATUSES.get(canonical_word(word), word)


def outcome(word: str | None) -> Outcome | None:
    """Return the outcome of a mapped status word; None for one that does not end a request."""
    return _OUTCOMES.get(word)


def name_and_status(family: str, name: str | None, word: str | None) -> tuple[str | None, str | None]:
    """Return the event name and the status of a request or an execution.

    Where the two disagree, the status decides: an event is called ``request.completed`` exactly when its request is
    completed. A missing status is taken from the name, and a missing name from the status.
    """
    verb = _verb(family, name)
    if word is None:
        return (f"{family}.{verb}" if verb in _OUTCOMES else name), verb
    state = status(word)
    if state in _OUTCOMES:
        return f"{family}.{state}", state
    if name is None or verb in _OUTCOMES:
        return _name_after(family, state), state
    return name, state


def _verb(family: str, name: str | None) -> str | None:
    if name is None:
        return None
    prefix, _, verb = name.partition(".")
    return _STATUSES.get(canonical_word(verb)) if prefix.lower() == family else None


def _name_after(family: str, state: str) -> str:
    word = canonical_word(state)
    return f"{family}.{word}" if len(word) <= _LONGEST_WORD and word.isidentifier() else f"{family}.unknown"


def canonical_word(word: str) -> str:
    """Return one spelling for ``Timed Out``, ``timed-out`` and ``timed_out``."""
    return word.strip().lower().replace(" ", "_").replace("-", "_")


def parse_time(*candidates: Any) -> datetime | None:
    """Return the first candidate that is an ISO 8601 time, as aware UTC; a time without an offset is UTC."""
    for candidate in candidates:
        if isinstance(candidate, str) and len(candidate) <= _LONGEST_TIME:
            time = _parse_time(candidate)
            if time is not None:
                return time
    return None


def _parse_time(text: str) -> datetime | None:
    try:
        time = datetime.fromisoformat(text)
        if time.tzinfo is None:
            time = time.replace(tzinfo=UTC)
        elif time.tzinfo is not UTC:
            time = time.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    # Year 1 is how Go writes a time that was never set.
    return time if time.year > 1 else None


def reviewer(*sources: Any) -> Reviewer | None:
    """Return the person that the sources describe together; each field comes from the first source that has it.

    A source is an object with ``user_id`` or ``id``, ``name`` and ``email``, or a string: an id or an e-mail address.
    """
    person_id: str | None = None
    name: str | None = None
    email: str | None = None
    for source in sources:
        if isinstance(source, dict):
            person_id = person_id or identifier(source.get("user_id"), source.get("id"))
            name = name or text(source.get("name"))
            email = email or text(source.get("email"))
        elif isinstance(source, str) and "@" in source:
            email = email or source
        elif isinstance(source, str):
            person_id = person_id or text(source)
    if person_id is None and name is None and email is None:
        return None
    return Reviewer(id=person_id, name=name, email=email)


def loop_member(value: Any) -> LoopMember | None:
    """Return the member of a loop event, or None where the value names nobody."""
    fields = mapping(value) or {}
    member_id, email = identifier(fields.get("user_id"), fields.get("id")), text(fields.get("email"))
    if member_id is None and email is None:
        return None
    return LoopMember(
        id=member_id,
        email=email,
        name=text(fields.get("name")),
        status=text(fields.get("status")),
        role=text(fields.get("role")),
        joined_at=parse_time(fields.get("joined_at")),
    )


def refund_info(value: Any) -> RefundInfo | None:
    """Return what a cancellation gave back, or None where the value does not say."""
    fields = mapping(value) or {}
    refunded, reason = fields.get("refunded"), text(fields.get("reason"))
    if not isinstance(refunded, bool):
        return RefundInfo(reason=reason) if reason is not None else None
    return RefundInfo(refunded=refunded, reason=reason)


def metadata(request: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the JSON object that is attached to a request: ``metadata``, else ``context``."""
    value = request.get("metadata")
    return value if isinstance(value, dict) else mapping(request.get("context"))
