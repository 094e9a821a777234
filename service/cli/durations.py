"""Times, durations and counts as text."""

from datetime import UTC, datetime

from workers.telemetry.quantities import counted, duration, since

__all__ = ["at", "counted", "duration", "iso", "since", "until"]


def until(moment: float | None, now: float) -> str:
    """How far away a moment is: ``-`` for None, ``now`` if it has passed."""
    if moment is None:
        return "-"
    return f"in {duration(moment - now)}" if moment > now else "now"


def iso(moment: float | None) -> str | None:
    """A time for JSON output."""
    return None if moment is None else at(moment).isoformat()


def at(moment: float) -> datetime:
    return datetime.fromtimestamp(moment, UTC)
