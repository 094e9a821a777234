"""How an asked request ended: one class for each way, so that a timeout is never taken for a person's no."""

from datetime import datetime
from typing import Any, Generic, TypeVar

import msgspec

from hitlsh.events import Reviewer, Trust

Response = TypeVar("Response")


class Answered(msgspec.Struct, Generic[Response], frozen=True, kw_only=True, tag_field="kind", tag="answered"):
    """A person answered."""

    #: str, list of str, int, float or bool. ``False``, ``0``, ``""`` and ``[]`` are answers.
    response: Response
    #: What the reviewer saw for the one option chosen; None for other answers and when not known.
    label: str | None = None
    #: What HITL.sh would have assumed if nobody had answered.
    default_response: Any = None
    reviewer: Reviewer | None = None
    #: When the person answered, by HITL.sh's clock; aware.
    responded_at: datetime | None = None
    trust: Trust


class TimedOut(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="timed_out"):
    """Nobody answered in time. Never a person's no."""

    #: What HITL.sh assumes now.
    default_response: Any = None
    #: When it timed out, by HITL.sh's clock; aware.
    responded_at: datetime | None = None
    trust: Trust


class Cancelled(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="cancelled"):
    """It was cancelled before anybody answered."""

    #: When, where that is known; aware.
    responded_at: datetime | None = None
    trust: Trust


class Conflicted(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="conflicted"):
    """Evidence of equal trust disagrees. HITL.sh is asked which is true; what it says replaces this outcome."""

    #: What each piece of evidence says, the first that arrived first.
    outcomes: tuple[Answered[Any] | TimedOut | Cancelled, ...] = ()
    trust: Trust


class Lost(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="lost"):
    """Nobody will decide it: HITL.sh does not know the request, or refused to create it."""

    #: For a person to read.
    reason: str
    trust: Trust = "confirmed"


AskOutcome = Answered[Any] | TimedOut | Cancelled | Conflicted | Lost
