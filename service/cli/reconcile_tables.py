"""A reconcile run for a terminal or a program: how one went, and what the next would do."""

from typing import Any

import msgspec

from service.cli.columns import Line
from service.cli.durations import at, duration, iso, since, until
from service.escaping import one_line
from workers.reconcile.snapshot import Snapshot
from workers.reconcile.state import ReconcileReport, ReconcileState
from workers.reconcile.status import Calls
from workers.settings import Settings


def account_lines(report: ReconcileReport, next_check: float | None, now: float) -> list[Line]:
    """What one reconcile run did."""
    lines = [
        Line("calls", report.calls, f"{report.cost} expected" if report.cost else ""),
        Line("found", report.found, "decisions that nobody had told us of"),
        Line("discovered", report.discovered, "requests that nobody had told us of"),
        Line("confirmed", report.confirmed, "events that HITL.sh says are true"),
        Line("overruled", report.overruled, "outcomes of which HITL.sh says otherwise"),
        Line("lost", report.lost, "requests that HITL.sh does not know any more"),
        Line("why", None, one_line(report.reason)),
    ]
    if report.trouble is not None:
        lines.append(Line("trouble", None, trouble_of(report)))
    return [*lines, Line("next look", None, until(next_check, now))]


def trouble_of(report: ReconcileReport) -> str:
    return f"{report.trouble}: {one_line(report.error)}"


def account_fields(report: ReconcileReport) -> dict[str, Any]:
    fields = msgspec.structs.asdict(report)
    return {**fields, "began": iso(report.began), "ended": iso(report.ended or None)}


def outlook_lines(outlook: Snapshot, calls: Calls, settings: Settings) -> list[Line]:
    """What a reconcile run would do now, and what there is to do it with."""
    open_count, awaiting = _known(outlook)
    lines = [
        Line("plan", None, plan_words(outlook, settings)),
        Line("calls", first_calls(outlook, settings), _cost_words(outlook, settings)),
        Line("routine", calls.routine, f"calls that a reconcile run may make now {hour_words(calls)}"),
        Line("borrowed", calls.overdue, "for what is overdue or awaits confirmation"),
        Line("open requests", open_count, "known"),
        Line("awaits confirmation", awaiting, "requests that have ended, as we were told"),
        Line("promise", None, promise_words(outlook.guaranteed_interval.seconds)),
    ]
    if outlook.guaranteed_interval.warning is not None:
        lines.append(Line("warning", None, outlook.guaranteed_interval.warning))
    return [*lines, Line("discovery", None, _discovery_words(outlook, settings))]


def outlook_fields(outlook: Snapshot, calls: Calls, settings: Settings) -> dict[str, Any]:
    open_count, awaiting = _known(outlook)
    return {
        "plan": {
            "kind": "first_look" if is_first_run(outlook, settings) else outlook.plan.kind,
            "reason": plan_words(outlook, settings),
            "calls": first_calls(outlook, settings),
            "by_themselves": _by_themselves(outlook),
            "again_at": iso(outlook.plan.retry_at),
        },
        "budget": calls_fields(calls),
        "open": open_count,
        "awaiting_proof": awaiting,
        "promise": msgspec.to_builtins(outlook.guaranteed_interval),
        "discovery": {"on": settings.discover, "next_at": iso(_next_discovery(outlook, settings))},
    }


def calls_fields(calls: Calls) -> dict[str, Any]:
    return {**msgspec.to_builtins(calls), "resets_at": iso(calls.resets_at)}


def promise_words(seconds: float) -> str:
    return f"every open request is checked within {duration(seconds)}"


def hour_words(calls: Calls) -> str:
    """When the hour of these calls ends, and who says so."""
    if calls.resets_at is None:
        return f"of {calls.limit} an hour; none has been made lately"
    by = "as HITL.sh says" if calls.told else "by our own count: HITL.sh has not said"
    return f"of {calls.limit} an hour, until {at(calls.resets_at):%H:%M:%S}Z ({by})"


def is_first_run(outlook: Snapshot, settings: Settings) -> bool:
    """A reconcile run looks first at what there is: what stands where in HITL.sh's list is not known before."""
    return settings.discover and _is_first(outlook.state)


def first_calls(outlook: Snapshot, settings: Settings) -> int:
    """The least that a reconcile run would make of calls, were none to bring more to do."""
    if is_first_run(outlook, settings):
        return _by_themselves(outlook) + 1
    return _by_themselves(outlook) + outlook.plan.cost + _discovers_now(outlook, settings)


def plan_words(outlook: Snapshot, settings: Settings) -> str:
    if is_first_run(outlook, settings):
        back = duration(settings.lookback)
        return f"a first look at what there is: every open request, and whatever has ended in the last {back}"
    plan = outlook.plan
    return plan.reason if plan.kind == "nothing" else f"{plan.kind}: {plan.reason}"


def _by_themselves(outlook: Snapshot) -> int:
    """Requests that are asked for one by one, as far as the calls suffice."""
    return len(outlook.needs_full_fetch) + min(len(outlook.unverified), outlook.calls_for_unverified)


def _cost_words(outlook: Snapshot, settings: Settings) -> str:
    if is_first_run(outlook, settings):
        return "at least; as many as there are pages"
    parts = (
        (outlook.plan.cost, "by the plan"),
        (_by_themselves(outlook), "for requests that are asked for by themselves"),
        (_discovers_now(outlook, settings), "at least for discovery"),
    )
    return ", ".join(f"{count} {what}" for count, what in parts if count) or "none is worth while"


def _discovery_words(outlook: Snapshot, settings: Settings) -> str:
    if not settings.discover:
        return "off (HITL_DISCOVER=0)"
    horizon = outlook.state.horizon
    looked = horizon.discovered_at if horizon is not None else None
    words = f"next look {until(_next_discovery(outlook, settings), outlook.now)}"
    return words if looked is None else f"{words}, the last was {since(looked, outlook.now)}"


def _next_discovery(outlook: Snapshot, settings: Settings) -> float | None:
    if not settings.discover:
        return None
    horizon = outlook.state.horizon
    interval = min(outlook.intervals.shortest, outlook.intervals.bound)
    due = 0.0 if horizon is None else horizon.due_at(interval)
    return max(outlook.now, due)


def _discovers_now(outlook: Snapshot, settings: Settings) -> int:
    due = _next_discovery(outlook, settings)
    return int(due is not None and due <= outlook.now)


def _is_first(state: ReconcileState) -> bool:
    return state.horizon is None or state.first is not None


def _known(outlook: Snapshot) -> tuple[int, int]:
    """Open requests, and those that have ended and await confirmation."""
    awaiting = sum(request.awaits_confirmation for request in outlook.tracked.values())
    return len(outlook.tracked) - awaiting, awaiting
