"""Whether two answers to one request agree, in every order of deliveries and of the question becoming known."""

import time
from itertools import permutations, product
from typing import Any

import msgspec
import pytest
from redis import Redis

from hitlsh.request_details import read_details
from tests.builders import delivery, payload
from tests.workers.inbox.api_reading import save_notes
from tests.workers.inbox.invariants import broken
from workers.inbox import keys, store
from workers.inbox.tracker.reconcile_lease import Note
from workers.inbox.tracker.tracked_requests import NewRequest, track

pytestmark = pytest.mark.slow

REQUEST = "66c0ffee00000000000000a1"
OPTIONS = [
    {"value": "v1", "label": "Pay it"},
    {"value": "v2", "label": "Leave it"},
    {"value": "Pay it", "label": "Later"},
]
FIRST = ["v1", {"selected_value": "v1", "selected_label": "Pay it"}, {"selected_value": "v1"}]
SECOND = ["v2", "Leave it", {"selected_value": "v2", "selected_label": "Leave it"}]
#: The value of the third option is the label of the first.
THIRD = ["Pay it", "Later", {"selected_value": "Pay it", "selected_label": "Later"}]


def save_question(redis: Redis, options: list[Any] = OPTIONS) -> None:
    details = read_details({"response_type": "single_select", "response_config": {"options": options}})
    save_notes(redis, Note("details", REQUEST, msgspec.json.encode(details)))


def has_conflict(redis: Redis) -> bool:
    return any(redis.hexists(key, "conflict") for key in redis.scan_iter(keys.event("*")))


def take(redis: Redis, step: str, answers: dict[str, Any], options: list[Any] = OPTIONS) -> None:
    if step == "question":
        # The question is kept with the record that the request's first event makes.
        save_question(redis, options)
    else:
        level = "signed" if step == "one" else "callback"
        store.accept(redis, [delivery(payload(response_data=answers[step]), trust=level)], retention=86_400)


@pytest.mark.parametrize("steps", list(permutations(["one", "other", "question"])), ids="-".join)
@pytest.mark.parametrize("one", [FIRST, SECOND, THIRD], ids=["first", "second", "third"])
@pytest.mark.parametrize("other", [FIRST, SECOND, THIRD], ids=["first", "second", "third"])
def test_forms_of_one_option_agree_and_options_differ(
    redis: Redis, steps: tuple[str, ...], one: list[Any], other: list[Any]
) -> None:
    for answer, other_answer in product(one, other):
        redis.flushall()
        for step in steps:
            take(redis, step, {"one": answer, "other": other_answer})
        save_question(redis)

        assert has_conflict(redis) == (one is not other), (answer, other_answer)


def test_a_request_is_tracked_after_outcomes_that_are_one_answer(redis: Redis) -> None:
    take(redis, "other", {"other": "v2"})
    take(redis, "one", {"one": "Leave it"})
    differed = has_conflict(redis)
    details = read_details({"response_type": "single_select", "response_config": {"options": OPTIONS}})

    track(redis, NewRequest(request_id=REQUEST, created_at=time.time(), details=details), retention=86_400)

    assert (differed, has_conflict(redis)) == (True, False)
    assert broken(redis) == []


@pytest.mark.parametrize(
    ("one", "other", "differ"),
    [
        ("A+", "A-", True),
        ("Rate 👍", "Rate 👎", True),
        ("C", "C++", False),
        ("Approve it", "approve_it", False),
        ("Approve it", {"selected_value": "approve_it", "selected_label": "Approve it"}, False),
        ({"selected_value": "A+"}, {"selected_value": "A-"}, True),
        (["A+", "B"], ["B", "A-"], True),
        (["A+", "B"], ["b", "A+"], False),
    ],
)
@pytest.mark.parametrize("is_reversed", [False, True])
def test_answers_with_other_signs_are_a_conflict_unless_one_may_be_the_snake_case_of_the_other(
    redis: Redis, one: Any, other: Any, differ: bool, is_reversed: bool
) -> None:
    for step in ("other", "one") if is_reversed else ("one", "other"):
        take(redis, step, {"one": one, "other": other})

    assert has_conflict(redis) is differ


@pytest.mark.parametrize("steps", list(permutations(["one", "other", "question"])), ids="-".join)
def test_options_that_differ_in_punctuation_are_distinguished(redis: Redis, steps: tuple[str, ...]) -> None:
    options = ["A+", "A-", "C", "C++"]
    for answer, other_answer in product(options, options):
        redis.flushall()
        for step in steps:
            take(redis, step, {"one": answer, "other": other_answer}, options)
        save_question(redis, options)

        assert has_conflict(redis) == (answer != other_answer), (answer, other_answer)


@pytest.mark.parametrize("steps", list(permutations(["one", "other", "question"])), ids="-".join)
@pytest.mark.parametrize(("other", "differ"), [("ja_gr_er", False), ("nein_sp_ter", True)])
def test_the_ascii_form_of_an_option_is_that_option(
    redis: Redis, steps: tuple[str, ...], other: str, differ: bool
) -> None:
    options = ["Ja, größer", "Nein, später"]
    for step in steps:
        take(redis, step, {"one": options[0], "other": other}, options)
    save_question(redis, options)

    assert has_conflict(redis) is differ
