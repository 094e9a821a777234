import re
import warnings
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.decision import Decision
from workers.errors import RouteInvalid
from workers.proof import can_be_proven, proven
from workers.router import Router
from workers.testing import cancelled, claimed, completed, decision, timed_out

WORDS = ("callback", "signed", "confirmed")


def handler(made: Decision) -> None:
    """What a user writes."""


def boom(value: Any) -> bool:
    raise LookupError("boom")


def one_route(*events: str, **options: Any) -> Router:
    router = Router()
    router.on(*(events or ("*",)), **options)(handler)
    return router


def waits(made: Decision, *events: str, **options: Any) -> bool:
    router = one_route(*events, **options)
    return router.unproven(made) != () and router.match(made) == ()


@pytest.mark.parametrize(
    ("trust", "waiting"),
    [
        ("confirmed", True), (["signed", "confirmed"], True), (lambda word: word == "confirmed", True),
        ("signed", False), ("callback", False), (list(WORDS), False), (lambda word: False, False),
    ],
)  # fmt: skip
def test_what_trust_alone_keeps_from_a_route_waits_for_proof(trust: Any, waiting: bool):
    assert waits(completed(trust="callback"), trust=trust) is waiting


@pytest.mark.parametrize("made", [completed(False), timed_out("Approve"), cancelled()])
def test_however_a_request_ended_its_end_can_be_proven(made: Decision):
    assert waits(made, "request.*", trust="confirmed")


@pytest.mark.parametrize(
    "made",
    [
        claimed(), decision(event="loop.created"), completed(request_id=None), completed(request_id=""),
        completed(trust="confirmed"),
    ],
)  # fmt: skip
def test_what_the_api_does_not_tell_or_has_told_never_waits(made: Decision):
    assert one_route("*", trust="confirmed").unproven(made) == ()


def test_what_another_condition_keeps_from_a_route_does_not_wait():
    assert not waits(completed("Reject"), trust="confirmed", response="Approve")
    assert not waits(completed(), trust="confirmed", when=lambda made: made.response == "Reject")
    assert not waits(timed_out(), "request.completed", trust="confirmed")


@pytest.mark.parametrize(("trust", "waiting"), [("confirmed", True), (["signed", "confirmed"], False)])
def test_a_conflict_may_turn_out_to_be_what_happened(trust: Any, waiting: bool):
    assert waits(completed(trust="callback", conflict=True), trust=trust) is waiting


def test_a_route_that_another_of_its_rules_wants_now_does_not_wait():
    router = one_route("request.*", trust="confirmed")
    router.on("request.timeout")(handler)

    assert ([route.name for route in router.match(timed_out())], router.unproven(timed_out())) == (["handler"], ())
    assert (router.match(completed()), [route.name for route in router.unproven(completed())]) == ((), ["handler"])


def test_the_other_conditions_see_the_decision_as_it_would_be_confirmed():
    seen: list[str] = []

    waits(completed(trust="signed"), trust="confirmed", when=lambda made: seen.append(made.trust))

    assert seen == ["confirmed"]


def test_where_a_function_raises_the_decision_waits_rather_than_being_dropped():
    assert waits(completed(), trust="confirmed", when=boom)


def test_where_the_function_of_trust_raises_it_is_seen_at_once():
    router = one_route(trust=boom)

    assert ([route.name for route in router.match(completed())], router.unproven(completed())) == (["handler"], ())


def test_otherwise_does_not_run_for_what_waits():
    router = one_route("request.completed", trust="confirmed", response="Approve")

    @router.otherwise
    def unrouted(made: Decision) -> None: ...

    assert router.match(completed("Approve")) == ()
    assert [route.name for route in router.match(completed("Reject"))] == ["unrouted"]


def test_an_included_router_keeps_its_demands():
    router = Router()
    router.include(one_route("request.*", trust="confirmed"), prefix="billing")

    assert [route.name for route in router.unproven(completed())] == ["billing.handler"]


# -- what demands proof ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("trust", "demands"),
    [
        ("confirmed", True), (["callback", "confirmed"], True), (lambda word: word == "confirmed", True), (boom, True),
        ("signed", False), (list(WORDS), False), (lambda word: True, False),
    ],
)  # fmt: skip
def test_routes_that_demand_proof_are_named(trust: Any, demands: bool):
    router = one_route("request.*", trust=trust)
    router.on("request.*", name="other")(print)

    assert router.demands_proof == (("handler",) if demands else ())


@pytest.mark.parametrize("event", ["request.claimed", "loop.*", "turn.resolved", "panel.convened", "user.*"])
def test_proof_of_an_event_that_ends_no_request_is_refused(event: str):
    with pytest.raises(RouteInvalid, match=re.escape(f"can never hold for {event!r}, which ends no request")):
        one_route("request.completed", event, trust="confirmed")


@pytest.mark.parametrize(
    ("event", "trust"),
    [
        ("*", "confirmed"), ("request.*", ["confirmed"]), ("request.timeout", "confirmed"),
        ("request.claimed", ["signed", "confirmed"]), ("loop.*", lambda word: word == "confirmed"),
    ],
)  # fmt: skip
def test_a_demand_that_might_be_met_is_accepted(event: str, trust: Any):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        one_route(event, trust=trust)


# -- what takes the place of a contradicted event ----------------------------------------------------


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        ({"trust": "confirmed"}, True), ({"trust": lambda word: word == "confirmed"}, True), ({"conflict": True}, True),
        ({}, False), ({"trust": ["signed", "confirmed"]}, False), ({"late": True}, False),
    ],
)  # fmt: skip
def test_what_overrules_runs_only_where_nothing_can_have_run_before(options: dict[str, Any], wanted: bool):
    router = one_route(**options)

    assert bool(router.match(completed(overrules=True))) is wanted


def test_any_other_conflict_is_wanted_only_where_conflicts_are():
    router = one_route(trust="confirmed")

    assert router.match(completed(conflict=True, trust="confirmed")) == ()


# -- laws --------------------------------------------------------------------------------------------


@given(
    demanded=st.lists(st.sampled_from(WORDS), min_size=1), trust=st.sampled_from(WORDS),
    wanted=st.sampled_from(["Approve", "Reject"]), conflict=st.booleans(),
)  # fmt: skip
def test_a_route_runs_now_or_waits_or_would_not_run_if_it_were_confirmed(
    demanded: list[str], trust: str, wanted: str, conflict: bool
):
    router = one_route(trust=demanded, response=wanted)
    made = completed("Approve", trust=trust, conflict=conflict)

    now, waiting = router.match(made), router.unproven(made)

    assert not (now and waiting)
    assert bool(waiting) == (not now and can_be_proven(made) and bool(router.match(proven(made))))
