import re
import warnings
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.decision import Decision, with_trust
from workers.errors import RouteInvalid
from workers.routing.router import Router
from workers.testing import cancelled, claimed, completed, decision, timed_out
from workers.trust import LEVELS, is_confirmable

WORDS = ("callback", "signed", "confirmed")


def handler(made: Decision) -> None:
    """What a user writes."""


def boom(value: Any) -> bool:
    raise LookupError("boom")


def one_route(*events: str, **options: Any) -> Router:
    router = Router()
    router.on(*(events or ("*",)), **options)(handler)
    return router


def waits(made: Decision, *events: str, **options: Any) -> tuple[str, bool] | None:
    """What the route waits for, and whether the decision is for it then."""
    router = one_route(*events, **options)
    found = router.waits(made)
    assert not (found and router.match(made))
    return (found[0].needs, found[0].is_urgent) if found else None


@pytest.mark.parametrize("demanded", WORDS)
@pytest.mark.parametrize("trust", WORDS)
def test_trust_is_a_minimum(demanded: str, trust: str):
    enough = LEVELS[trust] >= LEVELS[demanded]  # type: ignore[index]
    made = completed(trust=trust)

    assert bool(one_route(trust=demanded).match(made)) is enough
    assert waits(made, trust=demanded) == (None if enough else (demanded, True))


@pytest.mark.parametrize("trust", ["sigend", ["signed", "confirmed"], lambda word: True, None, 2])
def test_what_is_no_level_of_trust_is_refused(trust: Any):
    with pytest.raises(RouteInvalid, match="one of callback, signed, confirmed"):
        one_route(trust=trust)


@pytest.mark.parametrize("made", [completed(False), timed_out("Approve"), cancelled()])
def test_every_outcome_can_be_confirmed(made: Decision):
    assert waits(made, "request.*", trust="confirmed") == ("confirmed", True)


@pytest.mark.parametrize(
    "made",
    [
        claimed(), decision(event="loop.created"), completed(request_id=None), completed(request_id=""),
        completed(trust="confirmed"),
    ],
)  # fmt: skip
def test_unconfirmable_and_confirmed_decisions_do_not_wait(made: Decision):
    assert one_route("*", trust="confirmed").waits(made) == ()


def test_a_decision_that_another_condition_excludes_is_confirmed_in_a_batch():
    leisurely = ("confirmed", False)

    assert waits(completed("Reject"), trust="confirmed", response="Approve") == leisurely
    assert waits(completed(), trust="confirmed", when=lambda made: made.response == "Reject") == leisurely
    assert waits(timed_out(), "request.completed", trust="confirmed") == leisurely


def test_a_conflict_waits_only_for_routes_that_ask_for_conflicts():
    made = completed(trust="callback", conflict=True)

    assert waits(made, trust="confirmed") is None
    assert waits(made, trust="confirmed", conflict=True) == ("confirmed", True)


def test_an_overruling_decision_is_for_every_route():
    assert one_route().match(completed(overrules=True))
    assert one_route(trust="confirmed").match(completed(overrules=True))


def test_a_route_that_another_of_its_rules_wants_now_does_not_wait():
    router = one_route("request.*", trust="confirmed")
    router.on("request.timeout")(handler)

    assert ([route.name for route in router.match(timed_out())], router.waits(timed_out())) == (["handler"], ())
    assert (router.match(completed()), [wait.route.name for wait in router.waits(completed())]) == ((), ["handler"])


def test_of_several_rules_the_least_demand_counts():
    router = one_route("request.*", trust="confirmed")
    router.on("request.*", trust="signed")(handler)

    [wait] = router.waits(completed())

    assert (wait.needs, wait.is_urgent) == ("signed", True)


def test_the_other_conditions_see_the_decision_as_it_would_be_confirmed():
    seen: list[str] = []

    waits(completed(trust="signed"), trust="confirmed", when=lambda made: seen.append(made.trust))

    assert seen == ["confirmed"]


def test_where_a_function_raises_the_decision_waits_rather_than_being_dropped():
    assert waits(completed(), trust="confirmed", when=boom) == ("confirmed", True)


def test_otherwise_does_not_run_for_what_waits():
    router = one_route("request.completed", trust="confirmed", response="Approve")

    @router.otherwise
    def unrouted(made: Decision) -> None: ...

    assert router.match(completed("Approve")) == ()
    assert [route.name for route in router.match(completed("Reject"))] == ["unrouted"]


def test_an_included_router_keeps_its_demands():
    router = Router()
    router.include(one_route("request.*", trust="confirmed"), prefix="billing")

    assert [wait.route.name for wait in router.waits(completed())] == ["billing.handler"]
    assert router.demands_confirmation == ("billing.handler",)


@pytest.mark.parametrize("event", ["request.claimed", "loop.*", "turn.resolved", "panel.convened", "user.*"])
def test_confirmation_of_an_event_that_ends_no_request_is_refused(event: str):
    with pytest.raises(RouteInvalid, match=re.escape(f"can never hold for {event!r}, which ends no request")):
        one_route("request.completed", event, trust="confirmed")


@pytest.mark.parametrize(
    ("event", "trust"),
    [("*", "confirmed"), ("request.*", "confirmed"), ("request.timeout", "confirmed"), ("loop.*", "signed")],
)
def test_a_demand_that_might_be_met_is_accepted(event: str, trust: Any):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        one_route(event, trust=trust)


@pytest.mark.slow
@given(
    demanded=st.sampled_from(WORDS), trust=st.sampled_from(WORDS), wanted=st.sampled_from(["Approve", "Reject"]),
    conflict=st.booleans(),
)  # fmt: skip
def test_a_route_runs_now_or_waits_for_all_that_its_demand_keeps_from_it(
    demanded: str, trust: str, wanted: str, conflict: bool
):
    router = one_route(trust=demanded, response=wanted)
    made = completed("Approve", trust=trust, conflict=conflict)

    now, waiting = router.match(made), router.waits(made)
    stronger = with_trust(made, demanded) if LEVELS[demanded] > LEVELS[trust] else made  # type: ignore[index]

    assert not (now and waiting)
    assert bool(waiting) == (stronger is not made and is_confirmable(made) and not conflict)
    assert any(wait.is_urgent for wait in waiting) == (not now and bool(router.match(stronger)))
