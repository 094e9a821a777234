"""How many calls are left: what HITL.sh says, and a budget of our own that stops before HITL.sh does.

The limit is 100 calls per hour and key. The documents disagree on when the hour begins: the headers decide.
"""

from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from threading import Lock
from typing import Any, Protocol, TypeVar

import msgspec

from hitlsh.api.errors import BudgetExhausted

T = TypeVar("T")


class RateLimit(msgspec.Struct, frozen=True, kw_only=True):
    """The state of the key's limit, as of the last reply."""

    limit: int | None = None
    remaining: int | None = None
    reset_at: datetime | None = None
    observed_at: datetime


class Budget(Protocol):
    """Calls we allow ourselves; one may be shared by many clients."""

    def spend(self) -> float:
        """Take one call: 0.0 when it is ours, else the seconds until there is one.

        A budget that would rather refuse than wait raises `BudgetExhausted`.
        """

    def observe(self, rate_limit: RateLimit) -> None:
        """Learn what HITL.sh said about the limit."""


class AsyncBudget(Protocol):
    """The same for an `AsyncClient`, where asking may take a round trip."""

    def spend(self) -> Awaitable[float]:
        """See `Budget.spend`."""

    def observe(self, rate_limit: RateLimit) -> Awaitable[None]:
        """See `Budget.observe`."""


class LocalBudget:
    """A budget for one process: calls per hour, corrected by what HITL.sh reports. Thread-safe."""

    def __init__(
        self,
        per_hour: int = 100,
        *,
        wait: bool = False,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        if per_hour < 1:
            raise ValueError(f"LocalBudget(per_hour={per_hour}): it must be at least 1")
        self._per_hour = per_hour
        self._wait = wait
        self._clock = clock
        self._left = per_hour
        self._resets_at: datetime | None = None
        self._lock = Lock()

    def spend(self) -> float:
        """Take one call, or say how long to wait; raises `BudgetExhausted` unless made with ``wait=True``."""
        with self._lock:
            now = self._clock()
            if self._resets_at is None or now >= self._resets_at:
                self._left, self._resets_at = self._per_hour, now + timedelta(hours=1)
            if self._left > 0:
                self._left -= 1
                return 0.0
            if self._wait:
                return (self._resets_at - now).total_seconds()
            raise BudgetExhausted(
                f"this process has used its {self._per_hour} calls until {self._resets_at.isoformat()}: "
                "wait, or give LocalBudget more per_hour",
                self._resets_at,
            )

    def observe(self, rate_limit: RateLimit) -> None:
        """Trust HITL.sh on when the hour ends, and on having less left than we thought."""
        if rate_limit.remaining is None or rate_limit.reset_at is None:
            return
        with self._lock:
            if rate_limit.reset_at <= self._clock():
                return
            new_hour = self._resets_at is not None and rate_limit.reset_at > self._resets_at
            self._left = min(self._per_hour if new_hour else self._left, rate_limit.remaining)
            self._resets_at = rate_limit.reset_at


def read_rate_limit(
    status: int, headers: Mapping[str, str], usage: Mapping[str, Any], now: datetime
) -> RateLimit | None:
    """Read the headers, then the usage figures of a 429 body; None when neither says anything."""
    limit = _first(_whole(headers.get("X-RateLimit-Limit")), _whole(usage.get("usage_limit")))
    remaining = _first(_whole(headers.get("X-RateLimit-Remaining")), _whole(usage.get("remaining")))
    reset_at = _first(_unix(headers.get("X-RateLimit-Reset")), _iso(usage.get("reset_at")))
    if status == 429 and remaining is None:
        remaining = 0
    if limit is None and remaining is None and reset_at is None:
        return None
    return RateLimit(limit=limit, remaining=remaining, reset_at=reset_at, observed_at=now)


def retry_after(headers: Mapping[str, str], now: datetime) -> datetime | None:
    """``Retry-After``, in seconds or as a date."""
    said = headers.get("Retry-After", "")
    seconds = _whole(said)
    if seconds is not None:
        return now + timedelta(seconds=min(seconds, 86_400))
    try:
        date = parsedate_to_datetime(said)
    except ValueError:
        return None
    return date if date.tzinfo is not None else date.replace(tzinfo=UTC)


def _first(*candidates: T | None) -> T | None:
    return next((candidate for candidate in candidates if candidate is not None), None)


def _whole(said: Any) -> int | None:
    try:
        return max(0, int(said))
    except (TypeError, ValueError):
        return None


def _unix(said: str | None) -> datetime | None:
    try:
        return datetime.fromtimestamp(int(float(said)), UTC) if said is not None else None
    except (ValueError, OverflowError, OSError):
        return None


def _iso(said: Any) -> datetime | None:
    try:
        moment = datetime.fromisoformat(said)
    except (TypeError, ValueError):
        return None
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
