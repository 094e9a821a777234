"""An event is completed from its tracked request: one decision, in whichever form it was delivered."""

from typing import Any

import pytest

from hitlsh.callbacks import CallbackState
from hitlsh.canonical_answers import canonical_answer
from hitlsh.events import Event, RefundInfo, Reviewer
from hitlsh.request_details import LARGEST_OBJECT, LONGEST_TEXT, RequestDetails, merge_details, read_details
from workers.completion import KnownDetails, complete

ADA = Reviewer(id="u1", name="Ada", email="ada@example.com")
OPTIONS = [{"value": "v1", "label": "Quite another word"}, {"value": "v2", "label": "Second"}, "Plain Words"]


def details(response_type: str = "single_select", **config: Any) -> RequestDetails:
    return RequestDetails(response_type=response_type, response_config=config or {"options": OPTIONS}, text="Pay?")


def event(response: Any = "v1", **changes: Any) -> Event:
    fields = {
        "variant": "nested",
        "name": "request.completed",
        "key": "request.completed:r1",
        "request_id": "r1",
        "outcome": "completed",
        "source": "human",
        "status": "completed",
        "reviewer": ADA,
        "response": response,
    }
    return Event(**{**fields, **changes})


@pytest.mark.parametrize("response", ["v1", "Quite another word", "quite_another_word", ["v1"]])
def test_value_label_and_slug_of_one_option_are_one_answer(response: Any) -> None:
    completion = complete(event(response), KnownDetails(asked=details()))

    assert (completion.event.response, completion.event.labels) == ("v1", ("Quite another word",))
    assert (completion.is_unexpected, completion.missing) == (False, ("loop_id", "loop_name"))


@pytest.mark.parametrize("response", ["Ja, größer", "ja_größer", "ja_gr_er"])
def test_an_option_with_other_letters_is_known_by_its_ascii_form(response: str) -> None:
    asked = details(options=["Ja, größer", "Nein, später", "👍", "👎"])

    assert canonical_answer(response, (), asked) == ("Ja, größer", ("Ja, größer",), True)
    assert canonical_answer("", (), asked).is_offered is False


@pytest.mark.parametrize("response", ["plain_words", "Plain Words"])
def test_a_plain_string_is_answered_as_it_was_asked(response: str) -> None:
    completion = complete(event(response), KnownDetails(asked=details()))

    assert (completion.event.response, completion.event.labels) == ("Plain Words", ("Plain Words",))


def test_a_value_that_is_another_options_label_is_the_value() -> None:
    asked = details(options=[{"value": "a", "label": "b"}, {"value": "b", "label": "c"}])

    assert canonical_answer("b", (), asked) == ("b", ("c",), True)
    assert canonical_answer("b", ("c",), asked) == ("b", ("c",), True)
    assert canonical_answer("c", (), asked) == ("b", ("c",), True)


@pytest.mark.parametrize(
    ("asked", "response", "expected", "labels"),
    [
        (details("multi_select", options=OPTIONS), "Second", ["v2"], ("Second",)),
        (details("multi_select", options=OPTIONS), ["v2", "Second"], ["v2", "v2"], ("Second", "Second")),
        (details("multi_select", options=OPTIONS), [], [], ()),
        (details("rating", scale_max=5, labels={"4": "Good"}), 4.0, 4, ("Good",)),
        (details("rating", scale_max=5, labels={"4": "Good"}), "4", 4, ("Good",)),
        (details("number", max_value=100), "12.50", 12.5, ()),
        (details("boolean", true_label="Pay", false_label="Hold"), "Hold", False, ("Hold",)),
        (details("boolean", true_label="Pay", false_label="Hold"), "true", True, ("Pay",)),
        (details("text", max_length=10), "", "", ()),
        (details("text", max_length=10), "Second", "Second", ()),
    ],
)  # fmt: skip
def test_each_type_has_one_spelling(
    asked: RequestDetails, response: Any, expected: Any, labels: tuple[str, ...]
) -> None:
    completion = complete(event(response), KnownDetails(asked=asked))

    assert completion.event.response == expected
    assert type(completion.event.response) is type(expected)
    assert completion.event.labels == labels
    assert not completion.is_unexpected


@pytest.mark.parametrize(
    ("asked", "response"),
    [
        (details(), "Never offered"),
        (details(), ["v1", "v2"]),
        (details("rating", scale_max=5), 6),
        (details("rating", scale_max=5), "high"),
        (details("number", min_value=0, max_value=10), -1),
        (details("boolean"), "maybe"),
        (details("text", max_length=10), 7),
    ],
)
def test_an_answer_that_was_not_offered_is_kept_and_unexpected(asked: RequestDetails, response: Any) -> None:
    completion = complete(event(response), KnownDetails(asked=asked))

    assert (completion.event.response, completion.is_unexpected) == (response, True)


def test_a_string_of_the_payload_form_is_no_answer() -> None:
    completion = complete(event("approved", variant="global"), KnownDetails(asked=details()))

    assert ("response" in completion.missing, completion.is_unexpected) == (True, False)


@pytest.mark.parametrize(
    ("asked", "outcome", "expected"),
    [("v2", "timeout", "v2"), ("Second", "cancelled", "v2"), ("plain_words", "completed", "Plain Words")],
)
def test_a_default_is_spelled_as_a_response(asked: str, outcome: str, expected: str) -> None:
    details_by_source = KnownDetails(api=RequestDetails(**_fields(details()), default_response=asked))

    assert complete(event(outcome=outcome), details_by_source).event.default_response == expected


