"""Retry options of routes; test_effects.py tests their application."""

import math
import statistics
from typing import Any

import pytest

from workers.decision import Decision
from workers.errors import RouteInvalid
from workers.routing.policy import Policy
from workers.routing.router import Router


def handler(made: Decision) -> None:
    """What a user writes."""


def asked(**options: Any) -> Policy:
    router = Router()
    router.on("*", **options)(handler)
    return router["handler"].policy


def test_by_default_a_handler_is_tried_for_about_a_day() -> None:
    policy = asked()

    expected = sum(
        min(policy.longest_delay, policy.first_delay * 2**failed) / 2 for failed in range(policy.attempts - 1)
    )
    assert policy == Policy()
    assert 20 * 3600 < expected < 28 * 3600


def test_a_route_says_how_its_handler_is_tried() -> None:
    policy = asked(attempts=3, backoff=(1, 60), timeout=10, concurrency=2)

    assert policy == Policy(attempts=3, first_delay=1, longest_delay=60, timeout=10, concurrency=2)


def test_otherwise_says_it_too() -> None:
    router = Router()

    router.otherwise(attempts=1, timeout=5)(handler)

    assert router["handler"].policy == Policy(attempts=1, timeout=5)


def test_the_policy_goes_along_when_a_router_is_included() -> None:
    router, billing = Router(), Router()
    billing.on("*", attempts=1)(handler)

    router.include(billing, prefix="billing")

    assert router["billing.handler"].policy.attempts == 1


@pytest.mark.parametrize(
    "options",
    [
        {"attempts": 0}, {"attempts": -1}, {"attempts": 1.5}, {"attempts": True}, {"attempts": "3"}, {"attempts": None},
        {"timeout": 0}, {"timeout": -1}, {"timeout": math.inf}, {"timeout": math.nan}, {"timeout": True},
        {"timeout": None}, {"concurrency": 0}, {"concurrency": None}, {"concurrency": 2.0}, {"backoff": 5},
        {"backoff": (1,)}, {"backoff": (1, 2, 3)}, {"backoff": (0, 1)}, {"backoff": (60, 1)}, {"backoff": None},
        {"backoff": (1, math.inf)}, {"backoff": (True, 5)}, {"backoff": "ab"},
    ],
)  # fmt: skip
def test_what_could_not_work_is_refused_with_what_to_write(options: dict[str, Any]) -> None:
    [option] = options

    with pytest.raises(RouteInvalid, match=rf"^{option}=.*(give|write)"):
        asked(**options)


def test_a_misspelled_option_is_reported() -> None:
    with pytest.raises(RouteInvalid, match="did you mean 'attempts'"):
        asked(attemps=3)
    with pytest.raises(RouteInvalid, match="did you mean 'timeout'"):
        Router().otherwise(time_out=3)  # type: ignore[call-overload] # that is the point


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({}, "*"), ({"attempts": 21}, "*"), ({"attempts": 3}, "* (attempts=3)"),
        ({"backoff": (2, 60)}, "* (backoff=(2, 60))"), ({"backoff": (0.5, 21_600)}, "* (backoff=(0.5, 21600))"),
        ({"timeout": 2.5, "concurrency": 1, "attempts": 9}, "* (attempts=9, timeout=2.5, concurrency=1)"),
    ],
)  # fmt: skip
def test_non_default_options_are_described_with_the_route(options: dict[str, Any], said: str) -> None:
    router = Router()
    router.on("*", **options)(handler)

    assert router["handler"].describe() == said


def test_stacked_decorators_state_one_policy() -> None:
    router = Router()

    router.on("request.completed", attempts=3)(handler)
    router.on("request.timeout", timeout=5, attempts=3)(handler)

    assert router["handler"].policy == Policy(attempts=3, timeout=5)
    with pytest.raises(RouteInvalid, match=r"\(attempts=3, timeout=5\) and \(timeout=9\).*give each option once"):
        router.on("request.cancelled", timeout=9)(handler)


@pytest.mark.parametrize("errors", [1, 2, 8, 60, 10_000])
def test_a_delay_is_random_below_its_ceiling(errors: int) -> None:
    policy = Policy(first_delay=1, longest_delay=100)
    ceiling = min(100, 2 ** min(errors - 1, 64))

    delays = [policy.delay(errors) for _ in range(2_000)]

    assert 0 <= min(delays) <= max(delays) <= ceiling
    assert statistics.fmean(delays) == pytest.approx(ceiling / 2, rel=0.1)
