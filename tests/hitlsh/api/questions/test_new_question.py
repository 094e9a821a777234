"""Questions as values: what is read from JSON, what is refused, and when two are the same."""

import itertools
from contextlib import suppress
from typing import Any

import msgspec
import pytest

from hitlsh import multi_select, number, rating, single_select, text
from hitlsh.api.questions.builders import Question, boolean, editable_text
from hitlsh.api.questions.new_question import (
    Escalation,
    NewQuestion,
    decode_question,
    differing_fields,
    encode_question,
)
from hitlsh.api.questions.question_types import read_question
from hitlsh.asking.ask_errors import QuestionInvalid
from hitlsh.asking.ask_outcomes import Answered, TimedOut
from hitlsh.asking.asked_request import AskedRequest, decode_asked, encode_asked


def question(**fields: Any) -> NewQuestion:
    usual: dict[str, Any] = {
        "text": "Refund 120 EUR?",
        "loop": "Payouts",
        "response_type": "single_select",
        "response_config": {"options": ["Approve", "Reject"]},
        "default_response": "Reject",
    }
    return NewQuestion(**usual | fields)


def problems(**fields: Any) -> list[str]:
    with pytest.raises(QuestionInvalid) as invalid:
        question(**fields).check()
    return [problem.field for problem in invalid.value.problems]


@pytest.mark.parametrize(
    "built",
    [
        single_select("Approve", "Reject"),
        multi_select("a", "b", "c", min_selections=0, max_selections=2),
        rating(0, 10, scale_step=0.5, labels={0: "poor"}),
        number(-5, 5, decimal_places=0, suffix="EUR"),
        text(max_length=80),
        editable_text("Dear Ann", max_length=200),
        boolean("Pay", "Keep"),
    ],
    ids=lambda built: built.response_type,
)
def test_a_configuration_is_read_as_its_builder_made_it(built: Question) -> None:
    read = read_question(built.response_type, built.response_config)

    assert (read.response_config, read.check) == (built.response_config, built.check)


def test_a_question_survives_json() -> None:
    asked = question(
        key="refund-42", state=[0], escalate_to=(Escalation(loop="On call", timeout_seconds=600),), timeout_seconds=60
    )

    assert decode_question(encode_question(asked)) == asked
    assert decode_question(msgspec.json.encode(asked)) == asked


def test_a_default_that_is_falsy_survives_json() -> None:
    asked = question(response_type="boolean", response_config={}, default_response=False)

    assert decode_question(encode_question(asked)).default_response is False


def test_every_problem_is_told_at_once() -> None:
    found = problems(text=" ", default_response="Maybe", timeout_seconds=5, image_url="x", key="", state="x" * 3_000)

    assert found == ["text", "timeout_seconds", "default_response", "image_url", "key", "state"]


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"response_type": "word"}, "response_type"),
        ({"response_config": {}}, "response_config.options"),
        ({"response_config": {"options": [1]}}, "response_config.options[0]"),
        ({"response_config": {"options": ["a"], "colour": 1}}, "response_config.colour"),
        ({"default_response": None}, "default_response"),
        ({"escalate_to": (Escalation(loop="On call", timeout_seconds=600),)}, "timeout_seconds"),
        ({"context": {"x": "y" * 70_000}}, ""),
    ],
)
def test_a_problem_names_its_field(fields: dict[str, Any], named: str) -> None:
    assert problems(**fields) == [named]


def nested(levels: int) -> list[Any]:
    return [nested(levels - 1)] if levels > 1 else []


@pytest.mark.parametrize("state", [nested(65), (1, 2), {1: "a"}], ids=["deep", "tuple", "key"])
def test_a_state_that_no_callback_url_can_carry_is_refused(state: Any) -> None:
    assert problems(state=state) == ["state"]


def test_a_context_that_nests_too_deeply_for_a_delivery_is_refused() -> None:
    assert problems(context={"a": nested(32)}) == ["context"]
    question(context={"a": nested(31)}, state=nested(64)).check()


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b"[]", b'{"text": 1}', b'{"text": "a", "loup": "b"}'])
def test_what_is_no_question_is_invalid(body: bytes) -> None:
    with pytest.raises(QuestionInvalid):
        decode_question(body)


def test_questions_differ_in_what_is_asked_and_not_in_how() -> None:
    assert differing_fields(question(key="a"), question(key="b", when_limited="refuse")) == []
    assert differing_fields(question(state={"a": 1, "b": 2}), question(state={"b": 2, "a": 1})) == []
    assert differing_fields(question(state=1), question(state=True, text="Other?")) == ["state", "text"]


def test_an_asked_request_survives_json_with_each_outcome() -> None:
    for outcome in (Answered(response=False, trust="signed"), TimedOut(default_response=0, trust="callback"), None):
        request = AskedRequest(
            id="ask_x", status="ended", text="?", response_type="boolean", outcome=outcome, version=3
        )

        assert decode_asked(encode_asked(request)) == request


_VALUES = (None, True, "x", "", 0, -1, 1e308, 5e-324, 10**400, [], ["a", ["b"]], {}, {"1": 2}, {"a": {"b": [1]}})
_FIELDS = {
    "rating": ({"scale_min": 1, "scale_max": 5}, ("scale_min", "scale_max", "scale_step", "labels")),
    "number": ({"min_value": 0, "max_value": 9}, ("min_value", "max_value", "decimal_places", "prefix")),
    "text": ({}, ("max_length", "min_length", "placeholder")),
    "editable_text": ({"draft_text": "a"}, ("draft_text", "max_length")),
    "boolean": ({}, ("true_label", "false_label")),
    "single_select": ({"options": ["a", "b"]}, ("options",)),
    "multi_select": ({"options": ["a", "b"]}, ("options", "min_selections", "max_selections")),
}


@pytest.mark.parametrize("response_type", _FIELDS)
def test_no_configuration_or_default_raises_anything_else(response_type: str) -> None:
    usual, names = _FIELDS[response_type]
    configs = [usual | {name: value} for name in names for value in _VALUES]

    for config, default in itertools.product(configs, (1, "a", True, ["a"], {"a": 1}, 1e308, 10**400)):
        with suppress(QuestionInvalid):
            question(response_type=response_type, response_config=config, default_response=default).check()
