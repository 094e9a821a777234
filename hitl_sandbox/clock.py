"""The clock of the sandbox: it runs at a chosen speed and can be moved forward."""

import time
from datetime import UTC, datetime


class SandboxClock:
    """Unix seconds that pass `speed` times as fast as real ones and never go back."""

    def __init__(self, speed: float = 1.0, start: float | None = None) -> None:
        self.speed = speed
        self._base = time.time() if start is None else start
        self._started = time.monotonic()

    def now(self) -> float:
        return self._base + (time.monotonic() - self._started) * self.speed

    def set_speed(self, speed: float) -> None:
        """Change the speed; the present time stays the same."""
        self._base, self._started, self.speed = self.now(), time.monotonic(), speed

    def move_to(self, moment: float) -> None:
        """Move forward to a moment; does nothing when the moment has passed."""
        remaining = moment - self.now()
        if remaining > 0:
            self._base += remaining

    def real_seconds_until(self, moment: float) -> float | None:
        """The real seconds until a moment; None when the clock does not run."""
        remaining = moment - self.now()
        if remaining <= 0:
            return 0.0
        return remaining / self.speed if self.speed > 0 else None


def iso(moment: float) -> str:
    """The vendor's time format: UTC, whole seconds, ``Z``."""
    return datetime.fromtimestamp(int(moment), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def iso_or_none(moment: float | None) -> str | None:
    return None if moment is None else iso(moment)


def iso_milliseconds(moment: float) -> str:
    """The format of turn.resolved, the only payload with milliseconds."""
    text = datetime.fromtimestamp(moment, UTC).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z")
