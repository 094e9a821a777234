"""Times, durations and counts as text."""

from datetime import UTC, datetime

from workers.telemetry.quantities import counted, duration, since

__all__ = ["at", "counted", "duration", "elapsed", "iso", "since", "until"]


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


def elapsed(seconds: float) -> str:
    """A duration as text: ``0.4 ms``, ``12 ms``, ``3.1 s``, ``17 min``."""
    if seconds < 0.001:
        return f"{seconds * 1000:.1f} ms"
    if seconds < 1.0:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 10.0:
        return f"{seconds:.1f} s"
    return duration(seconds)
