"""A route that needs a missing field waits for it; every other route runs at once."""

from typing import Any

import pytest

from hitlsh.callbacks import CallbackState
from hitlsh.events import Event, Reviewer, Trust
from hitlsh.request_details import RequestDetails
from workers import Router
from workers.completion import KnownDetails
from workers.decision import Decision, StoredEvent
from workers.errors import RouteInvalid
from workers.testing import NOW

NOTHING = KnownDetails()
ALL = KnownDetails(
    api=RequestDetails(response_type="text", loop_id="l1", context={"tier": "gold"}),
    loop_name="Desk",
    callback=CallbackState(id="t", state={"order": 7}),
)


def made(known: KnownDetails = NOTHING, *, can_read: bool = True, **changes: Any) -> Decision:
    fields: dict[str, Any] = {
        "variant": "nested",
        "name": "request.completed",
        "key": "request.completed:r1",
        "request_id": "r1",
        "loop_id": "l1",
        "outcome": "completed",
        "source": "human",
        "response": "Approve",
        "reviewer": Reviewer(id="u1"),
    }
    event = Event(**{**fields, **changes})
    return Decision.from_stored(
        StoredEvent(event=event, trust="signed", received_at=NOW, known_details=known), can_read=can_read
    )


def handler(decision: Decision) -> None: ...


def rest(decision: Decision) -> None: ...


def run_and_wait(decision: Decision, **conditions: Any) -> tuple[list[str], list[str]]:
    router = Router()
    router.on("request.completed", **conditions)(handler)
    router.otherwise(rest)
    waits = router.waits(decision)
    assert all(wait.needs == "details" for wait in waits)
    return [route.name for route in router.match(decision)], [wait.route.name for wait in waits]


UNDECIDED: list[dict[str, Any]] = [
    {"state": {"order": 7}},
    {"state": lambda state: state["order"] == 7},
    {"metadata": {"tier": "gold"}},
    {"response": "Quite another word"},
    {"response_type": "text"},
    {"response": True},
    {"reviewer": "Ada"},
    {"loop": "Desk"},
    {"loop": ["665f1c2ab3d4e5f6a7b8c9d0", "Desk"]},
    {"loop": lambda name: name == "Desk"},
    {"when": lambda decision: decision.question.context == {"tier": "gold"}, "needs": ("context",)},
]
DECIDED: list[dict[str, Any]] = [
    {},
    {"loop": "l1"},
    {"response": "Approve"},
    {"reviewer": "u1"},
    {"reviewer": ["u1", "ada@example.com"]},
    {"source": "human"},
    {"when": lambda decision: decision.response == "Approve"},
]
NEVER: list[dict[str, Any]] = [
    {"loop": "665f1c2ab3d4e5f6a7b8c9d0"},
    {"loop": "l1", "reviewer": "u1", "when": lambda decision: False, "state": {"order": 7}},
    {"when": lambda decision: False, "state": {"order": 7}},
]


@pytest.mark.parametrize("position", range(len(UNDECIDED)))
def test_an_undecided_route_waits_and_otherwise_with_it(position: int) -> None:
    assert run_and_wait(made(), **UNDECIDED[position]) == ([], ["handler", "rest"])


@pytest.mark.parametrize("position", range(len(UNDECIDED)))
def test_without_anything_to_ask_it_decides_by_what_there_is(position: int) -> None:
    for decision in (made(can_read=False), made(KnownDetails(is_unavailable=True))):
        ran, waits = run_and_wait(decision, **{**UNDECIDED[position], **_safe(UNDECIDED[position])})

        assert (ran, waits) == (["rest"], [])


def _safe(conditions: dict[str, Any]) -> dict[str, Any]:
    """Whether the predicate can be called: one that reads a missing field raises, which counts as a match."""
    return {"state": lambda state: bool(state)} if callable(conditions.get("state")) else {}


@pytest.mark.parametrize("position", range(len(DECIDED)))
def test_a_route_that_needs_nothing_missing_runs_at_once(position: int) -> None:
    assert run_and_wait(made(), **DECIDED[position]) == (["handler"], [])


@pytest.mark.parametrize("position", range(len(NEVER)))
def test_a_route_that_is_not_for_it_anyway_does_not_wait(position: int) -> None:
    assert run_and_wait(made(), **NEVER[position]) == (["rest"], [])


@pytest.mark.parametrize("conditions", [{"state": {"order": 7}}, {"loop": "Desk"}, {"metadata": {"tier": "gold"}}])
def test_once_the_request_is_known_it_runs(conditions: dict[str, Any]) -> None:
    assert run_and_wait(made(ALL), **conditions) == (["handler"], [])


def test_otherwise_does_not_wait_where_another_route_runs() -> None:
    router = Router()
    router.on("request.completed", state={"order": 7})(handler)
    router.on("request.completed", name="all")(lambda decision: None)
    router.otherwise(rest)

    assert [route.name for route in router.match(made())] == ["all"]
    assert [wait.route.name for wait in router.waits(made())] == ["handler"]