def _fields(asked: RequestDetails) -> dict[str, Any]:
    return {"response_type": asked.response_type, "response_config": asked.response_config}


def test_fields_that_no_source_provides_are_missing() -> None:
    completion = complete(event("Quite another word", reviewer=Reviewer(id="u1")))

    assert completion.missing == (
        "context", "default_response", "loop_id", "loop_name", "question", "response", "response_type",
        "reviewer.email", "reviewer.name", "state",
    )  # fmt: skip


def test_a_field_absent_from_a_read_request_is_not_missing() -> None:
    details_by_source = KnownDetails(
        api=details(), loop_name="Desk", callback=CallbackState(id="t", state={"order": 7})
    )
    completion = complete(event(loop_id="l1"), details_by_source)

    assert completion.missing == ()
    assert (completion.state, completion.event.loop_name) == ({"order": 7}, "Desk")
    assert (completion.event.metadata, completion.event.default_response) == (None, None)


def test_each_field_comes_from_its_best_source() -> None:
    details_by_source = KnownDetails(
        asked=RequestDetails(loop_id="asked"),
        api=RequestDetails(loop_id="api", priority="high"),
        event=RequestDetails(priority="low", loop_name="Desk"),
    )

    completion = complete(event(loop_id="delivered", response_type="text"), details_by_source)

    assert (completion.details.loop_id, completion.details.priority) == ("asked", "high")
    assert (completion.event.loop_name, completion.event.response_type) == ("Desk", "text")


def test_the_state_of_the_delivery_comes_before_that_of_the_request() -> None:
    details_by_source = KnownDetails(callback=CallbackState(id="t", state=1))

    assert complete(event(), details_by_source).state == 1
    assert complete(event(), details_by_source, callback=CallbackState(id="u", state=2)).state == 2


def test_an_event_without_a_request_is_not_completed() -> None:
    joined = Event(variant="global", name="user.joined", key="user.joined:1", loop_name="Desk")

    completion = complete(joined)

    assert (completion.event, completion.missing) == (joined, ())


def test_details_are_bounded() -> None:
    read = read_details({"request_text": "x" * 5_000, "context": {"a": "x" * LARGEST_OBJECT}, "tags": ["t"] * 50})

    assert (len(read.text or ""), read.context, len(read.tags)) == (LONGEST_TEXT, None, 20)
    assert read.text_digest is not None
    assert read.context_digest is not None


def test_a_context_that_is_too_large_to_be_kept_is_missing() -> None:
    asked = read_details({"response_type": "text", "context": {"a": "x" * LARGEST_OBJECT}})

    completion = complete(event("Yes"), KnownDetails(asked=asked))
    delivered = complete(event("Yes", metadata={"a": 1}), KnownDetails(asked=asked))

    assert "context" in completion.missing
    assert (delivered.event.metadata, "context" in delivered.missing) == ({"a": 1}, False)


def test_options_with_long_descriptions_are_known() -> None:
    options = [{"value": f"v{n}", "label": f"Option {n}", "description": "x" * 2_000} for n in range(20)]
    asked = read_details({"response_type": "single_select", "response_config": {"options": options}})

    completion = complete(event("Option 7"), KnownDetails(asked=asked))

    assert (completion.event.response, completion.event.labels) == ("v7", ("Option 7",))
    assert "response" not in completion.missing


@pytest.mark.parametrize(
    ("response_type", "config"),
    [
        (
            "single_select",
            {"options": [{"value": f"{n:02}" + "値" * 98, "label": "値" * 198 + f"{n:02}"} for n in range(20)]},
        ),
        ("editable_text", {"draft_text": "値" * 5_000, "max_length": 5_000}),
    ],
)
def test_the_largest_configuration_of_a_question_is_kept_whole(response_type: str, config: dict[str, Any]) -> None:
    assert read_details({"response_type": response_type, "response_config": config}).response_config == config


@pytest.mark.parametrize("wrong", [7, None, [], "x", {"options": 7}, {"options": [None, {}, 7]}])
def test_no_shape_of_details_raises(wrong: Any) -> None:
    names = ("request_text", "context", "metadata", "response_type", "response_config", "tags", "loop_id", "priority")

    read = read_details(dict.fromkeys(names, wrong))

    assert read.options == ()
    assert merge_details([read]) is not None


@pytest.mark.parametrize(("answer", "was_edited"), [("As drafted", False), ("Rewritten", True)])
def test_the_draft_of_the_question_tells_whether_it_was_edited(answer: str, was_edited: bool) -> None:
    asked = details("editable_text", draft_text="As drafted", max_length=100)

    completion = complete(event(answer), KnownDetails(asked=asked))
    unknown = complete(event(answer, response_type="editable_text"))

    assert (completion.event.was_edited, "was_edited" in completion.missing) == (was_edited, False)
    assert (unknown.event.was_edited, "was_edited" in unknown.missing) == (None, True)


def test_the_delivered_edit_flag_is_kept() -> None:
    asked = details("editable_text", draft_text="As drafted", max_length=100)

    assert complete(event("As drafted", was_edited=True), KnownDetails(asked=asked)).event.was_edited is True


def test_a_cancellation_without_its_refund_says_so() -> None:
    cancelled = {"name": "request.cancelled", "outcome": "cancelled", "source": "cancelled", "response": None}

    told = complete(event(**cancelled, refund_info=RefundInfo(refunded=True)), KnownDetails(asked=details()))
    untold = complete(event(**cancelled), KnownDetails(asked=details()))

    assert ("refund_info" in told.missing, "refund_info" in untold.missing) == (False, True)
