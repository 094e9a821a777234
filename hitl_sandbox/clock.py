"""The sandbox's own time: real time, sped up, and moved forward on request."""

import time
from datetime import UTC, datetime


class Clock:
    """Unix seconds that pass ``speed`` times as fast as real ones and can only go forward."""

    def __init__(self, speed: float = 1.0, start: float | None = None) -> None:
        self.speed = speed
        self._start = time.time() if start is None else start
        self._began = time.monotonic()

    def now(self) -> float:
        return self._start + (time.monotonic() - self._began) * self.speed

    def set_speed(self, speed: float) -> None:
        """From now on; the time it is does not jump."""
        self._start, self._began, self.speed = self.now(), time.monotonic(), speed

    def move_to(self, moment: float) -> None:
        """Go forward to the moment; does nothing when it has passed."""
        ahead = moment - self.now()
        if ahead > 0:
            self._start += ahead

    def real_seconds_until(self, moment: float) -> float | None:
        """How long to really wait for a moment; None when time stands still before it."""
        ahead = moment - self.now()
        if ahead <= 0:
            return 0.0
        return ahead / self.speed if self.speed > 0 else None


def iso(moment: float) -> str:
    """The vendor's time format: UTC, whole seconds, ``Z``."""
    return datetime.fromtimestamp(int(moment), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def iso_or_none(moment: float | None) -> str | None:
    return None if moment is None else iso(moment)


def iso_milliseconds(moment: float) -> str:
    """The format of turn.resolved, the one payload with milliseconds."""
    text = datetime.fromtimestamp(moment, UTC).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z")
