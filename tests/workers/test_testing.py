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


def test_what_timed_out_has_a_default_and_no_response():
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
