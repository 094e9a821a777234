"""The report of a reconcile run, and the state that it leaves to the next run."""

from collections.abc import Sequence
from typing import Literal

import msgspec

from workers.inbox.tracker.reconcile_state import ReconcileRecord
from workers.reconcile.planning.discovery import Horizon
from workers.reconcile.planning.progress import Checkpoint

Trouble = Literal["unreachable", "refused", "rate_limited", "key_refused", "budget", "unexpected"]


class ReconcileReport(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The result of one reconcile run. Times are seconds since 1970."""

    began: float
    ended: float = 0.0
    #: Why the run made these calls.
    reason: str = ""
    #: Number of calls that the plan expected, and of calls made.
    cost: int = 0
    calls: int = 0
    #: Decisions that no webhook had delivered.
    found: int = 0
    #: Requests that were not tracked before.
    discovered: int = 0
    #: Events that HITL.sh confirmed, and events that it overruled.
    confirmed: int = 0
    overruled: int = 0
    lost: int = 0
    #: Why the run ended early (None if it did not), and the error message.
    trouble: Trouble | None = None
    error: str = ""


class ReconcileState(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a run leaves to the next one; saved after every page."""

    horizon: Horizon | None = None
    checkpoint: Checkpoint | None = None
    #: Progress of reading all open requests once, at the first start; None when that is done.
    first: Checkpoint | None = None
    #: HITL.sh has shown open requests with the status `claimed`: they have a list of their own.
    claimed: bool = False
    #: When the names of the loops were last read; 0.0 for never.
    loops_read_at: float = 0.0
    #: Consecutive runs that ended early.
    failures: int = 0
    #: Since when requests are past due and no webhook has arrived; None for no alarm.
    silent_since: float | None = None
    report: ReconcileReport | None = None
    #: Seconds within which every open request is checked, and a warning if that is too long.
    guaranteed_interval: float | None = None
    warning: str | None = None


def merge_reports(reports: Sequence[ReconcileReport]) -> ReconcileReport:
    """Merge the reports of runs with several API keys into one."""
    merged, *further = reports
    for report in further:
        counts = {name: getattr(merged, name) + getattr(report, name) for name in _COUNTS}
        trouble = {} if merged.trouble is not None else {"trouble": report.trouble, "error": report.error}
        reason = f"{merged.reason}; with another key: {report.reason}"
        merged = msgspec.structs.replace(merged, ended=report.ended, reason=reason, **counts, **trouble)
    return merged


_COUNTS = ("cost", "calls", "found", "discovered", "confirmed", "overruled", "lost")

encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(ReconcileState).decode


def of(record: ReconcileRecord) -> ReconcileState:
    """The state that the latest run left; an empty state before the first run."""
    return ReconcileState() if record.state is None else _decode(record.state)
