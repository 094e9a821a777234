from functools import partial
from typing import Any

import pytest

from hitlsh.events import Event
from hitlsh.webhooks.parsing import parse
from workers.decision import Decision
from workers.routing.router import Router
from workers.testing import REVIEWER, cancelled, claimed, completed, decision, timed_out

#: What the parser reads in the body and the builder set itself.
FIELDS = ("request_id", "loop_id", "status", "outcome", "source", "response", "reviewer", "labels")


@pytest.mark.parametrize(
    "made",
    [
        decision(), completed("Reject"), completed(False), completed(0), completed(""), completed([]),
        completed(["a", "b"], labels=["A", "B"]), completed(8.5, response_type="rating", labels=["Good"]),
        completed("Longer", response_type="text"), completed("New", response_type="editable_text"),
        completed(True, labels=["Ship it"]), completed("x", request_id="r9", loop_id="l9", reviewer=None),
        timed_out("Reject"), cancelled(), claimed(), completed("Reject", variant="nested"),
        decision(outcome="timeout"),
    ],
)  # fmt: skip
def test_the_body_says_what_the_decision_says(made: Decision):
    event = parse(made.body)

    assert isinstance(event, Event)
    assert event.name == made.event == made.raw["event"]
    assert {name: getattr(event, name) for name in FIELDS} == {name: getattr(made, name) for name in FIELDS}
    assert (event.key, event.variant) == (made.event_key, made.variant)


def test_by_default_a_person_approved():
    made = decision()

    assert (made.event, made.response, made.reviewer, made.trust) == (
        "request.completed", "Approve", REVIEWER, "callback",
    )  # fmt: skip
    assert made.answered
    assert made.received_at.tzinfo is not None


def test_a_timeout_has_a_default_and_no_response():
    made = timed_out("Reject")

    assert (made.response, made.default_response, made.source) == (None, "Reject", "vendor_default")


@pytest.mark.parametrize(
    ("response", "kind"), [("a", "single_select"), ([], "multi_select"), (1.5, "number"), (False, "boolean")]
)
def test_the_response_type_follows_the_response(response: Any, kind: str):
    assert completed(response).response_type == kind


def test_any_field_can_be_changed():
    made = claimed(state={"order": 7}, late=True, attempt=2, body=b"own")

    assert (made.state, made.late, made.attempt, made.body) == ({"order": 7}, True, 2, b"own")


def test_an_unknown_field_is_refused_with_a_suggestion():
    with pytest.raises(TypeError, match="did you mean 'response'"):
        completed(respons="Approve")


async def test_a_handler_is_tested_by_calling_it():
    router, paid = Router(), []

    @router.on("request.completed", response="Approve")
    async def pay_out(made: Decision) -> None:
        paid.append(made.state["order"])

    await pay_out(completed("Approve", state={"order": 7}))

    assert paid == [7]


ANSWER = {"response": "v1", "labels": ["Quite another word"], "state": {"order": 7}, "metadata": {"tier": "gold"}}


@pytest.mark.parametrize(
    ("way", "trust", "response", "state"),
    [
        ("callback", "callback", "v1", {"order": 7}),
        ("account webhook", "signed", "Quite another word", None),
        ("poll", "confirmed", "Quite another word", None),
    ],
)
def test_a_decision_is_what_one_delivery_of_it_says(way: Any, trust: str, response: str, state: Any):
    made = completed(**ANSWER, loop_name="Payouts", as_received_by=way)

    assert (made.trust, made.response, made.state, made.metadata) == (trust, response, state, None)
    assert (made.loop_name == "Payouts") == (way == "account webhook")
    assert "context" in made.missing


def test_a_route_that_depends_on_the_form_shows():
    router = Router()
    router.on("request.completed", state={"order": 7}, name="pay")(lambda made: None)
    router.on("request.completed", response="v1", name="log")(lambda made: None)

    wanted = {
        way: [route.name for route in router.match(completed(**ANSWER, as_received_by=way))]
        for way in ("callback", "account webhook", "poll", None)
    }

    assert wanted == {"callback": ["pay", "log"], "account webhook": [], "poll": [], None: ["pay", "log"]}


@pytest.mark.parametrize("way", ["callback", "account webhook", "poll"])
@pytest.mark.parametrize(
    "build",
    [
        completed, timed_out, cancelled,
        partial(completed, ["a", "b"]), partial(completed, 4, response_type="rating"), partial(completed, False),
        partial(completed, "Longer", response_type="text"), partial(completed, "New", response_type="editable_text"),
    ],
)  # fmt: skip
def test_each_way_keeps_the_request_the_outcome_and_the_times(way: Any, build: Any):
    made, known = build(as_received_by=way), build()

    for name in ("event", "event_key", "request_id", "loop_id", "outcome", "source", "response"):
        assert getattr(made, name) == getattr(known, name), name
    # A callback tells no time of what nobody answered.
    tells_time = way != "callback" or known.answered
    assert made.occurred_at == (known.occurred_at if tells_time else None)


def test_only_an_account_webhook_tells_of_a_claim():
    assert claimed(as_received_by="account webhook").reviewer.id == REVIEWER.id
    for way in ("callback", "poll"):
        with pytest.raises(TypeError, match="does not report request\\.claimed in this way"):
            claimed(as_received_by=way)


def test_an_unknown_channel_is_refused():
    with pytest.raises(TypeError, match="did you mean 'account webhook'"):
        completed(as_received_by="account webhok")  # type: ignore[arg-type]


def test_the_way_determines_the_trust():
    with pytest.raises(TypeError, match="as_received_by='poll' determines it"):
        completed(trust="signed", as_received_by="poll")
