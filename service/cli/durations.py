"""Times and amounts as people say them."""

from datetime import UTC, datetime

_MINUTE, _HOUR, _DAY = 60.0, 3600.0, 86_400.0


def duration(seconds: float) -> str:
    """To two figures or so: ``42 s``, ``17 min``, ``6.2 h``, ``3 d``."""
    if seconds < 2 * _MINUTE:
        return f"{seconds:.0f} s"
    if seconds < 2 * _HOUR:
        return f"{seconds / _MINUTE:.0f} min"
    if seconds < 2 * _DAY:
        return f"{_tenths(seconds / _HOUR)} h"
    return f"{_tenths(seconds / _DAY)} d"


def since(moment: float, now: float) -> str:
    """Of a moment that has passed; clocks differ by a little."""
    return f"{duration(max(0.0, now - moment))} ago"


def until(moment: float | None, now: float) -> str:
    """Of a moment to come; None is never, and the past is now."""
    if moment is None:
        return "-"
    return f"in {duration(moment - now)}" if moment > now else "now"


def iso(moment: float | None) -> str | None:
    """Output JSON."""
    return None if moment is None else datetime.fromtimestamp(moment, UTC).isoformat()


def at(moment: float) -> datetime:
    return datetime.fromtimestamp(moment, UTC)


def _tenths(number: float) -> str:
    return f"{number:.1f}".removesuffix(".0")


def counted(count: int, what: str) -> str:
    """``1 call``, ``2,000 calls``."""
    return f"{count:,} {what}{'' if count == 1 else 's'}"
