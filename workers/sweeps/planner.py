"""Which calls to make now, as few as will do, and why. Values in, values out.

The ledger gives its open requests; what is due among them is looked for in the cheapest of these ways:

* ``page``: unfiltered pages, newest first, at the offsets where the due requests are known to be;
* ``open``: the open listings first; what is absent there has perhaps ended and is then asked for;
* ``single``: one call for each, where they lie far apart;
* ``nothing``.
"""

from collections.abc import Mapping, Sequence
from typing import Literal

import msgspec

from workers.sweeps.cover import Window, cover
from workers.sweeps.pace import Pace, urgent
from workers.sweeps.progress import Channel, Checkpoint, OpenRequest

Kind = Literal["nothing", "page", "open", "single"]


class Situation(msgspec.Struct, frozen=True, kw_only=True):
    """All that a plan depends on."""

    now: float
    known: tuple[OpenRequest, ...]
    channel: Channel
    pace: Pace
    #: Calls that a sweep may make now, and those it may make for what is overdue.
    calls: int
    borrowed: int = 0
    page_size: int = 100
    overlap: int = 5
    #: The listings that show open requests: add ``claimed`` where HITL.sh has been seen to use it.
    open_statuses: tuple[str, ...] = ("pending",)
    #: Of a sweep that was cut short.
    checkpoint: Checkpoint | None = None


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What to look for, how, at which expected cost in calls."""

    kind: Kind
    #: A sentence for people.
    reason: str
    cost: int = 0
    #: How many calls the sweep may make.
    calls: int = 0
    #: Most urgent first.
    targets: tuple[OpenRequest, ...] = ()
    page_size: int = 100
    overlap: int = 5
    open_statuses: tuple[str, ...] = ()
    checkpoint: Checkpoint | None = None


def plan(situation: Situation) -> Plan:
    """The cheapest way to learn what became of everything that is due."""
    due = due_requests(situation)
    if not due:
        return Plan(kind="nothing", reason=_idle(situation))
    pressing = [request for request in due if urgent(request, situation.now)]
    calls = situation.calls
    if calls < 1:
        due, calls = pressing, situation.borrowed
    if not due or calls < 1:
        return Plan(kind="nothing", reason="requests are due, but the budget has no call for them now")
    return _cheapest(situation, tuple(due), len(pressing), calls)


def due_requests(situation: Situation) -> list[OpenRequest]:
    """What is worth a call now, most overdue first."""
    moments = ((situation.pace.due_at(request), request.id, request) for request in situation.known)
    return [request for moment, _, request in sorted(moments, key=lambda found: found[:2]) if moment <= situation.now]


def _cheapest(situation: Situation, due: tuple[OpenRequest, ...], pressing: int, calls: int) -> Plan:
    windows = cover(((request.newer, request.id) for request in due), _span(situation))
    listed, proofs = _open_first(situation, due, windows)
    resuming = situation.checkpoint is not None and not situation.checkpoint.done
    counted = f"{len(due)} due ({pressing} past due or refused) of {len(situation.known)} open"
    through_open = resuming or listed + proofs < len(windows)
    if through_open:
        kind: Kind = "open"
        cost = listed + proofs
        reason = f"{counted}: {listed} open pages and about {proofs} calls for what has left them"
        reason += ", continued" if resuming else f", instead of {len(windows)} pages"
    else:
        kind = "page" if any(len(window.ids) > 1 for window in windows) else "single"
        cost = len(windows)
        way = "newest-first page" if kind == "page" else "single call"
        reason = f"{counted}: {cost} {way}{'s' if cost > 1 else ''}, instead of {listed + proofs} through the open list"
    return Plan(
        kind=kind,
        reason=reason if cost <= calls else f"{reason}; the budget has {calls} now, the rest follows",
        cost=cost,
        calls=calls,
        targets=due,
        page_size=situation.page_size,
        overlap=situation.overlap,
        open_statuses=situation.open_statuses if through_open else (),
        checkpoint=situation.checkpoint if through_open else None,
    )


def _open_first(situation: Situation, due: Sequence[OpenRequest], windows: Sequence[Window]) -> tuple[int, int]:
    """Pages of the open listings down to the oldest that is due, and the calls that prove who has ended."""
    oldest = min(request.created_at for request in due)
    reached = sum(request.created_at >= oldest for request in situation.known)
    pages = max(1, -(-reached // _span(situation))) + len(situation.open_statuses) - 1
    chances = {request.id: 1.0 if urgent(request, situation.now) else situation.channel.found_share for request in due}
    return pages, max(0, round(sum(_some_ended(window, chances) for window in windows)))


def _some_ended(window: Window, chances: Mapping[str, float]) -> float:
    none = 1.0
    for name in window.ids:
        none *= 1.0 - chances[name]
    return 1.0 - none


def _span(situation: Situation) -> int:
    return max(1, situation.page_size - situation.overlap)


def _idle(situation: Situation) -> str:
    if not situation.known:
        return "nothing is open"
    soonest = min(situation.pace.due_at(request) for request in situation.known)
    return f"none of {len(situation.known)} open requests is worth a call for another {soonest - situation.now:.0f} s"
