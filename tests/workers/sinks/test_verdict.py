from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.errors import GiveUp, NotDelivered, RetryLater
from workers.sinks.verdict import raise_for_response

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def retry_after(said: str, status: int = 429) -> float:
    with pytest.raises(RetryLater) as raised:
        raise_for_response("a.example", status, {"Retry-After": said}, "", NOW)
    assert raised.value.counts
    return raised.value.delay


def test_retry_after_is_seconds_or_a_date() -> None:
    assert retry_after("120") == 120
    assert retry_after(format_datetime(NOW + timedelta(minutes=3), usegmt=True)) == 180
    assert retry_after("30", status=503) == 30


def test_a_retry_after_is_capped_at_a_day() -> None:
    assert retry_after("999999999999") == 86_400
    assert retry_after(format_datetime(NOW + timedelta(days=400), usegmt=True)) == 86_400


@pytest.mark.parametrize("said", ["", "0", "-5", "soon", "Mon, 99 Foo", format_datetime(NOW - timedelta(hours=1))])
def test_an_invalid_retry_after_leaves_the_delay_to_the_backoff(said: str) -> None:
    with pytest.raises(NotDelivered, match=r"a\.example answered 429 Too Many Requests$"):
        raise_for_response("a.example", 429, {"Retry-After": said}, "", NOW)


def test_an_unknown_status_is_shown_as_its_number() -> None:
    with pytest.raises(GiveUp, match=r"^a\.example answered 499$"):
        raise_for_response("a.example", 499, {}, " \n", NOW)


@given(st.integers(100, 999), st.text(), st.text())
def test_any_answer_is_a_success_or_one_of_three_exceptions(status: int, said: str, after: str) -> None:
    if 200 <= status < 300:
        raise_for_response("a.example", status, {"Retry-After": after}, said, NOW)
        return

    with pytest.raises((GiveUp, NotDelivered, RetryLater)) as raised:
        raise_for_response("a.example", status, {"Retry-After": after}, said, NOW)

    assert str(raised.value).isprintable()
    assert len(str(raised.value)) < 300
