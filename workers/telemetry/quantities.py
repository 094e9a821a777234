"""Durations and counts as text."""

_MINUTE, _HOUR, _DAY = 60.0, 3600.0, 86_400.0


def duration(seconds: float) -> str:
    """A duration with about two digits: ``42 s``, ``17 min``, ``6.2 h``, ``3 d``."""
    if seconds < 2 * _MINUTE:
        return f"{seconds:.0f} s"
    if seconds < 2 * _HOUR:
        return f"{seconds / _MINUTE:.0f} min"
    if seconds < 2 * _DAY:
        return f"{_tenths(seconds / _HOUR)} h"
    return f"{_tenths(seconds / _DAY)} d"


def since(moment: float, now: float) -> str:
    """How long ago a time was; never negative, because clocks differ slightly."""
    return f"{duration(max(0.0, now - moment))} ago"


def counted(count: int, singular: str, plural: str | None = None) -> str:
    """A count with its noun: ``1 call``, ``2,000 calls``."""
    return f"{count:,} {singular if count == 1 else plural or singular + 's'}"


def _tenths(number: float) -> str:
    return f"{number:.1f}".removesuffix(".0")
