"""How reconciliation stands, for a terminal or a program."""

from typing import Any

import msgspec

from service.cli.columns import Line
from service.cli.durations import counted, duration, iso, since, until
from service.cli.reconcile_tables import account_fields, calls_fields, hour_words, promise_words, trouble_of
from service.escaping import one_line
from workers.inbox.tracker.reconcile_lease import ActiveRun
from workers.reconcile.state import ReconcileReport
from workers.reconcile.status import ReconcileStatus

_OFF = "HITL_API_KEY is not set: HITL.sh is asked for nothing, and what the webhooks miss stays missed"
_NO_KEY_HERE = "not known here: HITL_API_KEY is not set"


def standing_lines(found: ReconcileStatus) -> list[Line]:
    """Figures first, then words."""
    counts = found.counts
    oldest = f"the oldest was asked {since(counts.oldest_at, counts.now)}" if counts.oldest_at is not None else ""
    return [
        Line("open requests", counts.open, oldest),
        *_unreachable_lines(found),
        Line("lost", counts.lost, "requests that HITL.sh does not know any more" if counts.lost else ""),
        Line("unconfirmed", counts.unconfirmed, _unconfirmed_words(found)),
        Line("overruled", counts.overruled, _overruled_words(found)),
        *_call_lines(found),
        *_webhook_lines(found),
        *_reconcile_lines(found),
    ]


def standing_fields(found: ReconcileStatus) -> dict[str, Any]:
    counts, state, webhooks = found.counts, found.state, found.webhooks
    return {
        "configured": found.calls is not None,
        "open": counts.open,
        "oldest": counts.oldest,
        "oldest_at": iso(counts.oldest_at),
        "unreachable": counts.unreachable,
        "awaiting_proof": counts.awaiting_confirmation,
        "unconfirmed": counts.unconfirmed,
        "lost": counts.lost,
        "overruled": counts.overruled,
        "overruled_24h": counts.recently_overruled,
        "next_look_at": iso(counts.next_check),
        "under_way": found.active_run is not None and not found.active_run.held_off,
        "last_run": None if state.report is None else account_fields(state.report),
        "failures": state.failures,
        "promise": {"seconds": state.guaranteed_interval, "warning": state.warning},
        "calls": None if found.calls is None else calls_fields(found.calls),
        "limited": found.limited,
        "limited_at": iso(found.limited_at),
        "webhooks_24h": {name: count for name, count in msgspec.to_builtins(webhooks).items() if name != "begins_at"},
        "silent_since": iso(state.silent_since),
    }


def _unreachable_lines(found: ReconcileStatus) -> list[Line]:
    if not found.counts.unreachable:
        return []
    words = "requests of an API key that is not polled: list that key in HITL_API_KEYS until they have ended"
    return [Line("unreachable", found.counts.unreachable, words)]


def _unconfirmed_words(found: ReconcileStatus) -> str:
    if not found.counts.unconfirmed:
        return ""
    requests = counted(found.counts.awaiting_confirmation, "request")
    return f"effects wait until HITL.sh confirms how {requests} ended"


def _overruled_words(found: ReconcileStatus) -> str:
    counts = found.counts
    if not counts.overruled:
        return ""
    return f"outcomes of which stronger evidence says otherwise, {counts.recently_overruled:,} of them in the last 24 h"


def _call_lines(found: ReconcileStatus) -> list[Line]:
    if found.calls is None:
        return []
    spent = f"{found.calls.asked} asked, {found.calls.reconciled} reconciled"
    if found.calls.unverified:
        spent += f" ({found.calls.unverified} for what could not be verified)"
    if found.calls.surprises:
        spent += f", {found.calls.surprises} times fewer were left than we thought"
    return [Line("calls left", found.calls.asking, f"{hour_words(found.calls)}; {spent}")]


def _webhook_lines(found: ReconcileStatus) -> list[Line]:
    hours = found.webhooks
    late = f"; of {hours.overtaken:,} the webhook came all the same, later" if hours.overtaken else ""
    return [
        Line("by webhook", hours.webhook, "decisions of the last 24 h"),
        Line(
            "by reconcile run",
            hours.reconcile,
            f"decisions that no webhook had told of{late}" if hours.reconcile else "",
        ),
    ]


def _reconcile_lines(found: ReconcileStatus) -> list[Line]:
    if found.calls is None and not found.ever:
        return [Line("reconcile runs", None, _OFF)]
    lines = [] if found.calls is not None else [Line("calls left", None, _NO_KEY_HERE)]
    lines.append(Line("last reconcile run", None, _last_words(found.state.report, found.counts.now)))
    lines.append(Line("next look", None, _next_words(found)))
    if found.state.guaranteed_interval is not None:
        lines.append(Line("promise", None, promise_words(found.state.guaranteed_interval)))
    if found.state.warning is not None:
        lines.append(Line("warning", None, one_line(found.state.warning)))
    return lines


def _last_words(report: ReconcileReport | None, now: float) -> str:
    if report is None:
        return "none has ended yet"
    words = f"{since(report.ended or report.began, now)}: {counted(report.calls, 'call')}, {report.found} found"
    return words if report.trouble is None else f"{words}; ended early, {trouble_of(report)}"


def _next_words(found: ReconcileStatus) -> str:
    if found.active_run is not None:
        return _under_way_words(found.active_run)
    counts = found.counts
    if found.is_first_run:
        return "a first look at what there is, as soon as `clock` and `work` run"
    if counts.next_check is None:
        return "when there is something to look for"
    waited = counts.now - counts.next_check
    # A clock and a worker take a second or two.
    late = f"; that is due since {duration(waited)}: do `clock` and `work` run?" if waited > 60 else ""
    return f"{until(counts.next_check, counts.now)}{late}"


def _under_way_words(reconcile: ActiveRun) -> str:
    if reconcile.held_off:
        return (
            f"a worker could not reconcile; the next run is {duration(reconcile.seconds)} off: has it HITL_API_KEY? "
            "Its log says what was wrong"
        )
    return "a reconcile run is under way"