def test_otherwise_is_wanted_only_once_no_route_is() -> None:
    router = Router()
    router.on("request.completed", state={"order": 7})(handler)
    router.otherwise(rest)

    assert not router.wants(router["rest"], made())
    assert not router.wants(router["rest"], made(ALL))
    assert router.wants(router["rest"], made(KnownDetails(api=RequestDetails())))


@pytest.mark.parametrize("options", [{"needs": ("context",)}, {"needs": "nonsense", "when": bool}])
def test_needs_are_checked(options: dict[str, Any]) -> None:
    with pytest.raises(RouteInvalid, match="needs"):
        Router().on("request.completed", **options)


def test_a_route_named_after_another_answer_does_not_wait_where_one_names_this() -> None:
    router = Router()
    router.on("request.completed", response="Approve", name="pay")(lambda decision: None)
    router.on("request.completed", response="Reject", name="refund")(lambda decision: None)
    router.on("request.completed", response=lambda response: response == "v1", name="own")(lambda decision: None)

    assert [route.name for route in router.match(made())] == ["pay"]
    assert [wait.route.name for wait in router.waits(made())] == ["own"]
    assert [wait.route.name for wait in router.waits(made(response="Hold"))] == ["pay", "refund", "own"]


def test_an_email_address_needs_no_name() -> None:
    delivered = made(reviewer=Reviewer(id="u1", email="ada@example.com"))

    assert run_and_wait(delivered, reviewer="bob@example.com") == (["rest"], [])
    assert run_and_wait(delivered, reviewer="Bob") == ([], ["handler", "rest"])


def test_a_callback_names_the_value() -> None:
    delivered = made(variant="callback-v2", response="v1", response_type="single_select")

    assert "response" not in delivered.missing
    assert run_and_wait(delivered, response="Approve") == (["rest"], [])


def test_a_bool_is_in_no_answer_to_a_select() -> None:
    assert run_and_wait(made(response_type="single_select"), response=True) == (["rest"], [])


# -- an answer that was not offered ---------------------------------------------------------------------------------

QUESTION = RequestDetails(
    response_type="single_select", response_config={"options": ["Approve", "Reject"]}, loop_id="l1"
)
ASKED = KnownDetails(asked=QUESTION, loop_name="Desk")


def unexpected(*, trust: Trust = "signed", can_read: bool = True, **flags: Any) -> Decision:
    event = made(response="Something else").delivered
    stored = StoredEvent(event=event, trust=trust, received_at=NOW, known_details=ASKED, **flags)
    return Decision.from_stored(stored, can_read=can_read)


def routes_for(decision: Decision) -> tuple[list[str], list[tuple[str, str]]]:
    """The routes that run, and those that wait with what they need; `pay` accepts offered answers."""
    router = Router()
    router.on("request.completed", name="log")(lambda decision: None)
    router.on("request.completed", response="Approve", name="pay")(lambda decision: None)
    router.on("request.completed", response=lambda response: response == "Something else", name="own")(
        lambda decision: None
    )
    router.on("request.completed", conflict=True, name="conflicts")(lambda decision: None)
    router.otherwise(rest)
    return [route.name for route in router.match(decision)], [
        (one.route.name, one.needs) for one in router.waits(decision)
    ]


def test_an_answer_that_was_not_offered_is_confirmed_first() -> None:
    assert unexpected().unexpected
    assert routes_for(unexpected()) == ([], [(name, "confirmed") for name in ("log", "own", "conflicts")])


@pytest.mark.parametrize("decision", [unexpected(trust="confirmed"), unexpected(can_read=False)])
def test_once_confirmed_or_where_nobody_can_be_asked_it_is_routed_like_any_other(decision: Decision) -> None:
    assert decision.unexpected
    assert routes_for(decision) == (["log", "own", "conflicts"], [])


def test_a_conflict_has_nothing_to_wait_for() -> None:
    assert routes_for(unexpected(conflict=True)) == (["conflicts"], [])


def test_otherwise_waits_where_no_other_route_would_want_it() -> None:
    router = Router()
    router.on("request.completed", response="Approve", name="pay")(lambda decision: None)
    router.otherwise(rest)

    assert [route.name for route in router.match(unexpected())] == []
    assert [(wait.route.name, wait.needs, wait.is_urgent) for wait in router.waits(unexpected())] == [
        ("rest", "confirmed", True)
    ]
    assert [route.name for route in router.match(unexpected(trust="confirmed"))] == ["rest"]
    assert router.wants(router["rest"], unexpected(trust="confirmed"))


def test_a_route_that_demands_a_signature_waits_for_more() -> None:
    router = Router()
    router.on("request.completed", trust="signed", name="pay")(lambda decision: None)

    assert [(wait.route.name, wait.needs) for wait in router.waits(unexpected(trust="callback"))] == [
        ("pay", "confirmed")
    ]
