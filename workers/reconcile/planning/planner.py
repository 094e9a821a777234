"""Plans which calls to make now, as few as possible, and why. Pure.

Due requests are searched for by the cheapest of these methods:

* ``page``: unfiltered pages, newest first, at the offsets where the due requests are known to be;
* ``open``: the open listings first; a request that is absent there may have ended, and is then read by itself;
* ``single``: one call for each, if they are far apart in the list;
* ``nothing``.
"""

from collections.abc import Mapping, Sequence
from math import prod
from operator import itemgetter
from typing import Literal

import msgspec

from workers.inbox.values import OpenRequest, WebhookHealth
from workers.reconcile.planning.check_interval import CheckIntervals, ended_probability, is_urgent
from workers.reconcile.planning.page_cover import Window, cover
from workers.reconcile.planning.progress import Checkpoint

#: Expected decisions per call that make it worthwhile; with fewer, due requests may wait for others.
WORTHWHILE_DECISIONS = 1.5
#: Plan again after this share of the shortest interval, when more requests may be due.
PLAN_AGAIN_AFTER = 0.25

Kind = Literal["nothing", "page", "open", "single"]


class Situation(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that a plan depends on."""

    now: float
    #: The open requests.
    requests: tuple[OpenRequest, ...]
    #: The due ones among them, most overdue first; computed if None.
    due: tuple[OpenRequest, ...] | None = None
    webhook_health: WebhookHealth
    intervals: CheckIntervals
    #: Calls that a reconcile run may make now, and those that it may make for overdue requests.
    calls: int
    borrowed: int = 0
    page_size: int = 100
    overlap: int = 5
    #: Statuses of the listings that show open requests; with ``claimed`` once HITL.sh has been seen to use it.
    open_statuses: tuple[str, ...] = ("pending",)
    #: The checkpoint of a reconcile run that was cut short.
    checkpoint: Checkpoint | None = None
    #: Every open request counts as due, because a person asked for it.
    checks_all: bool = False


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """Which requests to search for, by which method, and the expected cost in calls."""

    kind: Kind
    #: An explanation for operators.
    reason: str
    cost: int = 0
    #: How many calls the reconcile run may make.
    calls: int = 0
    #: Most urgent first.
    targets: tuple[OpenRequest, ...] = ()
    page_size: int = 100
    overlap: int = 5
    open_statuses: tuple[str, ...] = ()
    checkpoint: Checkpoint | None = None
    #: For ``nothing``: when to plan again, unless a request is due earlier; None if only calls are missing.
    retry_at: float | None = None


def plan(situation: Situation) -> Plan:
    """Plan the cheapest calls that show which of the due requests have ended."""
    if situation.calls < 1:
        return _plan_with_borrowed_calls(situation)
    due = _due(situation)
    return _cheapest_plan(situation, due, situation.calls) if due else _idle_plan(situation)


def _plan_with_borrowed_calls(situation: Situation) -> Plan:
    """Plan with borrowed calls, only for requests that have very likely ended."""
    if situation.borrowed < 1:
        return Plan(kind="nothing", reason="the budget has no call for reconcile runs now")
    may_borrow = tuple(request for request in _due(situation) if is_urgent(request, situation.now))
    if not may_borrow:
        return Plan(kind="nothing", reason="the budget has no call for routine checks now, and nothing is overdue")
    return _cheapest_plan(situation, may_borrow, situation.borrowed)


def _due(situation: Situation) -> tuple[OpenRequest, ...]:
    return tuple(due_requests(situation)) if situation.due is None else situation.due


def due_requests(situation: Situation) -> list[OpenRequest]:
    """The requests that are due for a check, most overdue first."""
    intervals, now = situation.intervals, situation.now
    due = [
        (moment, request.id, request)
        for request in situation.requests
        if (moment := intervals.due_at(request)) <= now or situation.checks_all
    ]
    due.sort(key=itemgetter(0, 1))
    return [request for _, _, request in due]


class _Method(msgspec.Struct, frozen=True, kw_only=True):
    """One method to search for some of the due requests."""

    targets: tuple[OpenRequest, ...]
    cost: int
    #: Expected number of decisions found.
    expected: float

    def decisions_per_call(self) -> float:
        """Expected decisions found per call."""
        return self.expected / self.cost if self.cost else 0.0


def _cheapest_plan(situation: Situation, due: tuple[OpenRequest, ...], calls: int) -> Plan:
    chances = {request.id: ended_probability(request, situation.webhook_health, situation.now) for request in due}
    windows = cover(((request.newer, request.id) for request in due), _span(situation))
    pages = _by_pages(situation, due, windows, chances)
    open_pages, confirmations = _open_first_cost(situation, due, windows, chances)
    through_open = _Method(targets=due, cost=open_pages + confirmations, expected=sum(chances.values()))
    is_resuming = situation.checkpoint is not None and not situation.checkpoint.done
    has_read_open_pages = situation.checkpoint is not None and situation.checkpoint.done
    if is_resuming or (not has_read_open_pages and _is_open_first_better(through_open, pages)):
        explanation = (
            f"{open_pages} open page{_plural(open_pages)} and about {confirmations} call{_plural(confirmations)}"
        )
        explanation += " for what has left them"
        explanation += ", continued" if is_resuming else f", instead of {len(windows)} for the pages that hold them"
        return _make_plan(situation, through_open, calls, "open", explanation)
    if not pages.targets:
        return _waiting_plan(situation, due)
    together = len(pages.targets) > pages.cost
    explanation = f"{pages.cost} {'newest-first page' if together else 'single call'}{_plural(pages.cost)}"
    explanation += f", instead of {through_open.cost} through the open list"
    return _make_plan(situation, pages, calls, "page" if together else "single", explanation)


def _is_open_first_better(through_open: _Method, pages: _Method) -> bool:
    if 0 < pages.cost <= through_open.cost and len(pages.targets) == len(through_open.targets):
        return False
    if through_open.cost < pages.cost:
        return True
    return through_open.decisions_per_call() >= max(WORTHWHILE_DECISIONS, pages.decisions_per_call())


def _by_pages(
    situation: Situation, due: Sequence[OpenRequest], windows: Sequence[Window], chances: Mapping[str, float]
) -> _Method:
    """The worthwhile pages: each shows enough requests, or one that has waited long enough."""
    by_id = {request.id: request for request in due}
    absent = situation.checkpoint.absent if situation.checkpoint is not None else {}

    def may_borrow(name: str) -> bool:
        return (
            name in absent
            or is_urgent(by_id[name], situation.now)
            or situation.intervals.late_at(by_id[name]) <= situation.now
        )

    worthwhile = [
        window
        for window in windows
        if situation.checks_all
        or sum(chances[name] for name in window.ids) >= WORTHWHILE_DECISIONS
        or any(may_borrow(name) for name in window.ids)
    ]
    shown_ids = {name for window in worthwhile for name in window.ids}
    return _Method(
        targets=tuple(request for request in due if request.id in shown_ids),
        cost=len(worthwhile),
        expected=sum(chances[name] for name in shown_ids),
    )


def _make_plan(situation: Situation, method: _Method, calls: int, kind: Kind, explanation: str) -> Plan:
    may_borrow = sum(is_urgent(request, situation.now) for request in method.targets)
    due = "checked at once" if situation.checks_all else "due"
    counts = f"{len(method.targets)} {due} ({may_borrow} past due or refused) of {len(situation.requests)} open"
    reason = f"{counts}: {explanation}"
    through_open = kind == "open"
    return Plan(
        kind=kind,
        reason=reason if method.cost <= calls else f"{reason}; the budget has {calls} now, the rest follows",
        cost=method.cost,
        calls=calls,
        targets=method.targets,
        page_size=situation.page_size,
        overlap=situation.overlap,
        open_statuses=situation.open_statuses if through_open else (),
        checkpoint=situation.checkpoint,
    )


def _open_first_cost(
    situation: Situation, due: Sequence[OpenRequest], windows: Sequence[Window], chances: Mapping[str, float]
) -> tuple[int, int]:
    """Pages of the open listings down to the oldest due request, and the calls that confirm which have ended."""
    oldest = min(request.created_at for request in due)
    newer_count = len([request for request in situation.requests if request.created_at >= oldest])
    pages = max(1, -(-newer_count // _span(situation))) + len(situation.open_statuses) - 1
    return pages, max(0, round(sum(_any_ended_probability(window, chances) for window in windows)))


def _any_ended_probability(window: Window, chances: Mapping[str, float]) -> float:
    return 1.0 - prod(1.0 - chances[name] for name in window.ids)


def _waiting_plan(situation: Situation, due: Sequence[OpenRequest]) -> Plan:
    latest = min(situation.intervals.late_at(request) for request in due)
    delay = f"{latest - situation.now:.0f} s at most"
    return Plan(
        kind="nothing",
        reason=f"{len(due)} due, but a call would bring little: they wait until more is due, {delay}",
        retry_at=min(latest, situation.now + PLAN_AGAIN_AFTER * situation.intervals.shortest),
    )


def _plural(count: int) -> str:
    return "" if count == 1 else "s"


def _span(situation: Situation) -> int:
    return max(1, situation.page_size - situation.overlap)


def _idle_plan(situation: Situation) -> Plan:
    if not situation.requests:
        return Plan(kind="nothing", reason="nothing is open")
    soonest = min(situation.intervals.due_at(request) for request in situation.requests)
    delay = f"{soonest - situation.now:.0f} s"
    reason = f"none of {len(situation.requests)} open requests is worth a call for another {delay}"
    return Plan(kind="nothing", reason=reason, retry_at=soonest)
