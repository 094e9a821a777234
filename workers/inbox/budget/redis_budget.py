"""The call budget of an API key, shared by every process that makes calls: one hash in Redis, one script.

`RedisBudget` and `AsyncRedisBudget` are budgets for `hitlsh.api.Client` and `AsyncClient`: each call is charged
before it is made, and corrected by what HITL.sh reports in its answer.
"""

from typing import cast

import msgspec
from redis import Redis
from redis.asyncio import Redis as AsyncRedis

from hitlsh.api.http.rate_limit import RateLimit
from workers.inbox import keys, scripts
from workers.inbox.budget.hourly_calls import BudgetRules, HourlyCalls, Purpose, initial
from workers.inbox.tracker.api_keys import api_key_hash

_SCRIPT = "budget/call_budget"


class RedisBudget:
    """Charges calls for one purpose. Any number of these, on any hosts, share one count per API key."""

    def __init__(
        self, redis: Redis, api_key: str, *, rules: BudgetRules | None = None, purpose: Purpose = "asking"
    ) -> None:
        self._redis = redis
        self._rules = rules if rules is not None else BudgetRules()
        self._purpose: Purpose = purpose
        self._key = keys.budget(api_key_hash(api_key))
        self._script = scripts.script(redis, _SCRIPT)

    def spend(self) -> float:
        """Charge one call: returns 0.0 if it may be made, else the seconds until another try."""
        return float(cast("bytes", self.run("spend", self._purpose)))

    def available(self, purpose: Purpose | None = None) -> int:
        """How many calls may be made now, for this purpose or another."""
        return cast("int", self.run("available", self._purpose if purpose is None else purpose))

    def observe(self, rate_limit: RateLimit) -> None:
        """Correct the count by what HITL.sh reported."""
        self.run("observe", *_figures(rate_limit))

    def read(self) -> HourlyCalls:
        """The stored count, which may be of an hour that has ended; see `hourly_calls.in_hour`."""
        return _read(cast("dict[bytes, bytes]", self._redis.hgetall(self._key)), self._rules)

    def run(self, verb: str, *arguments: str | float, now: float | None = None) -> object:
        """Run call_budget.lua; without `now`, by the inbox clock."""
        reply: object = self._script(keys=[self._key, keys.CLOCK], args=_arguments(verb, self._rules, now, arguments))
        return reply


class AsyncRedisBudget:
    """`RedisBudget` for an `AsyncClient`."""

    def __init__(
        self, redis: AsyncRedis, api_key: str, *, rules: BudgetRules | None = None, purpose: Purpose = "asking"
    ) -> None:
        self._rules = rules if rules is not None else BudgetRules()
        self._purpose: Purpose = purpose
        self._key = keys.budget(api_key_hash(api_key))
        self._script = scripts.async_script(redis, _SCRIPT)

    async def spend(self) -> float:
        """See `RedisBudget.spend`."""
        return float(cast("bytes", await self._run("spend", self._purpose)))

    async def available(self, purpose: Purpose | None = None) -> int:
        """See `RedisBudget.available`."""
        return cast("int", await self._run("available", self._purpose if purpose is None else purpose))

    async def observe(self, rate_limit: RateLimit) -> None:
        """See `RedisBudget.observe`."""
        await self._run("observe", *_figures(rate_limit))

    async def _run(self, verb: str, *arguments: str | float) -> object:
        reply: object = await self._script(
            keys=[self._key, keys.CLOCK], args=_arguments(verb, self._rules, None, arguments)
        )
        return reply


def _arguments(
    verb: str, rules: BudgetRules, now: float | None, arguments: tuple[str | float, ...]
) -> list[str | float]:
    moment: str | float = "" if now is None else now
    return [verb, moment, rules.per_hour, rules.share, rules.reserve, rules.floor, rules.unverified, *arguments]


def _figures(rate_limit: RateLimit) -> tuple[str | float, ...]:
    """Remaining, resets_at, limit; `''` where HITL.sh did not report it."""
    resets_at = rate_limit.reset_at.timestamp() if rate_limit.reset_at is not None else None
    figures = (rate_limit.remaining, resets_at, rate_limit.limit)
    return tuple("" if figure is None else figure for figure in figures)


def _read(fields: dict[bytes, bytes], rules: BudgetRules) -> HourlyCalls:
    if not fields:
        return initial(rules)
    numbers = {name.decode(): float(number) for name, number in fields.items()}
    counts = {name: int(number) for name, number in numbers.items()}
    flags = {name: numbers[name] == 1 for name in ("reported", "top_of_hour")}
    times = {"resets_at": numbers["resets_at"] or None, "closed_until": numbers["closed_until"]}
    return msgspec.convert(counts | flags | times, HourlyCalls)
