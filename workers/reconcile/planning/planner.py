"""Which calls to make now, as few as will do, and why. Values in, values out.

Of the open requests, those that are due are searched for in the cheapest of these ways:

* ``page``: unfiltered pages, newest first, at the offsets where the due requests are known to be;
* ``open``: the open listings first; what is absent there may have ended and is then read by itself;
* ``single``: one call for each, where they lie far apart;
* ``nothing``.
"""

from collections.abc import Mapping, Sequence
from math import prod
from operator import itemgetter
from typing import Literal

import msgspec

from workers.inbox.values import OpenRequest, WebhookHealth
from workers.reconcile.planning.check_interval import CheckIntervals, chance, urgent
from workers.reconcile.planning.page_cover import Window, cover
from workers.reconcile.planning.progress import Checkpoint

#: Decisions to be expected for each call; with fewer, what is due may wait for more requests to become due.
WORTH = 1.5
#: After this share of the shortest interval more may be due: plan again then.
PLAN_AGAIN_AFTER = 0.25

Kind = Literal["nothing", "page", "open", "single"]


class Situation(msgspec.Struct, frozen=True, kw_only=True):
    """All that a plan depends on."""

    now: float
    #: The open requests.
    requests: tuple[OpenRequest, ...]
    #: Those of them that are worth a call now, most overdue first; computed where not given.
    due: tuple[OpenRequest, ...] | None = None
    webhook_health: WebhookHealth
    intervals: CheckIntervals
    #: Calls that a reconcile run may make now, and those it may make for what is overdue.
    calls: int
    borrowed: int = 0
    page_size: int = 100
    overlap: int = 5
    #: The listings that show open requests: add ``claimed`` where HITL.sh has been seen to use it.
    open_statuses: tuple[str, ...] = ("pending",)
    #: Of a reconcile run that was cut short.
    checkpoint: Checkpoint | None = None
    #: A person wants every open request checked now, whether or not it is worth a call.
    checks_all: bool = False


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """Which requests to search for, how, and at which expected cost in calls."""

    kind: Kind
    #: A sentence for people.
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
    #: Of ``nothing``: when to plan again, unless something becomes due before; None when only calls are missing.
    retry_at: float | None = None


def plan(situation: Situation) -> Plan:
    """The cheapest way to find out which of the due requests have ended."""
    if situation.calls < 1:
        return _borrowed(situation)
    due = _due(situation)
    return _cheapest(situation, due, situation.calls) if due else _idle(situation)


def _borrowed(situation: Situation) -> Plan:
    """Without calls of its own, a reconcile run searches only for requests that have very likely ended."""
    if situation.borrowed < 1:
        return Plan(kind="nothing", reason="the budget has no call for reconcile runs now")
    may_borrow = tuple(request for request in _due(situation) if urgent(request, situation.now))
    if not may_borrow:
        return Plan(kind="nothing", reason="the budget has no call for routine checks now, and nothing is overdue")
    return _cheapest(situation, may_borrow, situation.borrowed)


def _due(situation: Situation) -> tuple[OpenRequest, ...]:
    return tuple(due_requests(situation)) if situation.due is None else situation.due


def due_requests(situation: Situation) -> list[OpenRequest]:
    """What is worth a call now, most overdue first."""
    intervals, now = situation.intervals, situation.now
    due = [
        (moment, request.id, request)
        for request in situation.requests
        if (moment := intervals.due_at(request)) <= now or situation.checks_all
    ]
    due.sort(key=itemgetter(0, 1))
    return [request for _, _, request in due]


class _Method(msgspec.Struct, frozen=True, kw_only=True):
    """One way to search for some of the due requests."""

    targets: tuple[OpenRequest, ...]
    cost: int
    #: Decisions that it will probably find.
    expected: float

    def finds(self) -> float:
        return self.expected / self.cost if self.cost else 0.0


