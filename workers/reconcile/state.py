"""The report of a reconcile run, and the state that it leaves to the next run."""

from collections.abc import Sequence
from typing import Literal

import msgspec

from workers.inbox.tracker.reconcile_state import ReconcileRecord
from workers.reconcile.planning.discovery import Horizon
from workers.reconcile.planning.progress import Checkpoint

Trouble = Literal["unreachable", "refused", "rate_limited", "key_refused", "budget", "unexpected"]


class ReconcileReport(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How one reconcile run went. Times are seconds since 1970."""

    began: float
    ended: float = 0.0
    #: Why these calls and no others.
    reason: str = ""
    #: What they were expected to be, and what they were.
    cost: int = 0
    calls: int = 0
    #: Decisions that no webhook had delivered.
    found: int = 0
    #: Requests that nobody had announced.
    discovered: int = 0
    #: Events that HITL.sh confirmed, and those that it overruled.
    confirmed: int = 0
    overruled: int = 0
    lost: int = 0
    #: Why it ended early, if it did, and the message of the error.
    trouble: Trouble | None = None
    error: str = ""


class ReconcileState(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Kept after every page."""

    horizon: Horizon | None = None
    checkpoint: Checkpoint | None = None
    #: At the first start all open requests are read once: how far that has come. None when it is done.
    first: Checkpoint | None = None
    #: HITL.sh has shown open requests with the status `claimed`: they have a list of their own.
    claimed: bool = False
    #: When the names of the loops were last read; 0.0 for never.
    loops_read_at: float = 0.0
    #: Reconcile runs in a row that ended in trouble.
    failures: int = 0
    #: Since when requests are past due and no webhook has come.
    silent_since: float | None = None
    report: ReconcileReport | None = None
    #: Seconds within which every open request is checked, and a warning where that is too long.
    guaranteed_interval: float | None = None
    warning: str | None = None


def merge_reports(reports: Sequence[ReconcileReport]) -> ReconcileReport:
    """One report of the runs with several API keys, made one after another."""
    first, *others = reports
    for other in others:
        counts = {name: getattr(first, name) + getattr(other, name) for name in _COUNTS}
        trouble = {} if first.trouble is not None else {"trouble": other.trouble, "error": other.error}
        reason = f"{first.reason}; with another key: {other.reason}"
        first = msgspec.structs.replace(first, ended=other.ended, reason=reason, **counts, **trouble)
    return first


_COUNTS = ("cost", "calls", "found", "discovered", "confirmed", "overruled", "lost")

encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(ReconcileState).decode


def of(record: ReconcileRecord) -> ReconcileState:
    """What the latest run left to the next; of the first run, an empty one."""
    return ReconcileState() if record.state is None else _decode(record.state)
