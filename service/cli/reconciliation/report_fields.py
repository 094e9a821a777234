"""Parts of reconcile output that `status` and `reconcile` share."""

from typing import Any

import msgspec

from service.cli.durations import at, duration, iso
from workers.reconcile.state import ReconcileReport
from workers.reconcile.status import CallBudgetStatus
from workers.telemetry.escaping import one_line


def report_fields(report: ReconcileReport) -> dict[str, Any]:
    """The report of a reconcile run as JSON."""
    fields = msgspec.structs.asdict(report)
    return {**fields, "began": iso(report.began), "ended": iso(report.ended or None)}


def error_text(report: ReconcileReport) -> str:
    """Why a reconcile run ended early."""
    return f"{report.trouble}: {one_line(report.error)}"


def calls_fields(calls: CallBudgetStatus) -> dict[str, Any]:
    """The call budget as JSON."""
    return {**msgspec.to_builtins(calls), "resets_at": iso(calls.resets_at)}


def limit_text(calls: CallBudgetStatus) -> str:
    """The limit, when its hour ends, and how that is known."""
    if calls.resets_at is None:
        return f"of {calls.limit} an hour; no call in the last hour"
    source = "reported by HITL.sh" if calls.is_reported else "counted here; not yet reported by HITL.sh"
    return f"of {calls.limit} an hour, until {at(calls.resets_at):%H:%M:%S}Z ({source})"


def check_interval_text(seconds: float) -> str:
    return f"every open request is checked at least every {duration(seconds)}"
