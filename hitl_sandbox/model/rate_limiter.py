"""The hourly limit on the calls of a key. The window is the clock hour, as in the newest of the documents."""

from typing import Any

from hitl_sandbox.clock import iso
from hitl_sandbox.errors import Refusal
from hitl_sandbox.model.records import ApiKey
from hitl_sandbox.model.state import SandboxState

HOUR = 3600


class RateLimiter:
    """Counts the calls of each key."""

    def __init__(self, state: SandboxState) -> None:
        self._state = state

    def _hour(self) -> int:
        return int(self._state.now() // HOUR)

    def resets_at(self) -> int:
        return (self._hour() + 1) * HOUR

    def remaining(self, key: ApiKey) -> int:
        return max(0, self._state.settings.rate_limit - self._state.store.calls_in_hour(key.id, self._hour()))

    def spend(self, key: ApiKey) -> None:
        """Count a call; raises the 429 ``Refusal`` when none is left."""
        if self.remaining(key) == 0:
            raise self.refusal(key)
        self._state.store.count_calls(key.id, self._hour(), 1)

    def refund(self, key: ApiKey) -> None:
        """Return the call of a pending request that was cancelled."""
        self._state.store.count_calls(key.id, self._hour(), -1)

    def headers(self, key: ApiKey | None) -> dict[str, str]:
        """The rate headers of a reply; without a valid key the whole limit remains."""
        limit = self._state.settings.rate_limit
        return {
            "X-RateLimit-Limit": str(limit),
            "X-RateLimit-Remaining": str(limit if key is None else self.remaining(key)),
            "X-RateLimit-Reset": str(self.resets_at()),
        }

    def refusal(self, key: ApiKey) -> Refusal:
        limit = self._state.settings.rate_limit
        usage = {
            "usage_count": limit - self.remaining(key),
            "usage_limit": limit,
            "remaining": self.remaining(key),
        }
        match self._state.settings.rate_limit_body:
            case "hour":
                return Refusal(429, f"Rate limit exceeded. Maximum {limit} requests per hour per API key.")
            case "usage":
                return Refusal(429, "API key usage limit exceeded")
            case "rate-data":
                return Refusal(429, "API rate limit exceeded", usage)
            case "request-data":
                return Refusal(429, "API key request limit exceeded", usage)
            case "reset-at":
                return Refusal(429, "API rate limit exceeded", {**usage, "reset_at": iso(self.resets_at())})
            case "top-level":
                return TopLevelRateLimit(usage)


class TopLevelRateLimit(Refusal):
    """The 429 of the troubleshooting page, with its numbers beside ``msg``."""

    def __init__(self, fields: dict[str, Any]) -> None:
        super().__init__(429, "API rate limit exceeded")
        self.fields = fields
