"""One answer in every form, and which forms can be compared."""

import json
import re
from typing import Any

import pytest

from hitlsh.event_json import decode_event, encode_event
from hitlsh.webhooks.responses import spelling
from tests.hitlsh.bodies import ID, callback, event, nested


@pytest.mark.parametrize(
    "form",
    [
        callback({"selected_value": "Approve with Warning"}),
        callback({"selected_value": "approve_with_warning", "selected_label": "Approve with Warning"}),
        callback("approve_with_warning"),
        nested(response_data="Approve with Warning"),
        {"request_id": ID, "status": "completed", "response": "Approve with warning"},
    ],
)
def test_one_answer_has_one_fingerprint_in_every_form(form: dict[str, Any]) -> None:
    bare = event(callback("Approve with Warning"))

    assert bare.fingerprint is not None
    assert re.fullmatch("[0-9a-f]{16}", bare.fingerprint)
    assert event(form).fingerprint == bare.fingerprint


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (4, 4.0),
        ({"rating": 4, "rating_label": "Good"}, 4),
        ({"boolean": False, "boolean_label": "Keep"}, False),
        ({"selected_values": ["b", "a"]}, ["a", "b"]),
        ({"selected_values": ["a_b"], "selected_labels": ["A b"]}, ["A b"]),
        ({"x": 4, "y": [1]}, {"y": [1], "x": 4.0}),
    ],
)
def test_the_same_answer_is_not_a_conflict(one: Any, other: Any) -> None:
    assert event(callback(one)).fingerprint == event(callback(other)).fingerprint


def test_different_answers_have_different_fingerprints() -> None:
    answers = [True, False, 1, 0, "1", "", "yes", "no", "!", "?", [], ["yes"], 0.5, {}, {"x": 1}, "n" * 201]

    fingerprints = {event(callback(answer)).fingerprint for answer in answers}

    assert len(fingerprints) == len(answers)
    assert None not in fingerprints


def test_prose_is_compared_as_it_stands() -> None:
    prose = "Ship it. " * 30

    assert event(callback(prose)).fingerprint != event(callback(prose.upper())).fingerprint


@pytest.mark.parametrize(
    "answer",
    [
        None,
        {"selected_value": None},
        {"selected_value": "opt_1", "selected_label": ["Publish", "Reject"]},
        {"selected_values": ["opt_1", "opt_2"], "selected_labels": ["Publish"]},
    ],
)
def test_an_answer_that_no_other_form_could_match_has_no_fingerprint(answer: Any) -> None:
    assert event(callback(answer)).fingerprint is None


@pytest.mark.parametrize(
    ("form", "value", "label"),
    [
        ({"selected_value": "opt_1", "selected_label": "Publish"}, "opt_1", "Publish"),
        ("17", "17", 17),
    ],
)
def test_an_answer_with_two_spellings_has_the_digest_of_each(form: Any, value: Any, label: Any) -> None:
    assert event(callback(form)).fingerprint == f"{spelling(value)}/{spelling(label)}"


def test_each_item_of_a_list_has_its_own_digests() -> None:
    answer = {"selected_values": ["opt_1", "opt_2"], "selected_labels": ["Opt 1", "Reject"]}

    items = [spelling("opt_1"), f"{spelling('opt_2')}/{spelling('Reject')}"]
    assert event(callback(answer)).fingerprint == f"[{','.join(sorted(items))}]"


@pytest.mark.parametrize("answer", [False, 0, 0.0, "", []])
def test_a_falsy_answer_is_an_answer(answer: Any) -> None:
    read = event(callback(answer))

    assert read.response is not None
    assert json.dumps(read.response) == json.dumps(answer)
    assert read.fingerprint is not None
    assert read.source == "human"


def test_a_huge_number_survives() -> None:
    read = event(callback({"number": 10**30}))

    assert read.response == 10**30
    assert decode_event(encode_event(read)) == read
