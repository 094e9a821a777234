"""Authenticates calls, and checks the token's scopes and limits."""

import hashlib
import hmac
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from starlette.types import Scope as ConnectionScope

from hitlsh.webhooks.delivery_headers import header
from service.web.requests import problems
from service.web.requests.problems import RequestProblem
from workers.access_tokens import LONGEST_TOKEN, AccessToken, Scope

#: Calls per second on average, and in a burst, of one token in one web process. The burst of `read` is large because
#: all waiters of a process that stops call another at once.
CALL_RATES: dict[Scope, tuple[float, float]] = {"ask": (10.0, 100.0), "read": (500.0, 15_000.0)}
#: Waits of one token at a time in one web process.
MAX_WAITS = 15_000
_SCHEME = b"bearer "


class CallRate:
    """A token bucket: `rate` calls per second on average, `burst` at once."""

    __slots__ = ("_burst", "_credit", "_credited_at", "_rate")

    def __init__(self, rate: float, burst: float, now: float) -> None:
        self._rate = rate
        self._burst = burst
        self._credit = burst
        self._credited_at = now

    def spend(self, now: float) -> float:
        """Count a call and return 0.0 if it is allowed; else return the seconds until one is."""
        self._credit = min(self._burst, self._credit + (now - self._credited_at) * self._rate)
        self._credited_at = now
        if self._credit < 1:
            return (1 - self._credit) / self._rate
        self._credit -= 1
        return 0.0


class TokenAccess:
    """The access tokens, and how many calls and waits each has made in this process."""

    def __init__(
        self,
        tokens: Sequence[AccessToken],
        *,
        rates: dict[Scope, tuple[float, float]] = CALL_RATES,
        max_waits: int = MAX_WAITS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._tokens = [(_digest(token.token.encode()), token) for token in tokens]
        self._clock = clock
        self._max_waits = max_waits
        self._waits: Counter[str] = Counter()
        now = clock()
        self._rates = {
            (token.name, scope): CallRate(rate, burst, now)
            for token in tokens
            for scope, (rate, burst) in rates.items()
        }

    def authenticate(self, connection: ConnectionScope) -> AccessToken:
        """The token of a call; raises `RequestProblem` (401) for a missing or unknown one."""
        value = header(connection["headers"], b"authorization") or b""
        presented = value[len(_SCHEME) :].strip() if value[: len(_SCHEME)].lower() == _SCHEME else b""
        if not presented or len(presented) > LONGEST_TOKEN:
            raise problems.token_unknown()
        # Every digest is compared, in constant time, so that the duration discloses nothing about a token.
        digest = _digest(presented)
        matching = [token for token_digest, token in self._tokens if hmac.compare_digest(token_digest, digest)]
        if not matching:
            raise problems.token_unknown()
        return matching[0]

    def admit(self, token: AccessToken, scope: Scope) -> None:
        """Count a call; raises `RequestProblem` (403 or 429) if the token may not make it."""
        if scope not in token.scopes:
            raise problems.scope_missing(token.name, scope)
        seconds = self._rates[token.name, scope].spend(self._clock())
        if seconds:
            raise problems.too_many_calls(token.name, "makes too many calls", seconds)

    @contextmanager
    def waiting(self, token: AccessToken) -> Iterator[None]:
        """Count a wait while it lasts; raises `RequestProblem` (429) if the token has too many."""
        if self._waits[token.name] >= self._max_waits:
            raise _too_many_waits(token)
        self._waits[token.name] += 1
        try:
            yield
        finally:
            self._waits[token.name] -= 1


def _too_many_waits(token: AccessToken) -> RequestProblem:
    return problems.too_many_calls(token.name, "has too many waits", problems.RETRY_SECONDS)


def _digest(token: bytes) -> bytes:
    return hashlib.sha256(token).digest()
