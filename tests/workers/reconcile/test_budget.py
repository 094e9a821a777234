"""The shared budget: never more than HITL.sh allows, asking first, and the script follows the pure rules."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis import Redis
from redis.asyncio import Redis as AsyncRedis

from hitlsh.api import RateLimit
from tests.reconcile_model import available, observe, spend
from workers.inbox import keys
from workers.inbox.budget.hourly_calls import HOUR, BudgetRules, HourlyCalls, Purpose, initial
from workers.inbox.budget.redis_budget import AsyncRedisBudget, RedisBudget

START = 1_800_000_000.0 + 1234
RULES = BudgetRules(per_hour=20)
PURPOSES: tuple[Purpose, ...] = ("asking", "reconcile", "overdue", "unverified")


class Vendor:
    """The call count of HITL.sh, with either kind of hour."""

    def __init__(self, *, limit: int, top_of_hour: bool) -> None:
        self.limit = limit
        self.top_of_hour = top_of_hour
        self.resets_at = 0.0
        self.used = 0

    def call(self, now: float) -> bool:
        if now >= self.resets_at:
            self.used = 0
            self.resets_at = (now // HOUR + 1) * HOUR if self.top_of_hour else now + HOUR
        self.used += 1
        return self.used <= self.limit


@given(
    top_of_hour=st.booleans(),
    tells=st.booleans(),
    steps=st.lists(
        st.tuples(st.sampled_from(PURPOSES), st.sampled_from([0, 0, 0, 1, 60, 700, 3600, 9000])), max_size=200
    ),
)
def test_no_call_exceeds_the_limit_of_hitl_sh(top_of_hour: bool, tells: bool, steps: list[tuple[Purpose, int]]) -> None:
    vendor, tokens, now = Vendor(limit=20, top_of_hour=top_of_hour), initial(RULES), START

    for purpose, pause in steps:
        now += pause
        tokens, wait = spend(tokens, RULES, purpose, now)
        if wait == 0:
            assert vendor.call(now), "a call over the limit"
            if tells:
                left = vendor.limit - vendor.used
                tokens = observe(tokens, now, remaining=left, resets_at=vendor.resets_at, limit=20)

    assert tokens.overcounts == 0


def told(now: float = START, remaining: int = 20) -> HourlyCalls:
    return observe(initial(RULES), now, remaining=remaining, resets_at=now + HOUR, limit=20)


def drained(tokens: HourlyCalls, purpose: Purpose, now: float = START) -> HourlyCalls:
    while available(tokens, RULES, purpose, now):
        tokens, _ = spend(tokens, RULES, purpose, now)
    return tokens


def test_until_hitl_sh_says_when_its_hour_ends_half_the_limit_is_used() -> None:
    assert available(initial(RULES), RULES, "asking", START) == 10


def test_reconcile_runs_stay_within_their_share() -> None:
    assert available(told(), RULES, "reconcile", START) == 10


def test_runs_leave_the_reserve_to_asking_and_overdue_ones_borrow_half() -> None:
    tokens = told(remaining=5)

    assert [available(tokens, RULES, purpose, START) for purpose in PURPOSES] == [5, 1, 3, 1]


def test_what_cannot_be_verified_has_a_cap_of_its_own_that_borrows_nothing() -> None:
    tokens = drained(told(), "unverified")

    assert (tokens.unverified, tokens.reconciled, available(tokens, RULES, "reconcile", START)) == (2, 2, 8)
    assert spend(tokens, RULES, "unverified", START + 600)[1] == HOUR - 600 + 1
    assert available(drained(told(), "reconcile"), RULES, "unverified", START) == 0


def test_what_was_asked_in_the_hour_before_is_left_to_asking() -> None:
    tokens = drained(told(), "asking")

    later = observe(tokens, START + HOUR + 1, remaining=20, resets_at=START + 2 * HOUR, limit=20)

    assert available(later, RULES, "reconcile", START + HOUR + 1) == 2


def test_an_exhausted_hour_says_when_the_next_begins() -> None:
    tokens = drained(told(), "asking")

    assert spend(tokens, RULES, "asking", START + 600)[1] == HOUR - 600 + 1


def test_a_429_that_says_nothing_closes_for_a_minute_and_is_counted() -> None:
    tokens = observe(initial(RULES), START, remaining=0)

    assert (spend(tokens, RULES, "asking", START)[1], tokens.overcounts) == (60.0, 1)


def test_an_hour_that_is_said_to_end_in_years_closes_nothing_for_longer_than_an_hour() -> None:
    tokens, _ = spend(initial(RULES), RULES, "asking", START)

    tokens = observe(tokens, START, remaining=0, resets_at=START + 10 * 365 * 86_400)

    assert spend(tokens, RULES, "reconcile", START + HOUR + 2)[1] == 0.0


@pytest.mark.parametrize("wrong", [{"per_hour": 0}, {"share": 2.0}, {"reserve": -1.0}])
def test_rules_that_cannot_work_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=f"Rules\\({next(iter(wrong))}="):
        BudgetRules(**wrong)


operations = st.lists(
    st.tuples(
        st.sampled_from(["spend", "available", "observe"]),
        st.sampled_from(PURPOSES),
        st.integers(0, 4000),
        st.one_of(st.none(), st.integers(0, 20)),
        st.one_of(st.none(), st.integers(-10, 4000), st.just(100_000)),
        st.sampled_from([None, 20, 40]),
    ),
    max_size=30,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
@given(operations)
def test_the_script_follows_the_pure_rules(redis: Redis, steps: list[tuple[Any, ...]]) -> None:
    redis.flushdb()
    budget, tokens, now = RedisBudget(redis, "key", rules=RULES), initial(RULES), START

    for verb, purpose, pause, remaining, resets_in, limit in steps:
        now += pause
        resets_at = None if resets_in is None else now + resets_in
        if verb == "spend":
            tokens, wait = spend(tokens, RULES, purpose, now)
            assert float(budget.run("spend", purpose, now=now)) == pytest.approx(wait)  # type: ignore[arg-type] # text
        elif verb == "available":
            assert budget.run("available", purpose, now=now) == available(tokens, RULES, purpose, now)
        else:
            tokens = observe(tokens, now, remaining=remaining, resets_at=resets_at, limit=limit)
            words = ["" if word is None else word for word in (remaining, resets_at, limit)]
            budget.run("observe", *words, now=now)
            assert budget.read() == tokens


def observed(remaining: int) -> RateLimit:
    now = datetime.now(UTC)
    return RateLimit(limit=100, remaining=remaining, reset_at=now + timedelta(minutes=30), observed_at=now)


async def test_many_processes_share_one_budget(redis: Redis, async_redis: AsyncRedis) -> None:
    runs = RedisBudget(redis, "key", purpose="reconcile")
    asking = AsyncRedisBudget(async_redis, "key")
    await asking.observe(observed(3))

    waits = [await asking.spend() for _ in range(4)]

    assert (waits[:3], waits[3] > 0, runs.spend() > 0) == ([0.0] * 3, True, True)
    assert (await asking.available(), runs.available(), runs.read().asked) == (0, 0, 3)


def test_another_key_has_another_budget(redis: Redis) -> None:
    RedisBudget(redis, "one").observe(observed(0))

    assert RedisBudget(redis, "two").spend() == 0.0


def test_the_api_key_does_not_appear_in_redis(redis: Redis) -> None:
    RedisBudget(redis, "secret").spend()

    [name] = redis.keys(f"{keys.PREFIX}budget:*")
    assert b"secret" not in name
