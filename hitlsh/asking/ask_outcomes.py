"""Outcomes of an asked request: one class for each, so that a timeout is never mistaken for a person's no."""

from datetime import datetime
from typing import Any, Generic, TypeVar

import msgspec

from hitlsh.events import Reviewer, Trust

Response = TypeVar("Response")


class Answered(msgspec.Struct, Generic[Response], frozen=True, kw_only=True, tag_field="kind", tag="answered"):
    """A person answered."""

    #: str, list of str, int, float or bool. ``False``, ``0``, ``""`` and ``[]`` are answers.
    response: Response
    #: The label of the one chosen option, as the reviewer saw it; None for other answers or if unknown.
    label: str | None = None
    #: The default that HITL.sh would have assumed without an answer.
    default_response: Any = None
    reviewer: Reviewer | None = None
    #: When the person answered, by HITL.sh's clock; aware.
    responded_at: datetime | None = None
    trust: Trust


class TimedOut(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="timed_out"):
    """Nobody answered in time. This is not a person's no."""

    #: The default that HITL.sh assumes.
    default_response: Any = None
    #: When it timed out, by HITL.sh's clock; aware.
    responded_at: datetime | None = None
    trust: Trust


class Cancelled(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="cancelled"):
    """It was cancelled before anybody answered."""

    #: When it was cancelled, if known; aware.
    responded_at: datetime | None = None
    trust: Trust


class Conflicted(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="conflicted"):
    """Evidence of equal trust disagrees. HITL.sh is asked which is true; its answer replaces this outcome."""

    #: The outcome of each piece of evidence, in order of arrival.
    outcomes: tuple[Answered[Any] | TimedOut | Cancelled, ...] = ()
    trust: Trust


class Lost(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="lost"):
    """The request will never be decided: HITL.sh does not know it, or refused to create it."""

    #: An explanation for people.
    reason: str
    trust: Trust = "confirmed"


AskOutcome = Answered[Any] | TimedOut | Cancelled | Conflicted | Lost
