"""Times, durations and counts as text."""

from datetime import UTC, datetime

_MINUTE, _HOUR, _DAY = 60.0, 3600.0, 86_400.0


def duration(seconds: float) -> str:
    """About two digits: ``42 s``, ``17 min``, ``6.2 h``, ``3 d``."""
    if seconds < 2 * _MINUTE:
        return f"{seconds:.0f} s"
    if seconds < 2 * _HOUR:
        return f"{seconds / _MINUTE:.0f} min"
    if seconds < 2 * _DAY:
        return f"{_tenths(seconds / _HOUR)} h"
    return f"{_tenths(seconds / _DAY)} d"


def since(moment: float, now: float) -> str:
    """How long ago a moment was; never negative, since clocks differ by a little."""
    return f"{duration(max(0.0, now - moment))} ago"


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


def counted(count: int, singular: str, plural: str | None = None) -> str:
    """``1 call``, ``2,000 calls``."""
    return f"{count:,} {singular if count == 1 else plural or singular + 's'}"


def _tenths(number: float) -> str:
    return f"{number:.1f}".removesuffix(".0")


def elapsed(seconds: float) -> str:
    """How long something took: ``0.4 ms``, ``12 ms``, ``3.1 s``, ``17 min``."""
    if seconds < 0.001:
        return f"{seconds * 1000:.1f} ms"
    if seconds < 1.0:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 10.0:
        return f"{seconds:.1f} s"
    return duration(seconds)
