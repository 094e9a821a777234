"""Every documented form of an answer reads as the type that was asked."""

from typing import Any

import pytest

from hitlsh.api import (
    Option,
    boolean,
    multi_select,
    number,
    outcome_of,
    rating,
    read_answer,
    single_select,
    text,
)


@pytest.mark.parametrize(
    ("response_type", "sent", "value"),
    [
        ("single_select", "Approve", "Approve"),
        ("single_select", {"selected_value": "approve", "selected_label": "Approve"}, "approve"),
        ("single_select", ["Approve"], "Approve"),
        ("multi_select", ["A", "B"], ["A", "B"]),
        ("multi_select", {"selected_values": [], "selected_labels": []}, []),
        ("multi_select", "A", ["A"]),
        ("rating", 0, 0),
        ("rating", {"rating": 4, "rating_label": "Good"}, 4),
        ("rating", "4", 4),
        ("number", {"number": 0, "formatted_value": "$0.00"}, 0),
        ("number", "2.5", 2.5),
        ("number", "lots", "lots"),
        ("boolean", False, False),
        ("boolean", {"boolean": False, "boolean_label": "No"}, False),
        ("boolean", "No", False),
        ("boolean", "perhaps", "perhaps"),
        ("text", "", ""),
        ("text", "0", "0"),
        ("editable_text", {"revised_text": "", "was_edited": True}, ""),
        (None, {"unknown": 1}, {"unknown": 1}),
    ],
)
def test_an_answer_reads_as_what_was_asked(response_type: str | None, sent: Any, value: Any) -> None:
    answer = read_answer(sent, response_type)

    assert answer is not None
    assert (answer.value, type(answer.value)) == (value, type(value))


def test_only_null_is_no_answer() -> None:
    assert read_answer(None, "text") is None
    assert read_answer({"selected_value": None}, "single_select") is None


def test_labels_and_edits_are_kept() -> None:
    chosen = read_answer({"selected_values": ["a"], "selected_labels": ["Option A"]}, "multi_select")
    edited = read_answer({"revised_text": "x", "was_edited": False}, "editable_text")

    assert chosen is not None
    assert chosen.labels == ("Option A",)
    assert edited is not None
    assert edited.was_edited is False


@pytest.mark.parametrize(
    "sent", ["Approve with Warning", "approve_with_warning", {"selected_value": "approve_with_warning"}]
)
def test_an_option_is_recognised_by_label_value_or_slug(sent: Any) -> None:
    answer = single_select("Approve with Warning", "Reject").answer(sent)

    assert answer is not None
    assert answer.matches("Approve with Warning")
    assert answer.matches("approve_with_warning")
    assert not answer.matches("Reject")


@pytest.mark.parametrize("sent", ["ok", "All right", {"selected_value": "ok"}])
def test_an_option_with_a_value_of_its_own_is_recognised_by_both(sent: Any) -> None:
    answer = single_select(Option(value="ok", label="All right"), "No").answer(sent)

    assert answer is not None
    assert answer.matches("ok")
    assert answer.matches("All right")
    assert answer.labels == ("All right",)


def test_a_boolean_knows_its_own_labels() -> None:
    answer = boolean("Ship it", "Hold").answer("hold")

    assert answer is not None
    assert answer.value is False


def test_a_list_answer_matches_each_of_its_options() -> None:
    answer = multi_select("A", "B", "C").answer(["A", "B"])

    assert answer is not None
    assert [answer.matches(option) for option in "ABC"] == [True, True, False]


def test_every_builder_reads_its_own_answers() -> None:
    read = [question.answer(0) for question in (rating(0, 5), number(0, 5))] + [text().answer("")]

    assert [answer.value for answer in read if answer is not None] == [0, 0, ""]


@pytest.mark.parametrize(
    ("word", "outcome"),
    [
        ("completed", "completed"),
        ("answered", "completed"),
        ("timed_out", "timeout"),
        ("Timed Out", "timeout"),
        ("expired", "timeout"),
        ("canceled", "cancelled"),
        ("pending", None),
        ("claimed", None),
        ("In Review", None),
        (None, None),
    ],
)
def test_every_documented_status_word_is_understood(word: str | None, outcome: str | None) -> None:
    assert outcome_of(word) == outcome
