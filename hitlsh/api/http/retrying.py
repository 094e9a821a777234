"""Whether a failed call is repeated, and after how many seconds. Pure: no clock, no sleep."""

import random
from collections.abc import Callable
from datetime import datetime

import msgspec

from hitlsh.api.errors import ApiError, RateLimited, StatusError, Unreachable

#: A server error that may pass.
RETRIED_STATUSES = frozenset({500, 502, 503, 504})
#: Methods whose calls have the same effect when they are made twice (RFC 9110, section 9.2.2).
IDEMPOTENT_METHODS = frozenset({"GET", "PUT", "DELETE"})


class RetryPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """How often a failed call is repeated, and how long a call may wait in all.

    After a 429 every call is repeated, since HITL.sh did nothing. After a server error, or when the reply is lost,
    GET, PUT and DELETE are repeated. POST and PATCH are repeated only when no byte of the call was sent:
    HITL.sh has no idempotency key.
    """

    #: Attempts in all, the first included; 1 means no retry.
    attempts: int = 4
    #: Seconds that a call may wait in all. A rate limit that lasts longer is raised at once.
    max_wait: float = 60.0
    #: Seconds before the first retry, doubled for each further one; up to half of it is random.
    backoff: float = 0.5
    #: The longest backoff in seconds.
    backoff_cap: float = 30.0


class RetryState:
    """The attempts and the waiting time that one call has used."""

    def __init__(self, policy: RetryPolicy, random_fraction: Callable[[], float] = random.random) -> None:
        self._policy = policy
        self._random_fraction = random_fraction
        self._attempts = 1
        self._waited = 0.0

    def wait_after(self, failure: ApiError, method: str, now: datetime) -> float | None:
        """Return the seconds until the next attempt, and use them up; None when there is none."""
        if self._attempts >= self._policy.attempts or not _repeatable(failure, method):
            return None
        self._attempts += 1
        return self.wait(max(self._backoff(), _requested_wait(failure, now)))

    def wait(self, seconds: float) -> float | None:
        """Use up so many seconds of waiting; returns None when fewer are left."""
        if self._waited + seconds > self._policy.max_wait:
            return None
        self._waited += seconds
        return seconds

    def _backoff(self) -> float:
        longest = min(self._policy.backoff_cap, self._policy.backoff * 2.0 ** (self._attempts - 2))
        return longest * (0.5 + self._random_fraction() / 2)


def _repeatable(failure: ApiError, method: str) -> bool:
    if isinstance(failure, RateLimited):
        return True
    if isinstance(failure, Unreachable) and not failure.sent:
        return True
    return method in IDEMPOTENT_METHODS and may_have_acted(failure)


def may_have_acted(failure: ApiError) -> bool:
    """Tell whether HITL.sh may have carried out a call that failed like this."""
    if isinstance(failure, Unreachable):
        return failure.sent
    return isinstance(failure, StatusError) and failure.status in RETRIED_STATUSES


def _requested_wait(failure: ApiError, now: datetime) -> float:
    reset_at = failure.reset_at if isinstance(failure, StatusError) else None
    if reset_at is None:
        return 60.0 if isinstance(failure, RateLimited) else 0.0
    return (reset_at - now).total_seconds()
