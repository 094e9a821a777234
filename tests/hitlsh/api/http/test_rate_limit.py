"""What HITL.sh says about the limit, and the budget that stops before it."""

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from hitlsh.api import BudgetExhausted, LocalBudget, RateLimit
from hitlsh.api.http.rate_limit import read_rate_limit, retry_after

NOW = datetime(2026, 3, 1, 10, 30, tzinfo=UTC)
HOUR = datetime(2026, 3, 1, 11, 0, tzinfo=UTC)


def headers(**said: Any) -> httpx.Headers:
    return httpx.Headers({f"x-ratelimit-{name}": str(value) for name, value in said.items()})


def test_the_headers_are_read() -> None:
    found = read_rate_limit(200, headers(limit=100, remaining=0, reset=int(HOUR.timestamp())), {}, NOW)

    assert found == RateLimit(limit=100, remaining=0, reset_at=HOUR, observed_at=NOW)


@pytest.mark.parametrize("reset", ["soon", "", "1e999", "99999999999999999999", "nan"])
def test_a_reset_that_is_no_time_is_ignored(reset: str) -> None:
    found = read_rate_limit(200, headers(remaining=3, reset=reset), {}, NOW)

    assert found == RateLimit(remaining=3, observed_at=NOW)


def test_without_headers_nothing_is_known() -> None:
    assert read_rate_limit(200, headers(), {}, NOW) is None


def test_a_429_without_figures_means_none_left() -> None:
    found = read_rate_limit(429, headers(), {}, NOW)

    assert found is not None
    assert found.remaining == 0


def test_the_body_of_a_429_is_read_where_headers_are_missing() -> None:
    usage = {"usage_count": 100, "usage_limit": 100, "remaining": 0, "reset_at": "2026-03-01T11:00:00Z"}

    assert read_rate_limit(429, headers(), usage, NOW) == RateLimit(
        limit=100, remaining=0, reset_at=HOUR, observed_at=NOW
    )


@pytest.mark.parametrize(
    ("said", "parse_time"),
    [
        ("60", NOW + timedelta(seconds=60)),
        ("-5", NOW),
        ("Sun, 01 Mar 2026 11:00:00 GMT", HOUR),
        ("in a while", None),
        ("", None),
    ],
)
def test_retry_after_is_read_as_seconds_or_as_a_date(said: str, parse_time: datetime | None) -> None:
    assert retry_after({"Retry-After": said}, NOW) == parse_time


class Clock:
    """A clock that the test moves."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        return self.now


def observed(remaining: int, reset_at: datetime = HOUR) -> RateLimit:
    return RateLimit(limit=100, remaining=remaining, reset_at=reset_at, observed_at=NOW)


def test_a_budget_refuses_the_call_after_the_last() -> None:
    budget = LocalBudget(2, clock=Clock())

    assert [budget.spend(), budget.spend()] == [0.0, 0.0]
    with pytest.raises(BudgetExhausted, match="used its 2 calls until") as refused:
        budget.spend()
    assert refused.value.reset_at == NOW + timedelta(hours=1)


def test_a_waiting_budget_says_how_long() -> None:
    budget = LocalBudget(1, wait=True, clock=Clock())

    assert [budget.spend(), budget.spend()] == [0.0, 3600.0]


def test_a_budget_is_full_again_after_the_hour() -> None:
    clock = Clock()
    budget = LocalBudget(1, clock=clock)
    budget.spend()

    clock.now += timedelta(hours=1)

    assert budget.spend() == 0.0


def test_a_budget_believes_hitl_sh_when_less_is_left() -> None:
    budget = LocalBudget(100, wait=True, clock=Clock())
    budget.spend()

    budget.observe(observed(0))

    assert budget.spend() == 1800.0


def test_replies_out_of_order_never_give_calls_back() -> None:
    budget = LocalBudget(100, wait=True, clock=Clock())
    budget.spend()

    budget.observe(observed(1))
    budget.observe(observed(2))

    assert [budget.spend(), budget.spend()] == [0.0, 1800.0]


def test_a_new_hour_at_hitl_sh_is_a_new_hour_here() -> None:
    budget = LocalBudget(100, wait=True, clock=Clock())
    budget.spend()
    budget.observe(observed(0))

    budget.observe(observed(40, HOUR + timedelta(hours=1)))

    assert budget.spend() == 0.0


def test_a_reset_in_the_past_is_ignored() -> None:
    budget = LocalBudget(100, clock=Clock())
    budget.spend()

    budget.observe(observed(0, NOW - timedelta(seconds=1)))

    assert budget.spend() == 0.0


def test_a_budget_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="per_hour=0"):
        LocalBudget(0)
