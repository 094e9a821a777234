"""Event names in `@router.on(...)`: which are valid, and what each of them can never carry."""

import difflib
import re
from collections.abc import Sequence
from typing import Any

from workers.errors import RouteInvalid

#: Names in HITL.sh's documents (https://docs.hitl.sh, webhooks). New ones need no release: any name is
#: accepted, and these serve to detect a misspelling.
DOCUMENTED = (
    "request.created", "request.claimed", "request.completed", "request.timeout", "request.cancelled",
    "request.assigned", "request.escalated", "turn.resolved", "execution.completed",
    "loop.created", "loop.updated", "loop.deleted", "loop.archived", "loop.member_joined", "loop.member_left",
    "user.invited", "user.joined", "system.performance", "system.error",
    "api_key.limit_exceeded", "api_key.quota_warning",
)  # fmt: skip

#: How a request ended and who decided, by the event that says so.
OUTCOMES = {"request.completed": "completed", "request.timeout": "timeout", "request.cancelled": "cancelled"}
SOURCES = {
    "request.completed": "human",
    "request.timeout": "vendor_default",
    "request.cancelled": "cancelled",
}

#: Only these carry what a person answered; of an undocumented event nothing is known.
_ANSWERED = ("request.completed", "turn.resolved", "execution.completed")
NEVER_ANSWERED = frozenset(DOCUMENTED) - frozenset(_ANSWERED)

_NAME = re.compile(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)+")
_PATTERN = re.compile(r"[A-Za-z0-9_.-]*\*")


def check_events(events: Sequence[Any]) -> tuple[str, ...]:
    """The names and patterns given to `on`; raises `RouteInvalid` for what cannot be one."""
    if not events:
        raise RouteInvalid('on() names no event: write @router.on("request.completed"), or @router.on("*") for all')
    return tuple(_checked(event) for event in events)


def _checked(event: Any) -> str:
    if callable(event):
        raise RouteInvalid('@router.on needs its events: write @router.on("request.completed") above the function')
    if not isinstance(event, str):
        raise RouteInvalid(f"on({event!r}): an event is a string; write on('request.completed', 'request.timeout')")
    if not (_NAME.fullmatch(event) or _PATTERN.fullmatch(event)):
        raise RouteInvalid(f"on({event!r}): no event can have that name: {event_name_hint(event)}")
    return event


def closest_event_name(event: str) -> str | None:
    """The documented name that was probably meant, when `event` is almost one."""
    families = tuple(f"{name.split('.')[0]}.*" for name in DOCUMENTED)
    candidates = families if event.endswith("*") else DOCUMENTED
    close = difflib.get_close_matches(event, candidates, n=1, cutoff=0.85)
    return close[0] if close and event not in candidates else None


def event_name_hint(event: str) -> str:
    """What to write instead of a name that no event can have: the closest documented name, or all of them."""
    by_text = {name.partition(".")[2]: name for name in reversed(DOCUMENTED)} | {name: name for name in DOCUMENTED}
    if close := difflib.get_close_matches(event, by_text, n=1):
        return f"did you mean {by_text[close[0]]!r}?"
    return f"write a beginning and a star, such as 'request.*', or a name such as {', '.join(DOCUMENTED)}"


def listens_to(events: Sequence[str], name: str) -> bool:
    """Whether one of the names or patterns stands for this event name."""
    return any(name.startswith(event[:-1]) if event.endswith("*") else name == event for event in events)
