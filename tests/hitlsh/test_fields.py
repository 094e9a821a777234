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
