"""The calls of an API key, shared by every process that makes them: one hash in Redis, one script.

`RedisBudget` and `AsyncRedisBudget` are budgets for `hitlsh.api.Client` and `AsyncClient`: each call is charged
before it is made, and what HITL.sh answers corrects the account.
"""

from importlib.resources import files
from typing import cast

import msgspec
from redis import Redis
from redis.asyncio import Redis as AsyncRedis

from hitlsh.api.http.rate_limit import RateLimit
from workers.inbox import keys, scripts
from workers.inbox.tracker.api_keys import api_key_hash
from workers.reconcile.hourly_calls import HourlyCalls, Purpose, Rules, fresh

Words = list[str | float]


def budget_key(api_key: str) -> str:
    """Where the account of an API key is kept; the key itself does not appear in Redis."""
    return f"{keys.PREFIX}budget:{api_key_hash(api_key)}"


class RedisBudget:
    """Calls for one purpose. Any number of these, on any hosts, draw on one account."""

    def __init__(self, redis: Redis, api_key: str, *, rules: Rules | None = None, purpose: Purpose = "asking") -> None:
        self._redis = redis
        self._rules = rules if rules is not None else Rules()
        self._purpose: Purpose = purpose
        self._key = budget_key(api_key)
        self._script = redis.register_script(_source())

    def spend(self) -> float:
        """Take one call: 0.0 when it is ours, else the seconds until it is worth asking again."""
        return float(cast("bytes", self.run("spend", self._purpose)))

    def available(self, purpose: Purpose | None = None) -> int:
        """How many calls there are now; a plan is made for so many."""
        return cast("int", self.run("available", self._purpose if purpose is None else purpose))

    def observe(self, rate_limit: RateLimit) -> None:
        """Learn what HITL.sh said about the limit."""
        self.run("observe", *_said(rate_limit))

    def tokens(self) -> HourlyCalls:
        """The account as it was left by the last call, to be shown."""
        return _read(cast("dict[bytes, bytes]", self._redis.hgetall(self._key)), self._rules)

    def run(self, verb: str, *words: str | float, now: float | None = None) -> object:
        """The script itself; without `now`, by the inbox clock."""
        found: object = self._script(keys=[self._key, keys.CLOCK], args=_words(verb, self._rules, now, words))
        return found


class AsyncRedisBudget:
    """The same for an `AsyncClient`."""

    def __init__(
        self, redis: AsyncRedis, api_key: str, *, rules: Rules | None = None, purpose: Purpose = "asking"
    ) -> None:
        self._rules = rules if rules is not None else Rules()
        self._purpose: Purpose = purpose
        self._key = budget_key(api_key)
        self._script = redis.register_script(_source())

    async def spend(self) -> float:
        """See `RedisBudget.spend`."""
        return float(
            await self._script(keys=[self._key, keys.CLOCK], args=_words("spend", self._rules, None, (self._purpose,)))
        )

    async def available(self, purpose: Purpose | None = None) -> int:
        """See `RedisBudget.available`."""
        wanted = self._purpose if purpose is None else purpose
        found: int = await self._script(
            keys=[self._key, keys.CLOCK], args=_words("available", self._rules, None, (wanted,))
        )
        return found

    async def observe(self, rate_limit: RateLimit) -> None:
        """See `RedisBudget.observe`."""
        await self._script(keys=[self._key, keys.CLOCK], args=_words("observe", self._rules, None, _said(rate_limit)))


def _source() -> str:
    text = files("workers.reconcile").joinpath("budget.lua").read_text(encoding="utf-8")
    return scripts.behind_flags(text, ("clock",))


def _words(verb: str, rules: Rules, now: float | None, words: tuple[str | float, ...]) -> Words:
    moment: str | float = "" if now is None else now
    return [verb, moment, rules.per_hour, rules.share, rules.reserve, rules.floor, rules.unverified, *words]


def _said(rate_limit: RateLimit) -> tuple[str | float, ...]:
    """Remaining, resets_at, limit; `''` where HITL.sh did not say."""
    resets_at = rate_limit.reset_at.timestamp() if rate_limit.reset_at is not None else None
    figures = (rate_limit.remaining, resets_at, rate_limit.limit)
    return tuple("" if figure is None else figure for figure in figures)


def _read(found: dict[bytes, bytes], rules: Rules) -> HourlyCalls:
    if not found:
        return fresh(rules)
    numbers = {name.decode(): float(number) for name, number in found.items()}
    full_fetch = {name: int(number) for name, number in numbers.items()}
    flags = {name: numbers[name] == 1 for name in ("told", "top_of_hour")}
    times = {"resets_at": numbers["resets_at"] or None, "closed_until": numbers["closed_until"]}
    return msgspec.convert(full_fetch | flags | times, HourlyCalls)
