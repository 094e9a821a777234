import inspect
import pydoc
import re
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from hitlsh.callbacks import CallbackState
from hitlsh.events import Event, Reviewer
from workers.decision import ATTRIBUTES, Decision, StoredEvent
from workers.testing import cancelled, completed, decision, timed_out

AT = datetime(2026, 4, 2, 8, 0, tzinfo=UTC)


def test_every_field_of_the_event_that_a_decision_shares_is_taken_over():
    event = Event(
        variant="nested", name="request.completed", key="request.completed:r1", request_id="r1", loop_id="l1",
        loop_name="Desk", status="completed", outcome="completed", source="human", response=["a"],
        response_type="multi_select", labels=("A",), default_response="b", reviewer=Reviewer(id="u1"),
        metadata={"k": 1}, occurred_at=AT,
    )  # fmt: skip

    callback = CallbackState(state={"s": 1})
    stored = StoredEvent(event=event, trust="signed", received_at=AT, callback=callback, body=b"{}")
    made = Decision.from_stored(stored, attempt=3)

    shared = set(Event.__struct_fields__) & set(ATTRIBUTES)
    assert made.delivered is event
    assert {name: getattr(made, name) for name in shared} == {name: getattr(event, name) for name in shared}
    assert (made.event, made.event_key, made.trust, made.state) == (event.name, event.key, "signed", {"s": 1})
    assert (made.attempt, made.late, made.conflict, made.body) == (3, False, False, b"{}")


@pytest.mark.parametrize("response", [False, 0, 0.0, "", [], "no"])
def test_a_falsy_response_is_an_answer(response: Any):
    assert completed(response).answered


@pytest.mark.parametrize("made", [timed_out("Reject"), cancelled(), completed(None)])
def test_a_decision_without_an_answer_is_not_answered(made: Decision):
    assert not made.answered
    assert made.response is None


def test_a_default_that_the_vendor_assumed_is_no_answer():
    assert not completed("Approve", source="vendor_default").answered


def test_raw_is_the_parsed_body():
    assert decision(body=b'{"event": "x", "own": [1]}').raw == {"event": "x", "own": [1]}


@pytest.mark.parametrize("body", [b"", b"nope", b'"\xff"', b"[" * 100_000])
def test_raw_of_a_body_that_is_not_json_is_none(body: bytes):
    assert decision(body=body).raw is None


def test_neither_repr_shows_body_email_state_or_metadata():
    made = completed(
        reviewer=Reviewer(id="u1", name="Nameless", email="secret@example.com"),
        state={"token": "secret"}, metadata={"note": "secret"}, body=b"secret",
    )  # fmt: skip

    shown = repr(made) + repr(made.__rich_repr__())

    assert "secret" not in shown
    assert "Nameless" not in shown
    assert "reviewer_id='u1'" in shown


def test_repr_keeps_a_long_answer_short():
    assert len(repr(completed("x" * 5_000))) < 400


def test_a_decision_is_frozen():
    with pytest.raises(AttributeError):
        completed().response = "Reject"  # type: ignore[misc]


def test_a_decision_survives_the_way_through_json():
    made = completed("Approve", state={"order": 7}, metadata={"k": "v"})

    assert msgspec.json.decode(msgspec.json.encode(made), type=Decision) == made


def test_help_describes_each_public_attribute():
    shown = re.sub("\b.", "", pydoc.render_doc(Decision))
    public = [name for name, value in inspect.getmembers(Decision) if isinstance(value, property)]

    described = dict(re.findall(r"^ \|  (\w+)\n \|      (\S.+)$", shown, re.MULTILINE))

    assert (
        {*ATTRIBUTES, "delivered", "answered", "raw", "label", "is_completable", "is_doubtful"}
        == set(public)
        <= described.keys()
    )
    assert not [name for name in dir(Decision) if not name.startswith("_") and name not in {*public, "from_stored"}]
