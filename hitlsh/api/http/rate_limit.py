"""The call limit of an API key, as HITL.sh reports it, and a budget that stops before HITL.sh does.

Follows https://docs.hitl.sh, "Rate limits": 100 calls per hour and API key. The pages disagree on when the hour begins,
so the headers decide.
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
    """The call limit of an API key, as of one reply."""

    #: Calls per hour.
    limit: int | None = None
    #: Calls left until `reset_at`.
    remaining: int | None = None
    #: Aware, UTC.
    reset_at: datetime | None = None
    #: When the reply was received: aware, UTC.
    observed_at: datetime


class Budget(Protocol):
    """A budget of calls. Several clients may share one."""

    def spend(self) -> float:
        """Take one call; returns 0.0 when it was taken, else the seconds until one is available.

        A budget that refuses instead of waiting raises BudgetExhausted.
        """

    def observe(self, rate_limit: RateLimit) -> None:
        """Receive the call limit of a reply."""


class AsyncBudget(Protocol):
    """A budget for `AsyncClient`, which may take a round trip."""

    def spend(self) -> Awaitable[float]:
        """See `Budget.spend`."""

    def observe(self, rate_limit: RateLimit) -> Awaitable[None]:
        """See `Budget.observe`."""


class LocalBudget:
    """A budget for one process, corrected by the call limit that HITL.sh reports. Thread-safe.

    ``per_hour``: calls per hour; ValueError below 1. ``wait``: wait for the next hour, do not raise BudgetExhausted.
    ``clock``: returns the current time, aware.
    """

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
        """Take one call, or return the seconds to wait; raises BudgetExhausted unless ``wait`` is set."""
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
        """Take over the end of the hour, and a lower number of remaining calls."""
        if rate_limit.remaining is None or rate_limit.reset_at is None:
            return
        with self._lock:
            if rate_limit.reset_at <= self._clock():
                return
            is_new_hour = self._resets_at is not None and rate_limit.reset_at > self._resets_at
            self._left = min(self._per_hour if is_new_hour else self._left, rate_limit.remaining)
            self._resets_at = rate_limit.reset_at


def read_rate_limit(
    status: int, headers: Mapping[str, str], usage: Mapping[str, Any], now: datetime
) -> RateLimit | None:
    """Return the call limit in the headers, else in the usage figures of a 429 body; None without either."""
    limit = _first(_whole(headers.get("X-RateLimit-Limit")), _whole(usage.get("usage_limit")))
    remaining = _first(_whole(headers.get("X-RateLimit-Remaining")), _whole(usage.get("remaining")))
    reset_at = _first(_unix(headers.get("X-RateLimit-Reset")), _iso(usage.get("reset_at")))
    if status == 429 and remaining is None:
        remaining = 0
    if limit is None and remaining is None and reset_at is None:
        return None
    return RateLimit(limit=limit, remaining=remaining, reset_at=reset_at, observed_at=now)


def retry_after(headers: Mapping[str, str], now: datetime) -> datetime | None:
    """Return the time of ``Retry-After``, which is given in seconds or as a date; None without one."""
    value = headers.get("Retry-After", "")
    seconds = _whole(value)
    if seconds is not None:
        return now + timedelta(seconds=min(seconds, 86_400))
    try:
        date = parsedate_to_datetime(value)
    except ValueError:
        return None
    return date if date.tzinfo is not None else date.replace(tzinfo=UTC)


def _first(*candidates: T | None) -> T | None:
    return next((candidate for candidate in candidates if candidate is not None), None)


def _whole(value: Any) -> int | None:
    try:
        return max(0, int(value))
    except (TypeError, ValueError):
        return None


def _unix(value: str | None) -> datetime | None:
    try:
        return datetime.fromtimestamp(int(float(value)), UTC) if value is not None else None
    except (ValueError, OverflowError, OSError):
        return None


def _iso(value: Any) -> datetime | None:
    try:
        time = datetime.fromisoformat(value)
    except (TypeError, ValueError):
        return None
    return time if time.tzinfo is not None else time.replace(tzinfo=UTC)
