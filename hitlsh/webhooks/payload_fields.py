"""Single fields of a payload, read without trust: a value of the wrong type is no value."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from hitlsh.events import LoopMember, Outcome, RefundInfo, Reviewer

#: A name longer than this is no event name.
_LONGEST_NAME = 100
_LONGEST_TIME = 64
_LONGEST_WORD = 64
#: The vendor's words and the aliases its own pages use for them.
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
    """Return a string that says something; anything else, a number too, is none."""
    return value if isinstance(value, str) and value else None


def identifier(*candidates: Any) -> str | None:
    """Return the first that is an id: a string, not empty."""
    for candidate in candidates:
        if isinstance(candidate, str) and candidate:
            return candidate
    return None


def mapping(value: Any) -> dict[str, Any] | None:
    """Return a JSON object, or None for anything else."""
    return value if isinstance(value, dict) else None


def event_name(value: Any) -> str | None:
    """Return an event name, or None for what cannot be one."""
    return value if isinstance(value, str) and 0 < len(value) <= _LONGEST_NAME else None


def status(word: str) -> str:
    """Map the aliases the vendor's pages use; a word none of them uses is kept as it is."""
    return _STATUSES.get(word) or _STATUSES.get(canonical_word(word), word)


def outcome(word: str | None) -> Outcome | None:
    """Return the outcome a mapped status word stands for, when it ends a request."""
    return _OUTCOMES.get(word)


def name_and_status(family: str, name: str | None, word: str | None) -> tuple[str | None, str | None]:
    """Return the event name and the status of a request or an execution: where the two disagree, its status.

    So an event is never called ``request.completed`` unless its request is, and always when it is. Without
    a status the name tells it; without a name the status does.
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
    """Spell ``Timed Out``, ``timed-out`` and ``timed_out`` alike."""
    return word.strip().lower().replace(" ", "_").replace("-", "_")


def parse_time(*candidates: Any) -> datetime | None:
    """Return the first that reads as an ISO 8601 time, as aware UTC; one without an offset is UTC."""
    for candidate in candidates:
        if isinstance(candidate, str) and len(candidate) <= _LONGEST_TIME:
            found = _parse_time(candidate)
            if found is not None:
                return found
    return None


def _parse_time(written: str) -> datetime | None:
    try:
        read = datetime.fromisoformat(written)
        if read.tzinfo is None:
            read = read.replace(tzinfo=UTC)
        elif read.tzinfo is not UTC:
            read = read.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    # Year 1 is how Go writes a time that was never set, and the vendor's servers are Go.
    return read if read.year > 1 else None


def reviewer(*sources: Any) -> Reviewer | None:
    """Merge every form a person is given in, the first source that has a field winning.

    An object with ``user_id`` or ``id``, ``name``, ``email``; a string is an id, or an e-mail address.
    """
    person: str | None = None
    name: str | None = None
    email: str | None = None
    for source in sources:
        if isinstance(source, dict):
            person = person or identifier(source.get("user_id"), source.get("id"))
            name = name or text(source.get("name"))
            email = email or text(source.get("email"))
        elif isinstance(source, str) and "@" in source:
            email = email or source
        elif isinstance(source, str):
            person = person or text(source)
    if person is None and name is None and email is None:
        return None
    return Reviewer(id=person, name=name, email=email)


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
    """Return what the asker attached: samples call it ``metadata``, the API ``context``."""
    attached = request.get("metadata")
    return attached if isinstance(attached, dict) else mapping(request.get("context"))
