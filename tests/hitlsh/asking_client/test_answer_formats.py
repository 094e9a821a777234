"""What `answer=` takes, and the Python type of each response."""

from enum import Enum, IntEnum
from typing import Any

import pytest

from hitlsh import (
    AnswerUnexpected,
    ArgumentInvalid,
    boolean,
    editable_text,
    multi_select,
    number,
    rating,
    single_select,
    text,
    whole_number,
)
from hitlsh.asking_client.answer_formats import answer_format


class Verdict(Enum):
    APPROVE = "Approve"
    REJECT = "Reject it"


class Priority(IntEnum):
    LOW = 1
    VERY_HIGH = 9


@pytest.mark.parametrize(
    ("answer", "response", "value"),
    [
        (bool, False, False),
        (bool, "No", False),
        (boolean("Go", "Stop"), "Stop", False),
        (Verdict, "Reject it", Verdict.REJECT),
        (Verdict, "reject_it", Verdict.REJECT),
        (Priority, "VERY_HIGH", Priority.VERY_HIGH),
        (Priority, "Very high", Priority.VERY_HIGH),
        (whole_number(0, 5), 0, 0),
        (whole_number(0, 5), 4.0, 4),
        (rating(), 4, 4),
        (number(0, 1), 0.25, 0.25),
        (single_select("Approve", "Reject it"), "reject_it", "Reject it"),
        (multi_select("A", "B"), [], []),
        (multi_select("A", "B"), ["b"], ["B"]),
        (text(), "", ""),
        (editable_text("Dear"), "Dear all", "Dear all"),
    ],
)
def test_a_response_is_read_as_its_type(answer: Any, response: Any, value: Any) -> None:
    read: Any = answer_format(answer).read(response)

    assert read == value
    assert type(read) is type(value)


@pytest.mark.parametrize(
    ("answer", "response"),
    [
        (bool, "maybe"),
        (bool, 1),
        (Verdict, "Postpone"),
        (whole_number(1, 5), 2.5),
        (whole_number(1, 5), 6),
        (whole_number(1, 5), True),
        (rating(), "five"),
        (text(), 5),
        (multi_select("A", "B"), ["A", "C"]),
        (single_select("A", "B"), None),
    ],
)
def test_a_response_that_was_never_offered_is_not_taken_for_an_answer(answer: Any, response: Any) -> None:
    with pytest.raises(AnswerUnexpected, match="none that the question"):
        answer_format(answer).read(response)


def test_an_enum_of_texts_offers_its_values_and_another_its_names() -> None:
    assert answer_format(Verdict).question.response_config["options"] == ["Approve", "Reject it"]
    assert answer_format(Priority).question.response_config["options"] == [
        {"value": "LOW", "label": "Low"},
        {"value": "VERY_HIGH", "label": "Very high"},
    ]


def test_a_default_is_a_member_of_the_enum() -> None:
    assert answer_format(Verdict).default(Verdict.REJECT) == "Reject it"
    assert answer_format(Priority).default(Priority.LOW) == "LOW"
    with pytest.raises(ArgumentInvalid, match="must be one of the options"):
        answer_format(Verdict).default(Priority.LOW)


class Empty(Enum):
    pass


@pytest.mark.parametrize("answer", [str, int, Empty, "bool", None, 5])
def test_what_is_no_answer_type_is_refused(answer: Any) -> None:
    with pytest.raises(ArgumentInvalid, match="give bool, an Enum class"):
        answer_format(answer)


@pytest.mark.parametrize("ends", [(1.5, 5), (1, 2.0), (True, 5), (5, 1)])
def test_the_ends_of_a_whole_number_are_whole_and_in_order(ends: Any) -> None:
    with pytest.raises(ArgumentInvalid, match=r"whole number|smaller number"):
        whole_number(*ends)