def _cheapest(situation: Situation, due: tuple[OpenRequest, ...], calls: int) -> Plan:
    chances = {request.id: chance(request, situation.webhook_health, situation.now) for request in due}
    windows = cover(((request.newer, request.id) for request in due), _span(situation))
    pages = _by_pages(situation, due, windows, chances)
    listed, confirmations = _open_first(situation, due, windows, chances)
    through_open = _Method(targets=due, cost=listed + confirmations, expected=sum(chances.values()))
    resuming = situation.checkpoint is not None and not situation.checkpoint.done
    walked = situation.checkpoint is not None and situation.checkpoint.done
    if resuming or (not walked and _better(through_open, pages)):
        how = f"{listed} open page{_s(listed)} and about {confirmations} call{_s(confirmations)} for what has left them"
        how += ", continued" if resuming else f", instead of {len(windows)} for the pages that hold them"
        return _planned(situation, through_open, calls, "open", how)
    if not pages.targets:
        return _waiting(situation, due)
    together = len(pages.targets) > pages.cost
    how = f"{pages.cost} {'newest-first page' if together else 'single call'}{_s(pages.cost)}"
    how += f", instead of {through_open.cost} through the open list"
    return _planned(situation, pages, calls, "page" if together else "single", how)


def _better(through_open: _Method, pages: _Method) -> bool:
    if 0 < pages.cost <= through_open.cost and len(pages.targets) == len(through_open.targets):
        return False
    return through_open.cost < pages.cost or through_open.finds() >= max(WORTH, pages.finds())


def _by_pages(
    situation: Situation, due: Sequence[OpenRequest], windows: Sequence[Window], chances: Mapping[str, float]
) -> _Method:
    """The pages worth a call: they show enough requests, or one that has waited long enough."""
    by_id = {request.id: request for request in due}
    absent = situation.checkpoint.absent if situation.checkpoint is not None else {}

    def may_borrow(name: str) -> bool:
        return (
            name in absent
            or urgent(by_id[name], situation.now)
            or situation.intervals.late_at(by_id[name]) <= situation.now
        )

    good = [
        window
        for window in windows
        if situation.checks_all
        or sum(chances[name] for name in window.ids) >= WORTH
        or any(may_borrow(name) for name in window.ids)
    ]
    wanted = {name for window in good for name in window.ids}
    return _Method(
        targets=tuple(request for request in due if request.id in wanted),
        cost=len(good),
        expected=sum(chances[name] for name in wanted),
    )


def _planned(situation: Situation, way: _Method, calls: int, kind: Kind, how: str) -> Plan:
    may_borrow = sum(urgent(request, situation.now) for request in way.targets)
    due = "checked at once" if situation.checks_all else "due"
    reason = f"{len(way.targets)} {due} ({may_borrow} past due or refused) of {len(situation.requests)} open: {how}"
    through_open = kind == "open"
    return Plan(
        kind=kind,
        reason=reason if way.cost <= calls else f"{reason}; the budget has {calls} now, the rest follows",
        cost=way.cost,
        calls=calls,
        targets=way.targets,
        page_size=situation.page_size,
        overlap=situation.overlap,
        open_statuses=situation.open_statuses if through_open else (),
        checkpoint=situation.checkpoint,
    )


def _open_first(
    situation: Situation, due: Sequence[OpenRequest], windows: Sequence[Window], chances: Mapping[str, float]
) -> tuple[int, int]:
    """Pages of the open listings down to the oldest due request, and the calls that confirm which have ended."""
    oldest = min(request.created_at for request in due)
    reached = len([request for request in situation.requests if request.created_at >= oldest])
    pages = max(1, -(-reached // _span(situation))) + len(situation.open_statuses) - 1
    return pages, max(0, round(sum(_some_ended(window, chances) for window in windows)))


def _some_ended(window: Window, chances: Mapping[str, float]) -> float:
    return 1.0 - prod(1.0 - chances[name] for name in window.ids)


def _waiting(situation: Situation, due: Sequence[OpenRequest]) -> Plan:
    latest = min(situation.intervals.late_at(request) for request in due)
    wait = f"{latest - situation.now:.0f} s at most"
    return Plan(
        kind="nothing",
        reason=f"{len(due)} due, but a call would bring little: they wait until more is due, {wait}",
        retry_at=min(latest, situation.now + PLAN_AGAIN_AFTER * situation.intervals.shortest),
    )


def _s(count: int) -> str:
    return "" if count == 1 else "s"


def _span(situation: Situation) -> int:
    return max(1, situation.page_size - situation.overlap)


def _idle(situation: Situation) -> Plan:
    if not situation.requests:
        return Plan(kind="nothing", reason="nothing is open")
    soonest = min(situation.intervals.due_at(request) for request in situation.requests)
    wait = f"{soonest - situation.now:.0f} s"
    reason = f"none of {len(situation.requests)} open requests is worth a call for another {wait}"
    return Plan(kind="nothing", reason=reason, retry_at=soonest)
