"""Status words, times and people, as the vendor's pages write them and as nobody should."""

from typing import Any

import msgspec
import pytest

from tests.hitlsh.bodies import callback, event, nested


@pytest.mark.parametrize(
    ("word", "outcome"),
    [
        ("timed_out", "timeout"),
        ("Timed Out", "timeout"),
        ("expired", "timeout"),
        ("TIMEOUT", "timeout"),
        ("canceled", "cancelled"),
        ("answered", "completed"),
        ("Resolved", "completed"),
    ],
)
def test_an_alias_of_a_status_ends_the_request(word: str, outcome: str) -> None:
    read = event(callback("Yes", status=word))

    assert (read.status, read.outcome, read.name) == (outcome, outcome, f"request.{outcome}")


@pytest.mark.parametrize("word", ["pending", "claimed", "In Review", "escalated", "failed", "completed!", "…"])
def test_a_word_that_ends_nothing_is_never_called_an_end(word: str) -> None:
    read = event(callback("Yes", status=word))

    assert read.outcome is read.source is read.response is read.fingerprint is None
    assert read.status == word
    assert read.name not in {"request.completed", "request.timeout", "request.cancelled"}
    assert not read.key.startswith("request.completed:")


@pytest.mark.parametrize("status", [None, "", 5, [], {}])
def test_without_a_status_the_event_name_tells_it(status: Any) -> None:
    read = event(callback("Yes", status=status))

    assert (read.outcome, read.status, read.source) == ("completed", "completed", "human")


def test_the_status_is_believed_over_the_event_name() -> None:
    read = event(callback({"selected_value": "Yes"}, event="request.completed", status="cancelled"))

    assert (read.name, read.outcome, read.response) == ("request.cancelled", "cancelled", None)


def test_a_response_filled_in_on_timeout_is_the_default_and_nobodys_answer() -> None:
    read = event(callback({"boolean": False}, status="timeout", response_by={"user_id": "u", "name": "N"}))

    assert read.response is None
    assert read.reviewer is None
    assert read.source == "vendor_default"
    assert read.default_response is False


def test_a_default_of_its_own_is_kept_on_timeout() -> None:
    read = event(nested(status="timeout", default_response=0, response_data="Hold"))

    assert read.default_response == 0


def test_the_reviewers_forms_are_merged() -> None:
    body = nested(response_by="u1", response_by_user={"id": "u1", "name": "Odile"})
    body["data"]["reviewer"] = {"user_id": "u1", "email": "odile@example.net"}

    read = event(body)

    assert msgspec.to_builtins(read.reviewer) == {"id": "u1", "name": "Odile", "email": "odile@example.net"}


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("2026-05-04T09:07:30Z", "2026-05-04T09:07:30Z"),
        ("2026-05-04T09:07:30.25Z", "2026-05-04T09:07:30.250000Z"),
        ("2026-05-04T09:07:30.123456789Z", "2026-05-04T09:07:30.123456Z"),
        ("2026-05-04T11:07:30+02:00", "2026-05-04T09:07:30Z"),
        ("2026-05-04T09:07:30", "2026-05-04T09:07:30Z"),
        ("0001-01-01T00:00:00Z", None),
        ("0000-01-01T00:00:00Z", None),
        ("0001-01-01T00:00:00+14:00", None),
        ("9999-12-31T23:59:59-14:00", None),
        ("yesterday", None),
        ("2" * 100_000, None),
        (1_770_000_000, None),
        ([], None),
    ],
)
def test_a_time_is_aware_utc_or_none(written: Any, read: str | None) -> None:
    occurred_at = event(callback("Yes", response_at=written)).occurred_at

    assert msgspec.to_builtins(occurred_at) == read


@pytest.mark.parametrize("status", ["completed", "timeout", "pending"])
def test_a_refund_is_read_only_from_a_cancellation(status: str) -> None:
    body = nested(status=status)
    body["data"]["refund_info"] = {"refunded": True, "reason": "Nobody had begun"}

    assert event(body).refund_info is None


@pytest.mark.parametrize(
    ("sent", "read"),
    [
        ({"refunded": False, "reason": "Too late"}, {"refunded": False, "reason": "Too late"}),
        ({"refunded": False}, {"refunded": False}),
        ({"refunded": "yes", "reason": "Too late"}, {"reason": "Too late"}),
        ({"refunded": 1}, None),
        ({}, None),
        ("refunded", None),
        (None, None),
    ],
)
def test_a_refund_of_any_shape_is_read_without_guessing(sent: Any, read: Any) -> None:
    body = nested(status="cancelled")
    body["data"]["refund_info"] = sent

    assert msgspec.to_builtins(event(body).refund_info) == read


@pytest.mark.parametrize(
    ("sent", "read"),
    [
        ({"id": "u", "name": "Odile"}, {"id": "u", "name": "Odile"}),
        ({"email": "o@example.net", "joined_at": "soon"}, {"email": "o@example.net"}),
        ({"name": "Odile"}, None),
        ("Odile", None),
    ],
)
def test_a_member_is_somebody_with_an_id_or_an_address(sent: Any, read: Any) -> None:
    body = {"event": "loop.member_left", "data": {"loop": {"id": "l"}, "member": sent}}

    assert msgspec.to_builtins(event(body).member) == read


@pytest.mark.parametrize(("sent", "read"), [(True, True), (False, False), ("yes", None), (None, None)])
def test_whether_a_draft_was_edited_is_a_bool_or_not_known(sent: Any, read: bool | None) -> None:
    assert event(callback({"revised_text": "", "was_edited": sent})).was_edited is read


@pytest.mark.parametrize(
    ("result", "response"),
    [
        ({"approved": False, "content": "x", "feedback": "y"}, False),
        ({"approval": "rejected", "feedback": "y"}, "rejected"),
        ({"content": "Send it"}, "Send it"),
        ({"feedback": "y"}, None),
        ("approved", "approved"),
        (None, None),
    ],
)
def test_the_answer_of_a_review_is_in_its_result(result: Any, response: Any) -> None:
    body = {"event": "review.completed", "review": {"id": "r", "result": result, "decision": "approved"}}

    assert event(body).response == response


def test_the_slug_of_the_make_page_is_the_option_that_was_chosen() -> None:
    slug = event(callback("ship_with_insurance", response_by_user={"id": "u"}))
    option = event(callback({"selected_value": "Ship with Insurance"}))

    assert (slug.variant, slug.fingerprint) == ("make-flat", option.fingerprint)
