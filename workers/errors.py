"""The errors of `workers`, and what a handler raises to control its next attempt, below one root.

::

    WorkersError
    ├── RouteInvalid     a route that could never work, raised when its module is imported
    ├── HandlersInvalid  HITL_HANDLERS names no router that could be used
    ├── SettingsInvalid  the environment holds invalid settings  [settings]
    ├── CannotAsk        a setting that asking people needs is missing
    ├── RetryLater       raised by a handler: run it again after a delay
    ├── GiveUp           raised by a handler: no further attempt will help
    ├── NotDelivered     raised by a sink: its target did not accept the decision this time
    ├── HandlerTimedOut  an attempt took longer than its route allows  [handlers.effects]
    ├── ThreadOverdue    a drain ends before the thread of a handler  [handlers.threads]
    ├── Overloaded       more is waiting than may be held in memory  [inbox.group_commit]
    ├── Closed           the process is shutting down and accepts no more  [inbox.group_commit]
    ├── LeaseLost        another reconcile run took over  [inbox.tracker.reconcile_lease]
    ├── ClockStandsStill  the first use of an API key cannot be recorded yet  [inbox.tracker.api_keys]
    ├── QueueFull        too many questions wait for calls to HITL.sh  [inbox.questions.question_store]
    ├── QuestionUnreadable  this version cannot read a question's record  [inbox.questions.question_store]
    ├── CursorInvalid    the cursor of a page is malformed  [inbox.queries.pagination]
    ├── ChangeRefused    nothing of the selection may run again  [inbox.operations.failures]
    ├── Stopped          a reconcile run makes no more calls for now  [reconcile.api_calls]
    ├── RequestWithheld  HITL.sh fails to show this one request  [reconcile.api_calls]
    ├── JobRefused       a job in Redis is not ours (also RQ's NoSuchJobError)  [queue]
    └── NotOurWorker     a plain `rq worker` runs a job of ours  [jobs]

In brackets: the module below ``workers`` that defines it, where that is not this one.
"""

import math
from datetime import timedelta
from typing import Any


class WorkersError(Exception):
    """The root of every error that `workers` raises."""


class RouteInvalid(WorkersError):
    """A handler or sink was declared in a way that cannot work; the message says what to write instead."""


class HandlersInvalid(WorkersError):
    """The named module holds no router that could be used; the message says what was looked for."""


class CannotAsk(WorkersError):
    """A setting that asking people needs is missing; the message names it."""


class RetryLater(WorkersError):
    """Raise it in a handler to be run again after `delay`: seconds, or a timedelta.

    It may be raised any number of times and records no error; with `counts`, it is one of the route's failed attempts.
    """

    def __init__(self, delay: float | timedelta, reason: str = "", *, counts: bool = False) -> None:
        #: Seconds.
        self.delay = _seconds(delay)
        self.reason = reason
        self.counts = counts
        super().__init__(delay, reason)

    def __str__(self) -> str:
        return f"again in {self.delay:g} s" + (f": {self.reason}" if self.reason else "")


class GiveUp(WorkersError):
    """Raise it in a handler to end its attempts at once; the effect is kept as failed, with the reason."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(reason)


class NotDelivered(WorkersError):
    """A sink's target could not be reached or failed for a time: a failed attempt like any other."""


def _seconds(delay: Any) -> float:
    seconds = delay.total_seconds() if isinstance(delay, timedelta) else delay
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 <= seconds < math.inf:
        raise ValueError(f"RetryLater({delay!r}): give the delay in seconds (0 or more) or as a timedelta")
    return float(seconds)
