"""Calls per key and hour. The window is the clock hour; both others in the documents are older."""

from typing import Any

from hitl_sandbox.clock import iso
from hitl_sandbox.errors import Refusal
from hitl_sandbox.model.records import Key
from hitl_sandbox.model.state import SandboxState

HOUR = 3600


class Quota:
    def __init__(self, sandbox_state: SandboxState) -> None:
        self._world = sandbox_state

    def _hour(self) -> int:
        return int(self._world.now() // HOUR)

    def resets_at(self) -> int:
        return (self._hour() + 1) * HOUR

    def remaining(self, key: Key) -> int:
        return max(0, self._world.settings.rate_limit - self._world.store.used(key.id, self._hour()))

    def spend(self, key: Key) -> None:
        """Count one call; raises the 429 when none is left."""
        if self.remaining(key) == 0:
            raise self.refusal(key)
        self._world.store.use(key.id, self._hour(), 1)

    def give_back(self, key: Key) -> None:
        """A cancelled pending request returns one unit."""
        self._world.store.use(key.id, self._hour(), -1)

    def headers(self, key: Key | None) -> dict[str, str]:
        """The rate headers of a reply; a caller without a valid key has used nothing."""
        limit = self._world.settings.rate_limit
        return {
            "X-RateLimit-Limit": str(limit),
            "X-RateLimit-Remaining": str(limit if key is None else self.remaining(key)),
            "X-RateLimit-Reset": str(self.resets_at()),
        }

    def refusal(self, key: Key) -> Refusal:
        limit = self._world.settings.rate_limit
        usage = {
            "usage_count": limit - self.remaining(key),
            "usage_limit": limit,
            "remaining": self.remaining(key),
        }
        match self._world.settings.rate_limit_body:
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
                return TopLevel(usage)


class TopLevel(Refusal):
    """The 429 of the troubleshooting page: its numbers stand beside ``msg``."""

    def __init__(self, beside: dict[str, Any]) -> None:
        super().__init__(429, "API rate limit exceeded")
        self.beside = beside
